"""What an upload says of itself, made safe to store and to send back: its name and its media type."""

import re

DEFAULT_NAME = "file"
DEFAULT_TYPE = "application/octet-stream"

_LONGEST_NAME = 255
_LONGEST_TYPE = 127
# RFC 9110, with the parameters that occur: `text/html; charset=utf-8`.
_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}(; *[\w.+-]+=(\"[\w .+-]*\"|[\w.+-]+))*", re.ASCII)


def file_name(given: str) -> str:
    """Give the last part of a name, without what no name should have; ``file`` when nothing is left.

    The end is kept of a name that is too long: it has the suffix.
    """
    last = given.replace("\\", "/").rpartition("/")[2]
    printable = "".join(char for char in last if char.isprintable()).strip()
    return DEFAULT_NAME if printable.strip(".") == "" else printable[-_LONGEST_NAME:]


def media_type(given: str) -> str:
    """Give a media type that may stand in a header; any that may not is ``application/octet-stream``."""
    found = given.strip()
    return found if len(found) <= _LONGEST_TYPE and _TYPE.fullmatch(found) else DEFAULT_TYPE

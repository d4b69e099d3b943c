"""The media type that an upload says it has, made safe to store and to send back."""

import re

DEFAULT_TYPE = "application/octet-stream"

_LONGEST_TYPE = 127
# RFC 9110, with the parameters that occur: `text/html; charset=utf-8`.
_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}(; *[\w.+-]+=(\"[\w .+-]*\"|[\w.+-]+))*", re.ASCII)


def media_type(given: str) -> str:
    """Give a media type that may stand in a header; any that may not is ``application/octet-stream``."""
    found = given.strip()
    return found if len(found) <= _LONGEST_TYPE and _TYPE.fullmatch(found) else DEFAULT_TYPE

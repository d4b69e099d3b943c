"""Text of unknown encoding, as Unicode."""

import codecs
import re
from pathlib import Path

from bs4.dammit import EncodingDetector

# The longer marks first: UTF-32's begins with UTF-16's.
WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MARKS = {**WIDE_MARKS, codecs.BOM_UTF8: "utf-8-sig"}

# Encodings of pages by their names in Python, which has others under which no page is written.
_OF_PAGES = re.compile(r"cp\d+|iso8859-\d+|koi8-\w|mac-\w+|shift_jis|euc_\w+|gb\w+|big5\w*")
# What browsers read instead, because pages that declare the one are written in the other (WHATWG, Encoding, 4.2).
_MEANT = {"iso8859-1": "cp1252", "iso8859-9": "cp1254", "shift_jis": "cp932", "euc_kr": "cp949"}
_MEANT |= dict.fromkeys(("gb2312", "gbk"), "gb18030")


def decode(document: Path) -> tuple[str, tuple[str, ...]]:
    """Read a text and say what had to be assumed.

    A byte order mark decides; then UTF-8, which other encodings hardly ever fit by chance; then
    Windows-1252, which fits nearly everything and is what is left in western files.
    """
    return _decode(document.read_bytes(), "")


def decode_html(document: Path) -> tuple[str, tuple[str, ...]]:
    """Read a web page; what it declares of itself is believed before Windows-1252 is assumed."""
    raw = document.read_bytes()
    return _decode(raw, _declared(raw))


def _decode(raw: bytes, declared: str) -> tuple[str, tuple[str, ...]]:
    for mark, encoding in _MARKS.items():
        if raw.startswith(mark):
            return raw.decode(encoding, errors="replace"), ()
    try:
        return raw.decode("utf-8"), ()
    except UnicodeDecodeError:
        if declared:
            return raw.decode(declared, errors="replace"), ()
        return raw.decode("cp1252", errors="replace"), ("the text is not utf-8: it was read as windows-1252",)


def _declared(raw: bytes) -> str:
    try:
        name = codecs.lookup(EncodingDetector.find_declared_encoding(raw, is_html=True) or "").name
    except LookupError:
        return ""
    return _MEANT.get(name, name) if _OF_PAGES.fullmatch(name) else ""

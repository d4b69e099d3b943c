"""Text of unknown encoding, as Unicode."""

from pathlib import Path

_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def decode(document: Path) -> tuple[str, tuple[str, ...]]:
    """Read a text and say what had to be assumed.

    A byte order mark decides; then UTF-8, which other encodings hardly ever fit by chance; then
    Windows-1252, which fits nearly everything and is what is left in western files.
    """
    raw = document.read_bytes()
    for mark, encoding in _BOMS.items():
        if raw.startswith(mark):
            return raw.decode(encoding, errors="replace"), ()
    try:
        return raw.decode("utf-8"), ()
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace"), ("the text is not utf-8: it was read as windows-1252",)

"""Tells the pages whose drawing would keep every reader busy until it is killed: maps, and bombs."""

import pymupdf

# A dense vector map has 3 MB; of a million strokes (20 MB), layout, rendering and liteparse alike
# take over a minute, MuPDF's plain text a third of a second.
_HEAVY_BYTES = 4_000_000


def is_heavy(page: pymupdf.Page) -> bool:
    """Tell whether the page's drawing, with the forms that it draws, is too long for anything but its text."""
    left = _HEAVY_BYTES - len(page.read_contents())
    for xref, *_ in page.get_xobjects():
        if left < 0:
            break
        left -= len(page.parent.xref_stream(xref) or b"")
    return left < 0

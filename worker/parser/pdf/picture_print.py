"""Finds the pictures on a page that are print: tables, charts and screens that carry words."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
import pymupdf

from worker.parser.pdf.backend import MuPdfPageBackend

Gray = npt.NDArray[np.uint8]
Segment = tuple[float, float, float, float]

# Of the page: smaller images are logos and bullets.
_PICTURE_SHARE = 0.03
_MOST_PICTURES = 6
# Print stands on a light ground; a photograph has little of it.
_LIGHT, _LIGHT_SHARE = 235, 0.6
_GLYPHS = 25
_GLYPH_PIXELS = (6, 40)
_POINTS_PER_INCH = 72
_LEAST_DPI = 80
# A rule is longer than any stroke of a letter, in parts of the picture's side.
_RULE_SHARE = 12
_RULE_PIXELS = 40


def pictures(page: pymupdf.Page) -> list[pymupdf.Rect]:
    """Give the boxes of the page's images, as they are displayed, without the tiny ones."""
    least = _PICTURE_SHARE * page.rect.get_area()
    seen = {pymupdf.Rect(info["bbox"]) & page.rect for info in page.get_image_info()}
    large = [rect for rect in seen if not rect.is_empty and rect.get_area() >= least]
    return sorted(large, key=lambda rect: (rect.y0, rect.x0))


def printed(backend: MuPdfPageBackend) -> list[pymupdf.Rect]:
    """Give those of the pictures whose words only OCR can read."""
    page = backend.page
    sharp = {
        pymupdf.Rect(info["bbox"]) & page.rect
        for info in page.get_image_info()
        if info["width"] * _POINTS_PER_INCH >= _LEAST_DPI * (info["bbox"][2] - info["bbox"][0])
    }
    candidates = [rect for rect in pictures(page) if rect in sharp]
    if candidates:
        centres = [cell.to_bounding_box() for cell in backend.get_text_cells()]
        points = [pymupdf.Point((box.l + box.r) / 2, (box.t + box.b) / 2) for box in centres]
        candidates = [rect for rect in candidates if not any(point in rect for point in points)]
    return [rect for rect in candidates[:_MOST_PICTURES] if _is_print(gray_of(page.get_pixmap(dpi=100, clip=rect)))]


def gray_of(pixmap: pymupdf.Pixmap) -> Gray:
    """Give a rendering's brightness."""
    pixels = np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.stride)
    colours = pixels[:, : pixmap.width * pixmap.n].reshape(pixmap.height, pixmap.width, pixmap.n)
    gray: Gray = colours.mean(axis=2).astype(np.uint8)
    return gray


def rules(gray: Gray) -> Iterator[Segment]:
    """Find the straight lines, along the axes, from which tables are drawn; in pixels."""
    ink = _ink(gray)
    height, width = gray.shape
    for kernel in ((max(width // _RULE_SHARE, _RULE_PIXELS), 1), (1, max(height // _RULE_SHARE, _RULE_PIXELS))):
        lines = cv2.morphologyEx(ink, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_RECT, kernel))
        for x, y, wide, high, _ in cv2.connectedComponentsWithStats(lines)[2][1:].tolist():
            if min(wide, high) <= _GLYPH_PIXELS[0]:
                middle = (x + wide / 2, y + high / 2)
                yield (x, middle[1], x + wide, middle[1]) if wide > high else (middle[0], y, middle[0], y + high)


def _is_print(gray: Gray) -> bool:
    if min(gray.shape) < _RULE_PIXELS or (gray > _LIGHT).mean() < _LIGHT_SHARE:
        return False
    sizes = cv2.connectedComponentsWithStats(_ink(gray))[2][1:, 2:4]
    low, high = _GLYPH_PIXELS
    return bool(((sizes[:, 1] >= low) & (sizes < high).all(axis=1)).sum() >= _GLYPHS)


def _ink(gray: Gray) -> Gray:
    inverted = cv2.bitwise_not(gray)
    found = cv2.adaptiveThreshold(inverted, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 15, -10)
    return found.astype(np.uint8)

"""What OCR finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A word or a line of words, and where it stands: left, top, right, bottom in pixels."""

    text: str
    box: tuple[float, float, float, float]
    confidence: float = 1.0

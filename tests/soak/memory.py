"""Whether memory is flat: samples of what lives through the whole soak, and how they grew in its second half."""

import statistics
from dataclasses import dataclass, field

_QUARTERS = 4
_ALLOWED_SHARE = 0.05


@dataclass
class Memory:
    """What one thing held, in the order of time; growth of ``allowed``, or of one in twenty, is none."""

    unit: str
    allowed: float
    samples: list[float] = field(default_factory=list)

    def quarter(self, number: int) -> float:
        """Give the median of a quarter of the samples, from 1; not a number when there are too few."""
        size = len(self.samples) // _QUARTERS
        part = self.samples[(number - 1) * size : number * size]
        return statistics.median(part) if part else float("nan")

    @property
    def growth(self) -> float:
        """By how much the last quarter lies above the third."""
        return self.quarter(4) - self.quarter(3)

    @property
    def bound(self) -> float:
        """How much the growth may be."""
        return max(self.allowed, _ALLOWED_SHARE * self.quarter(3))

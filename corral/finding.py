"""What ``corral doctor`` found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``remedy`` is empty when it is well."""

    what: str
    remedy: str = ""
    fatal: bool = True

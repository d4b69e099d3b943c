"""Orphans come to this process: what is left behind by one that was killed can be found below it."""

import ctypes
import sys

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends; Linux only."""
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the system does not let this process adopt orphans")

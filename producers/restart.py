"""How long a process that has ended waits before it is started anew: ever longer, until it has lived for a while."""

_FIRST_S, _LAST_S = 0.5, 30.0
# One that has lived for so long did not die of its start, which takes one or two: the next try comes soon again. With
# a minute, a fleet whose processes were killed every half a minute was down for most of it.
_STEADY_S = 10.0


class RestartDelay:
    """The waits of one process: 0.5 s, then twice as long each time up to 30 s; 0.5 s again after a life of 10 s."""

    def __init__(self) -> None:
        """Begin with the shortest."""
        self._next_s = _FIRST_S

    def after(self, lived_s: float) -> float:
        """Give the wait in seconds that follows a life of so many."""
        delay_s = _FIRST_S if lived_s > _STEADY_S else self._next_s
        self._next_s = min(delay_s * 2, _LAST_S)
        return delay_s

"""What passes the streams of an engine, seen at its ports: which phase a call is in, what waits."""

from collections import Counter
from collections.abc import Mapping

from cosim.regression.coverage import Coverage

SOURCES, SINKS = "abcx", "dy"
"""Streams in and out."""


class Flow:
    """Counts transfers, and tells phases by them.

    Parameters
    ----------
    coverage : Coverage
        Gets the streams that were waited for.
    """

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self.forget()

    def forget(self) -> None:
        """Begin anew: nothing is on its way."""
        self.due: Counter[str] = Counter()
        self.passed: Counter[str] = Counter()

    def begin(self, transfers: Mapping[str, int]) -> None:
        """Begin a call, or a packet to convert, and say how many transfers are to come.

        Streams that are not named are let alone.
        """
        for name, count in transfers.items():
            self.due[name], self.passed[name] = count, 0

    def see(self, name: str, valid: bool, ready: bool) -> None:
        """Take note of a stream in a clock.

        Parameters
        ----------
        name : str
            One of `SOURCES` or `SINKS`.
        valid, ready : bool
        """
        if valid and ready:
            self.passed[name] += 1
        elif name in SINKS:
            self._coverage.hit("stalled stream", name, valid)
        elif ready:
            self._coverage.hit("stalled stream", name, self.passed[name] < self.due[name])

    @property
    def phase(self) -> str:
        """What is in work: one of `plan.PHASES`, or ``"idle"``.

        Told by the streams alone: ``load`` is when rows of C are due, and no operand has come;
        ``cross`` is when all of them have come, and no result has left.
        """
        passed, due = self.passed, self.due
        if passed["x"] and passed["y"] < due["y"]:
            return "convert"
        if passed["b"] == 0:
            return "load" if due["c"] else "idle"
        if passed["d"] == due["d"]:
            return "idle"
        if passed["b"] < due["b"]:
            return "compute and drain" if passed["d"] else "compute"
        return "drain" if passed["d"] else "cross"

"""Streams of a device under test: sources that feed it, a sink that takes from it.

Everything happens between two rising edges: inputs change after the falling edge, and handshakes
are seen once all signals have settled. So no simulator's order of events can matter.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
from cocotb.types import LogicArray

Stall = Callable[[], bool]
"""Says for each clock whether a stream pauses in it."""


def never() -> bool:
    """Stall in no clock."""
    return False


class RandomStall:
    """Stalls in a share of the clocks, the same ones after each `restart`.

    Parameters
    ----------
    share : float
        From 0 to 1.
    seed : int
    """

    def __init__(self, share: float, seed: int) -> None:
        self.share, self.seed = share, seed
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self._rng = np.random.default_rng(self.seed)

    def __call__(self) -> bool:
        """Say whether to stall in the next clock."""
        return bool(self._rng.random() < self.share)


class Source:
    """Offers payloads to a stream of the device; keeps one offered until it is taken.

    While it offers none, the payload is noise, or unknown if `unknown` is set: nothing may depend
    on it.

    Parameters
    ----------
    dut : handle
    name : str
        Of the stream: the ports are ``<name>_payload``, ``<name>_valid``, and ``<name>_ready``.
    width : int
        Bits of the payload.
    rng : numpy.random.Generator
        Of the noise.
    """

    def __init__(self, dut, name: str, width: int, rng: np.random.Generator) -> None:
        self.name = name
        self.stall: Stall = never
        self.unknown = False
        self.waiting: deque[int | LogicArray] = deque()
        self.taken = 0
        self.starved = False
        self._payload = getattr(dut, f"{name}_payload")
        self._valid = getattr(dut, f"{name}_valid")
        self._ready = getattr(dut, f"{name}_ready")
        self._width = width
        self._rng = rng
        self._offered: int | LogicArray | None = None

    def reset(self) -> None:
        """Forget everything that was to be offered."""
        self.waiting.clear()
        self._offered = None

    def drive(self) -> None:
        """Set the inputs of the device for this clock."""
        if self._offered is None and self.waiting and not self.stall():
            self._offered = self.waiting.popleft()
            self._payload.value = self._offered
        if self._offered is None:
            self._payload.value = self._noise()
        self._valid.value = self._offered is not None

    def sample(self) -> bool:
        """See whether the payload is taken in this clock, or the device waits for one."""
        ready = bool(self._ready.value)
        taken = self._offered is not None and ready
        self.starved = ready and self._offered is None and bool(self.waiting)
        if taken:
            self._offered = None
            self.taken += 1
        return taken

    def _noise(self) -> int | LogicArray:
        if self.unknown:
            return LogicArray("X" * self._width)
        noise = int.from_bytes(self._rng.bytes((self._width + 7) // 8), "little")
        return noise & ((1 << self._width) - 1)


class Sink:
    """Takes payloads from a stream of the device, and checks that one offered stays offered.

    Parameters
    ----------
    dut : handle
    name : str
    """

    def __init__(self, dut, name: str) -> None:
        self.name = name
        self.stall: Stall = never
        self.received: list[str] = []
        self.blocked = False
        self._payload = getattr(dut, f"{name}_payload")
        self._valid = getattr(dut, f"{name}_valid")
        self._ready = getattr(dut, f"{name}_ready")
        self._open = False
        self._refused: str | None = None

    def reset(self) -> None:
        """Forget what was received."""
        self.received.clear()
        self._refused = None

    def drive(self) -> None:
        """Set the inputs of the device for this clock."""
        self._open = not self.stall()
        self._ready.value = self._open

    def sample(self) -> bool:
        """See whether there is a payload to take in this clock; keep its bits, highest first."""
        offered = bool(self._valid.value)
        payload = str(self._payload.value) if offered else None
        if self._refused is not None:
            assert payload == self._refused, f"{self.name} changed what it had offered"
        self._refused = None
        self.blocked = offered and not self._open
        if payload is None:
            return False
        if not self._open:
            self._refused = payload
            return False
        self.received.append(payload)
        return True

"""The audit engine: computes on `fast` while Verilog looks over its shoulder."""

import os
import queue
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cosim.calls import Call, Mismatch, Outcome
from cosim.engines import DEFAULT_SIMULATOR
from cosim.errors import CheckFailedError
from cosim.rtl import RtlEngine
from pysim import ArrayConfig, GemmResult, InputError
from pysim.engine import GemmRequest, QuantizeRequest
from pysim.fast import FastEngine
from pysim.flags import Flags
from rtl_gen import Design

DEFAULT_RATE = 0.001
MOST_WAITING = 4
"""Calls that may wait for the Verilog; each holds a copy of its operands."""


@dataclass
class AuditReport:
    """How much was checked.

    Attributes
    ----------
    calls, macs : int
        GEMMs and conversions computed, and their multiply-accumulate steps.
    checked, macs_checked : int
        Those that the Verilog computed, too, to the same bits.
    passed_over : int
        Calls that were drawn for the sample, but not checked: because too many were waiting, or
        the budget was spent.
    bits : int
        Of the results compared.
    seconds : float
        Time that the Verilog took.
    """

    calls: int = 0
    macs: int = 0
    checked: int = 0
    macs_checked: int = 0
    bits: int = 0
    passed_over: int = 0
    seconds: float = 0.0


class AuditEngine(FastEngine):
    """The fast engine, with a random sample of its calls replayed on the Verilog meanwhile.

    The replay runs in a thread of low priority. The first difference stops the engine: the next
    call, `finish`, or `close` raises, and the call is in a replay file by then.

    Parameters
    ----------
    config : ArrayConfig
    rate : float
        Share of the calls to check, above 0 to 1; each is drawn independently.
    seed : int
        Of the drawing.
    budget : float, optional
        Seconds of simulation after which no more calls are checked; no limit without it.
    folder : Path
        Where a replay file is written to.
    design : rtl_gen.Design, optional
        Verilog to check against, perhaps edited; generated from `config` by default.
    simulator : str, optional
        Of the Verilog: ``"vector"`` or ``"verilator"``.

    Raises
    ------
    InputError
        If a setting is out of range.
    MissingToolError
        If a tool to simulate the Verilog with is missing.
    CheckFailedError
        From a call: if the Verilog differs.
    """

    name = "audit"

    def __init__(
        self,
        config: ArrayConfig,
        *,
        rate: float = DEFAULT_RATE,
        seed: int = 0,
        budget: float | None = None,
        folder: Path | str = ".",
        design: Design | None = None,
        simulator: str = DEFAULT_SIMULATOR,
    ) -> None:
        super().__init__(config)
        if not 0 < rate <= 1:
            raise InputError(f"audit rate {rate} is out of range: above 0, and at most 1")
        if seed < 0:
            raise InputError(f"audit seed {seed} is out of range: at least 0")
        if budget is not None and not budget > 0:
            raise InputError(f"audit budget {budget} is out of range: it must be positive seconds")
        self.rate = rate
        self._rng = np.random.default_rng(seed)
        self._budget = budget
        self._folder = Path(folder)
        self._report = AuditReport()
        self._until_next = self._draw_gap()
        self._failure: Exception | None = None
        self._verilog = RtlEngine(config, design=design, simulator=simulator)
        self._waiting: queue.Queue[tuple[Call, Outcome] | None] = queue.Queue(MOST_WAITING)
        self._auditor = threading.Thread(target=self._audit, name="audit", daemon=True)
        self._auditor.start()

    @property
    def simulator(self) -> str:
        """Name of what simulates the Verilog."""
        return self._verilog.simulator

    def report(self) -> AuditReport:
        """Return how much was checked so far."""
        return AuditReport(**{**asdict(self._report), "macs": self.macs})

    def finish(self) -> AuditReport:
        """Wait until everything drawn is checked; return how much that is.

        Raises
        ------
        CheckFailedError
            If the Verilog differs.
        """
        self._waiting.join()
        self._raise_failure()
        return self.report()

    def close(self) -> None:
        """Wait for the checks under way, and release the Verilog."""
        if self._auditor.is_alive():
            self._waiting.put(None)
            self._auditor.join()
            self._verilog.close()
            super().close()
            self._raise_failure()

    def __exit__(self, *exception: object) -> None:
        try:
            self.close()
        except CheckFailedError:
            # An error under way is the better one to see, and is this one as a rule.
            if exception[0] is None:
                raise

    def _gemm(self, request: GemmRequest) -> GemmResult:
        if not self._is_drawn():
            return super()._gemm(request)
        operands = {"a": request.a.copy(), "b": request.b.copy()}
        if request.c is not None:
            operands["c"] = request.c.copy()
        arguments = {
            "a_format": request.a_format.name,
            "b_format": request.b_format.name,
            "out_format": request.out_format.name,
            "rounding": request.rounding.value,
            "saturate": request.saturate,
            "scale": request.scale,
        }
        call = Call(self.config, "gemm", operands, arguments, self._read_state())
        result = super()._gemm(request)
        self._hand_over(call, result.values, result.flags, result.cycles)
        return result

    def _quantize(self, request: QuantizeRequest) -> tuple[np.ndarray, Flags, int]:
        if not self._is_drawn():
            return super()._quantize(request)
        arguments = {
            "fmt": request.fmt.name,
            "rounding": request.rounding.value,
            "saturate": request.saturate,
            "scale": request.scale,
        }
        operands = {"x": request.values.copy()}
        call = Call(self.config, "quantize", operands, arguments, self._read_state())
        codes, flags, cycles = super()._quantize(request)
        self._hand_over(call, codes, flags, cycles)
        return codes, flags, cycles

    def _draw_gap(self) -> int:
        """Return how many calls to pass until the next one drawn, if each is at the same rate."""
        return int(self._rng.geometric(self.rate))

    def _is_drawn(self) -> bool:
        self._raise_failure()
        self._report.calls += 1
        self._until_next -= 1
        if self._until_next:
            return False
        self._until_next = self._draw_gap()
        spent = self._budget is not None and self._report.seconds >= self._budget
        if spent or self._waiting.full():
            self._report.passed_over += 1
            return False
        return True

    def _hand_over(self, call: Call, values: np.ndarray, flags: Flags, cycles: int) -> None:
        outcome = Outcome(values.copy(), flags, cycles, self._read_state())
        # There is room: this thread alone adds to the queue, and has seen that it is not full.
        self._waiting.put((call, outcome))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _audit(self) -> None:
        _give_way()
        while (item := self._waiting.get()) is not None:
            try:
                if self._failure is None:
                    self._check(*item)
            except Exception as error:
                self._failure = error
            finally:
                self._waiting.task_done()

    def _check(self, call: Call, outcome: Outcome) -> None:
        start = time.monotonic()
        macs = self._verilog.macs
        expected = call.run(self._verilog)
        self._report.seconds += time.monotonic() - start
        if differences := expected.differences(outcome):
            notes = {"audited_call": self._report.calls}
            path = self._folder / "mismatch-audit.npz"
            Mismatch(call, outcome, expected, "fast", "rtl", notes).save(path)
            raise CheckFailedError(
                f"{call.describe()}: rtl and fast differ in {'; '.join(differences)}; "
                f"the call is recorded in {path}: see fp8cosim replay"
            )
        self._report.checked += 1
        self._report.macs_checked += self._verilog.macs - macs
        self._report.bits += 8 * outcome.values.nbytes


def _give_way() -> None:
    """Run this thread only on processors that nobody else wants, where the system allows it."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)

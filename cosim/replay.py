"""A recorded mismatch again, on every engine, and where edited Verilog first goes wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import rtl_gen
from cosim.calls import Mismatch
from cosim.engines import SIMULATORS as HOSTED
from cosim.engines import open_engine
from cosim.errors import CheckFailedError, MissingToolError
from cosim.regression.runner import SIMULATORS, run_replay
from cosim.regression.waves import Parting, find_parting
from cosim.rtl import RtlEngine
from pysim import Engine, GoldenEngine
from rtl_gen import Design


@dataclass(frozen=True)
class Verdict:
    """What an engine makes of the call now.

    Attributes
    ----------
    engine : str
    ran : bool
    difference : str or None
        From golden, or why it did not run.
    """

    engine: str
    ran: bool
    difference: str | None

    @property
    def wrong(self) -> bool:
        """Whether it ran and differs."""
        return self.ran and self.difference is not None

    def __str__(self) -> str:
        if not self.ran:
            return f"{self.engine}: not here ({self.difference})"
        return f"{self.engine}: {self.difference or 'as golden'}"


@dataclass(frozen=True)
class Replay:
    """What a replay found.

    Attributes
    ----------
    verdicts : list of Verdict
    waves : Path or None
        Of the call at the ports of the Verilog.
    parting : Parting or None
        Where edited Verilog first differs from what is generated; None if it does not.
    """

    verdicts: list[Verdict]
    waves: Path | None
    parting: Parting | None


def design_for(mismatch: Mismatch) -> Design:
    """Generate the Verilog of a replay file, with the edits that it holds."""
    design = rtl_gen.design(mismatch.call.config)
    return Design(design.config, {**design.modules, **mismatch.edited}, design.manifest)


def replay(
    file: Path,
    design: Design,
    folder: Path,
    *,
    simulator: str = "verilator",
    progress: Callable[[str], None] = lambda what: None,
) -> Replay:
    """Make a recorded call on every engine, and at the ports of the Verilog in every simulator.

    Parameters
    ----------
    file : Path
        A replay file.
    design : Design
    folder : Path
        Gets the logs and the waves.
    simulator : str
        The one that writes waves.
    progress : callable
        Called with what is being done.

    Raises
    ------
    InputError
        If the file is no replay file.
    MissingToolError
        If the simulator is missing; other engines that are not here are passed over.
    """
    mismatch = Mismatch.load(file)
    call = mismatch.call
    with GoldenEngine(call.config) as golden:
        expected = call.run(golden)
    verdicts: list[Verdict] = []

    def judge(name: str, open_it: Callable[[], Engine]) -> None:
        progress(f"running on {name}")
        try:
            with open_it() as engine:
                differences = expected.differences(call.run(engine))
        except MissingToolError as error:
            verdicts.append(Verdict(name, False, str(error)))
        except CheckFailedError as error:
            verdicts.append(Verdict(name, True, str(error)))
        else:
            verdicts.append(Verdict(name, True, "; ".join(differences) or None))

    for name in ("fast", "gpu"):
        judge(name, lambda name=name: open_engine(name, call.config))
    for hosted in HOSTED:
        judge(f"rtl ({hosted})", lambda hosted=hosted: RtlEngine(design=design, simulator=hosted))

    waves = None
    for name in SIMULATORS:
        chosen = name == simulator
        progress(f"simulating the ports with {name}")
        own = folder if chosen else folder / name
        ports = f"ports ({name})"
        try:
            outcome = run_replay(design, file, own, simulator=name, waves=chosen)
        except MissingToolError as error:
            if chosen:
                raise
            verdicts.append(Verdict(ports, False, str(error)))
            continue
        except CheckFailedError as error:
            verdicts.append(Verdict(ports, True, str(error)))
            continue
        complaint = outcome.failures.get("recorded_call")
        if complaint is not None:
            # What was called is known.
            complaint = complaint.rpartition("expected and found ")[2]
        verdicts.append(Verdict(ports, True, complaint))
        waves = outcome.waves if chosen else waves

    parting = None
    wrong = any(verdict.wrong for verdict in verdicts)
    if wrong and waves is not None and rtl_gen.edited_modules(design):
        progress("looking for the first signal that differs")
        generated = rtl_gen.design(call.config)
        own = folder / "generated"
        outcome = run_replay(generated, file, own, simulator=simulator, waves=True)
        if outcome.waves is not None:
            parting = find_parting(outcome.waves, waves, design)
    return Replay(verdicts, waves, parting)

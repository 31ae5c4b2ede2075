"""A netlist as a shared library: compiled, cached, loaded, and run on given stimulus."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosim.vector.elaborate import Circuit, elaborate
from cosim.vector.emit import emit
from cosim.vector.idle import find_idle
from cosim.vector.lanes import lane_modules
from cosim.vector.netlist import Netlist
from cosim.vector.scalar_code import identifier
from cosim.vector.schedule import LaneLoopError, schedule
from cosim.vector.shifters import merge_shifters
from cosim.vector.signal import width_of
from pysim.native import cached, compiler_version, run_all

COMPILER = "g++"
COMPILER_FLAGS = ["-std=c++20", "-O2", "-fPIC", "-march=native", "-Wno-psabi"]
RUNTIME = Path(__file__).parent


@dataclass(frozen=True)
class Port:
    """A name and a width in bits, of a port or a register."""

    name: str
    width: int

    @property
    def words(self) -> int:
        """Words of 64 bits that hold it."""
        return -(-self.width // 64)


@dataclass(frozen=True)
class SimulationSource:
    """A compiled netlist, as text.

    Attributes
    ----------
    text : str
        A C++ header that defines ``struct Model``.
    inputs, outputs, registers : tuple of Port
    lanes : dict of str to int
        Modules that have become lanes, and how many.
    """

    text: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    registers: tuple[Port, ...]
    lanes: dict[str, int]


class Layout:
    """Where ports lie in a row of words.

    Parameters
    ----------
    ports : sequence of Port
    """

    def __init__(self, ports: Sequence[Port]) -> None:
        self.ports = tuple(ports)
        self.words = 0
        self._slices: dict[str, slice] = {}
        for port in ports:
            self._slices[port.name] = slice(self.words, self.words + port.words)
            self.words += port.words

    def read(self, row: np.ndarray, name: str) -> int:
        """Return the value of a port in a row."""
        return sum(int(word) << 64 * i for i, word in enumerate(row[self._slices[name]]))

    def write(self, row: np.ndarray, name: str, value: int) -> None:
        """Set a port in a row."""
        place = self._slices[name]
        row[place] = [value >> 64 * i & ((1 << 64) - 1) for i in range(place.stop - place.start)]


def compile_netlist(netlist: Netlist) -> SimulationSource:
    """Turn a netlist into C++.

    Raises
    ------
    UnsupportedError
        If the netlist holds what this simulator does not support; it is named.
    """
    excluded: frozenset[str] = frozenset()
    while True:
        circuit = elaborate(netlist, lane_modules(netlist, excluded))
        merge_shifters(circuit)
        try:
            plan = schedule(circuit)
        except LaneLoopError as error:
            # A path from lane to lane has no order in which all lanes go at once.
            excluded |= {circuit.lanes[group - 1].module for group in error.groups}
            continue
        find_idle(circuit, plan)
        return SimulationSource(
            emit(circuit, plan),
            tuple(Port(name, width) for name, width in circuit.inputs.items()),
            tuple(Port(name, width_of(signal)) for name, signal in circuit.outputs.items()),
            tuple(_registers(circuit)),
            {lanes.module: len(lanes.instances) for lanes in circuit.lanes},
        )


def _registers(circuit: Circuit) -> list[Port]:
    registers = [
        Port(f"{path}.{state.net}" if path else state.net, state.width)
        for state in circuit.states
        for path in state.paths
    ]
    return registers + [
        Port(f"{memory.name}[{i}]", memory.width)
        for memory in circuit.graph.memories
        for i in range(memory.size)
    ]


class VectorModel:
    """A compiled netlist in motion.

    Parameters
    ----------
    source : SimulationSource
    library : ctypes.CDLL
    number : int
        Which model of the library.
    """

    def __init__(self, source: SimulationSource, library: ctypes.CDLL, number: int) -> None:
        self.source = source
        self.inputs = Layout(source.inputs)
        self.trace = Layout([*source.outputs, *source.registers])
        self._open = getattr(library, f"open_{number}")
        self._open.restype = ctypes.c_void_p
        self._close = getattr(library, f"close_{number}")
        self._close.argtypes = [ctypes.c_void_p]
        self._run = getattr(library, f"run_{number}")
        self._run.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
        ]
        self._model = self._open()

    def __del__(self) -> None:
        if getattr(self, "_model", None) is not None:
            self._close(self._model)
            self._model = None

    def run(self, stimulus: np.ndarray) -> np.ndarray:
        """Clock the model, and return outputs and registers as they were before each clock.

        Parameters
        ----------
        stimulus : uint64, shape [clocks, self.inputs.words]

        Returns
        -------
        numpy.ndarray
            uint64, shape [clocks, self.trace.words].
        """
        stimulus = np.ascontiguousarray(stimulus, dtype=np.uint64)
        trace = np.empty((len(stimulus), self.trace.words), dtype=np.uint64)
        self._run(self._model, stimulus.ctypes.data, len(stimulus), trace.ctypes.data)
        return trace


def load_model(source: SimulationSource) -> VectorModel:
    """Compile a source, unless the cache has it, and start it.

    Raises
    ------
    MissingToolError
        If the C++ compiler is missing.
    """
    return load_models([source])[0]


def load_models(sources: Sequence[SimulationSource]) -> list[VectorModel]:
    """Compile many sources to one library and start them; see `load_model`."""
    texts = [_traced(source, number) for number, source in enumerate(sources)]

    def make(folder: Path) -> None:
        commands = []
        for number, text in enumerate(texts):
            file = folder / f"{number}.cpp"
            file.write_text(text)
            command = [COMPILER, *COMPILER_FLAGS, f"-I{RUNTIME}", "-c", str(file)]
            commands.append([*command, "-o", str(file.with_suffix(".o"))])
        run_all(commands)
        objects = [str(folder / f"{number}.o") for number in range(len(texts))]
        run_all([[COMPILER, "-shared", *objects, "-o", str(folder / "model.so")]])
        for file in folder.iterdir():
            if file.suffix != ".so":
                file.unlink()

    key = [compiler_version(COMPILER, *COMPILER_FLAGS), *COMPILER_FLAGS, *runtime_texts(), *texts]
    library = ctypes.CDLL(str(cached("vector", key, make) / "model.so"))
    return [VectorModel(source, library, number) for number, source in enumerate(sources)]


def runtime_texts() -> list[str]:
    """Return the text of what every model includes."""
    return [path.read_text() for path in sorted(RUNTIME.glob("*.h"))]


def _traced(source: SimulationSource, number: int) -> str:
    """Return a translation unit with the functions that `VectorModel` calls."""
    takes = _transfers(source.inputs, "{name} = *stimulus++;", "{name}[{i}] = *stimulus++;")
    gives = _transfers(source.outputs, "*trace++ = {name};", "*trace++ = {name}[{i}];")
    registers = sum(port.words for port in source.registers)
    return f"""{source.text}
extern "C" {{
void* open_{number}() {{ return new Model; }}
void close_{number}(void* model) {{ delete static_cast<Model*>(model); }}
void run_{number}(void* opened, const uint64_t* stimulus, size_t clocks, uint64_t* trace) {{
    Model& model = *static_cast<Model*>(opened);
    for (; clocks; --clocks) {{
        {takes}
        model.settle();
        {gives}
        model.read_registers(trace);
        trace += {registers};
        model.tick();
    }}
}}
}}
""".replace("struct alignas(64) Model", "namespace {\nstruct alignas(64) Model").replace(
        '\nextern "C"', '\n}\nextern "C"'
    )


def _transfers(ports: Sequence[Port], narrow: str, wide: str) -> str:
    lines = []
    for port in ports:
        name = f"model.{identifier(port.name)}"
        if port.width <= 64:
            lines.append(narrow.format(name=name))
        else:
            lines += [wide.format(name=name, i=i) for i in range(port.words)]
    return "\n        ".join(lines)

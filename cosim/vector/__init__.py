"""The vector simulator: Verilog compiled to C++ in which identical instances are SIMD lanes.

>>> netlist = read_verilog({"counter": verilog}, "counter")   # doctest: +SKIP
>>> source = compile_netlist(netlist)    # C++ text            # doctest: +SKIP
>>> model = load_model(source)           # g++, cached         # doctest: +SKIP
>>> trace = model.run(stimulus)                                # doctest: +SKIP

`source.inputs`, `source.outputs`, and `source.registers` are tuples of `Port(name, width)`. The
clock is no input. What is not supported is named by `UnsupportedError`. Registers are named by
instance path, as ``systolic.row_0.pe_3.above``, words of a memory as ``path.memory[5]``.

`model.run` takes uint64 words of shape [clocks, words of all inputs], each input in
``ceil(width / 64)`` words, the low one first, inputs in the order of `source.inputs`. In each
clock the inputs are set, the circuit settles, outputs and then registers are written to a row of
the trace in the same layout, and the clock ticks. `model.inputs` and `model.trace` find
the words of a name (`Layout`). A model
starts from the init values of the Verilog, zero where there are none, and `run` goes on from
where the last one stopped. `load_models` compiles many sources into one library.
"""

from cosim.vector.errors import UnsupportedError
from cosim.vector.model import (
    Layout,
    Port,
    SimulationSource,
    VectorModel,
    compile_netlist,
    load_model,
    load_models,
)
from cosim.vector.netlist import Netlist, read_verilog

__all__ = [
    "Layout",
    "Netlist",
    "Port",
    "SimulationSource",
    "UnsupportedError",
    "VectorModel",
    "compile_netlist",
    "load_model",
    "load_models",
    "read_verilog",
]

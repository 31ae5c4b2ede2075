"""The vector simulator: Verilog compiled to C++ in which identical instances are SIMD lanes.

>>> netlist = read_verilog({"counter": verilog})      # Yosys; InputError if it refuses the text
>>> source = compile_netlist(netlist, "counter")      # C++ text; UnsupportedError names a cell
>>> model = load_model(source)                        # g++ through the cache
>>> trace = model.run(stimulus)

`source.inputs`, `source.outputs`, and `source.registers` are tuples of `Port(name, width)`. The
clock is no input. Registers are named by instance path, as ``systolic.row_0.pe_3.above``, words
of a memory as ``path.memory[5]``.

`model.run` takes uint64 words of shape [clocks, words of all inputs], each input in
``ceil(width / 64)`` words, the low one first, inputs in the order of `source.inputs`. In each
clock the inputs are set, the circuit settles, outputs and then registers are written to a row of
the trace in the same layout, and the clock ticks. `Layout` finds the words of a name. A model
starts from the init values of the Verilog, zero where there are none, and `run` goes on from
where the last one stopped. `load_models` compiles many sources into one library.

`Netlist` offers ``netlist.modules[name].cells`` in the words of Yosys' JSON.
"""

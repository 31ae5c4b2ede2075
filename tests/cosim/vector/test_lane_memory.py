"""Memories inside lanes hold and show what memories outside of lanes do."""

import numpy as np
import pytest

from cosim.vector import compile_netlist, load_models, read_verilog

SIZE, WIDTH = 6, 34
UNIT = f"""
module unit(input clk, input [2:0] to, input [2:0] from, input low, input high, input both,
            input [{WIDTH - 1}:0] data, output [{WIDTH - 1}:0] shown);
  reg [{WIDTH - 1}:0] words [0:{SIZE - 1}];
  initial words[4] = {WIDTH}'h2_0000_0007;
  assign shown = words[from];
  always @(posedge clk) begin
    if (low) words[to][15:0] <= data[15:0];
    if (high) words[to][{WIDTH - 1}:16] <= data[{WIDTH - 1}:16];
    if (both) words[from] <= ~data;
  end
endmodule
"""
BITS = 9 + WIDTH


def array(count):
    """Verilog of instances with inputs of their own, but for what is written from."""
    lines = [f"module array(input clk, input [2:0] from, input [{BITS * count - 1}:0] x,"]
    lines.append(f"  output [{WIDTH * count - 1}:0] y);")
    for i in range(count):
        lines.append(
            f"unit u_{i}(.clk(clk), .to(x[{BITS * i} +: 3]), .from(x[{BITS * i + 3}] ? from :"
            f" x[{BITS * i + 3} +: 3]), .low(x[{BITS * i + 6}]), .high(x[{BITS * i + 7}]),"
            f" .both(x[{BITS * i + 8}]), .data(x[{BITS * i + 9} +: {WIDTH}]),"
            f" .shown(y[{WIDTH * i} +: {WIDTH}]));"
        )
    return UNIT + "\n".join([*lines, "endmodule"])


def test_lanes_equal_scalars():
    counts = (4, 3)
    texts = [{"array": array(count)} for count in counts]
    models = load_models([compile_netlist(read_verilog(text, "array")) for text in texts])
    assert [list(model.source.lanes) for model in models] == [["unit"], []]
    rng = np.random.default_rng(3)
    rows = [np.zeros((400, model.inputs.words), np.uint64) for model in models]
    for i in range(400):
        value, start = int.from_bytes(rng.bytes(32), "little"), int(rng.integers(8))
        for model, count, stimulus in zip(models, counts, rows, strict=True):
            model.inputs.write(stimulus[i], "x", value & ((1 << BITS * count) - 1))
            model.inputs.write(stimulus[i], "from", start)
    traces = [model.run(stimulus) for model, stimulus in zip(models, rows, strict=True)]
    names = [f"u_{i}.words[{word}]" for i in range(3) for word in range(SIZE)]
    mask = (1 << WIDTH * 3) - 1
    for lanes, scalars in zip(*traces, strict=True):
        got, expected = (
            [model.trace.read(row, name) for name in names] + [model.trace.read(row, "y") & mask]
            for model, row in zip(models, (lanes, scalars), strict=True)
        )
        assert got == expected


@pytest.mark.parametrize(("words", "lanes"), [(16, ["unit"]), (17, [])])
def test_large_memories_have_no_lanes(words, lanes):
    text = array(4).replace("[2:0]", "[4:0]").replace(f"[0:{SIZE - 1}]", f"[0:{words - 1}]")
    source = compile_netlist(read_verilog({"array": text}, "array"))
    assert list(source.lanes) == lanes

"""Cells counted where they can be counted by hand."""

import pytest

import cosim.synth.mapping as mapping
from cosim.errors import CheckFailedError
from cosim.synth.mapping import areas, map_module
from cosim.synth.source import Source
from pysim import InputError

GATES = """module gates(input [9:0] d, output [3:0] y);
  assign y[0] = ~(d[0] & d[1]);
  assign y[1] = d[2] ^ d[3];
  assign y[2] = ~(d[4] & d[5] | d[6]);
  assign y[3] = d[7] ? d[8] : d[9];
endmodule
"""
LEAF = """module leaf(input clk, input rst, input [7:0] d, output reg [7:0] q);
  always @(posedge clk) if (rst) q <= 0; else q <= q + d;
endmodule
"""
PAIR = """module pair(input clk, input rst, input [7:0] d, output [7:0] q, output parity);
  // There is no other module here.
  wire [7:0] middle;
  leaf one(.clk(clk), .rst(rst), .d(d), .q(middle));
  leaf two(.clk(clk), .rst(rst), .d(middle), .q(q));
  assign parity = ^q;
endmodule
"""
QUAD = """module quad(input clk, input rst, input [7:0] d, output [7:0] q, output [1:0] parity);
  wire [7:0] middle;
  pair first(.clk(clk), .rst(rst), .d(d), .q(middle), .parity(parity[0]));
  pair second(.clk(clk), .rst(rst), .d(middle), .q(q), .parity(parity[1]));
endmodule
"""
ASYNCHRONOUS = """module asynchronous(input clk, input rst, input d, output reg q);
  always @(posedge clk or posedge rst) if (rst) q <= 0; else q <= d;
endmodule
"""
MEMORY = """module memory(input clk, input [3:0] address, input write, input d, output q);
  reg words [0:15];
  always @(posedge clk) if (write) words[address] <= d;
  assign q = words[address];
endmodule
"""
TRISTATE = """module tristate(input enable, input d, output q);
  assign q = enable ? d : 1'bz;
endmodule
"""
MULTIPLIER = """module multiplier(input [8:0] a, input [8:0] b, output [17:0] y);
  assign y = a * b;
endmodule
"""
OTHER = "module other(input a, output y);\n  assign y = a;\nendmodule\n"


def test_gates_weigh_what_the_library_says():
    own = areas(Source.of({"gates": GATES}, "gates"))["gates"].own
    assert (own.gates, own.luts) == (4, 4)
    nand, xor, and_or_invert, multiplexer = 1, 2, 4 / 3, 7 / 3
    assert own.nand2 == pytest.approx(nand + xor + and_or_invert + multiplexer)


def test_modules_add_up():
    source = Source.of({"leaf": LEAF, "pair": PAIR, "quad": QUAD, "other": OTHER}, "quad")
    assert sorted(source.modules) == ["leaf", "pair", "quad"]
    found = areas(source)
    assert list(found) == ["quad", "pair", "leaf"]
    assert {name: module.instances for name, module in found.items()} == {
        "quad": 1,
        "pair": 2,
        "leaf": 4,
    }
    leaf, pair, quad = found["leaf"], found["pair"], found["quad"]
    assert leaf.own.flip_flops == 8
    assert 4 <= leaf.own.carries <= 6
    assert leaf.own.luts == leaf.own.lut4 + 2 * leaf.own.carries
    # A full adder a bit is more than 3 XORs' worth of NAND2, and each flip-flop is counted.
    assert leaf.own.nand2 > 8 * (17 / 3 + 3)
    assert (pair.own.flip_flops, pair.own.carries) == (0, 0)
    # The parity of 8 bits.
    assert 3 <= pair.own.luts <= 16
    assert pair.own.nand2 == pytest.approx(7 * 2)
    assert quad.own.luts == 0
    assert quad.total == pair.own * 2 + leaf.own * 4
    assert pair.total == pair.own + leaf.own * 2


def test_a_wide_multiplier_is_a_dsp():
    own = areas(Source.of({"multiplier": MULTIPLIER}, "multiplier"))["multiplier"].own
    assert (own.dsps, own.flip_flops) == (1, 0)
    assert own.gates > 200
    without = areas(Source.of({"multiplier": MULTIPLIER}, "multiplier"), dsp=False)
    assert without["multiplier"].own.dsps == 0
    assert without["multiplier"].own.luts > own.luts + 40


def test_a_small_memory_is_made_of_luts():
    own = areas(Source.of({"memory": MEMORY}, "memory"))["memory"].own
    assert (own.lut_rams, own.lut4, own.luts, own.flip_flops) == (1, 0, 6, 0)
    # Gates have no memories: a flip-flop for each word.
    assert own.nand2 > 16 * 17 / 3


def test_what_has_no_weight_is_named():
    with pytest.raises(CheckFailedError, match=r"module tristate becomes a cell \$_TBUF_"):
        areas(Source.of({"tristate": TRISTATE}, "tristate"))
    with pytest.raises(CheckFailedError, match="async set or reset are not supported"):
        areas(Source.of({"asynchronous": ASYNCHRONOUS}, "asynchronous"))


def test_verilog_that_is_none():
    with pytest.raises(CheckFailedError, match="Yosys refuses the Verilog"):
        areas(
            Source.of({"broken": "module broken(input a);\n  asign b = a;\nendmodule\n"}, "broken")
        )


def test_no_such_module():
    with pytest.raises(InputError, match="no module 'none': there are leaf, pair"):
        Source.of({"leaf": LEAF, "pair": PAIR}, "none")


def test_a_module_is_mapped_once_in_all_its_users(monkeypatch):
    areas(Source.of({"leaf": LEAF, "pair": PAIR}, "pair"))

    def fail(*arguments):
        raise AssertionError(arguments)

    monkeypatch.setattr(mapping, "run_yosys", fail)
    source = Source.of({"leaf": LEAF, "pair": PAIR, "quad": QUAD}, "quad")
    map_module(source, "leaf")
    map_module(source, "pair")
    edited = Source.of({"leaf": LEAF.replace("q + d", "q - d")}, "leaf")
    with pytest.raises(AssertionError):
        map_module(edited, "leaf")

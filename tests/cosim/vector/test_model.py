"""Verilog in, traces out: what becomes lanes, what state does, and what is refused."""

import numpy as np
import pytest

import rtl_gen
from cosim.errors import CheckFailedError
from cosim.vector import (
    Layout,
    UnsupportedError,
    compile_netlist,
    load_models,
    read_verilog,
)
from cosim.vector.graph import Node
from pysim import ArrayConfig

RING = """
module station(input clk, input rst, input [39:0] left, input load, input [39:0] value,
               output reg [39:0] right);
  always @(posedge clk)
    if (rst) right <= 0;
    else right <= load ? value : left + 1;
endmodule
module ring(input clk, input rst, input [3:0] where, input [39:0] value, output [39:0] first);
  wire [39:0] links [0:6];
  genvar i;
  generate
    for (i = 0; i < 6; i = i + 1) begin : stations
      station s(.clk(clk), .rst(rst), .left(links[i]), .load(where == i), .value(value),
                .right(links[i + 1]));
    end
  endgenerate
  assign links[0] = links[6];
  assign first = links[1];
endmodule
"""

RIPPLE = """
module full_adder(input a, input b, input carry, output sum, output next);
  assign sum = a ^ b ^ carry;
  assign next = (a & b) | (carry & (a ^ b));
endmodule
module ripple(input clk, input [7:0] a, input [7:0] b, output [8:0] total, output reg [8:0] last);
  wire [8:0] carries;
  genvar i;
  generate
    for (i = 0; i < 8; i = i + 1) begin : bits
      full_adder f(.a(a[i]), .b(b[i]), .carry(carries[i]), .sum(total[i]), .next(carries[i + 1]));
    end
  endgenerate
  assign carries[0] = 1'b0;
  assign total[8] = carries[8];
  always @(posedge clk) last <= total;
endmodule
"""

MEMORY = """
module memory(input clk, input write, input [4:0] address, input [69:0] data, output [69:0] shown,
              output reg [2:0] count, input arst);
  reg [69:0] words [0:19];
  assign shown = words[address];
  initial words[3] = 70'h21_0000_0000_0000_0007;
  always @(posedge clk) if (write) words[address] <= data;
  initial count = 5;
  always @(posedge clk or posedge arst) if (arst) count <= 2; else if (write) count <= count + 1;
endmodule
"""

FUNNEL = """
module funnel(input clk, input [199:0] wide, input [7:0] amount, input signed [5:0] small,
              output [199:0] right, output reg [199:0] sum, output [79:0] product, output less);
  assign right = wide >> amount;
  assign product = wide[79:0] * wide[179:100];
  assign less = $signed(wide[70:0]) < small;
  always @(posedge clk) sum <= sum + wide;
endmodule
"""


@pytest.fixture(scope="module")
def models():
    texts = {"ring": RING, "ripple": RIPPLE, "memory": MEMORY, "funnel": FUNNEL}
    sources = [compile_netlist(read_verilog({name: text}, name)) for name, text in texts.items()]
    return dict(zip(texts, load_models(sources), strict=True))


def stimulus(layout: Layout, clocks: list[dict[str, int]]) -> np.ndarray:
    rows = np.zeros((len(clocks), layout.words), dtype=np.uint64)
    for row, values in zip(rows, clocks, strict=True):
        for name, value in values.items():
            layout.write(row, name, value)
    return rows


def test_lanes_pass_values_around(models):
    model = models["ring"]
    assert model.source.lanes == {"station": 6}
    rng = np.random.default_rng(0)
    clocks = [
        {"rst": int(rng.random() < 0.1), "where": int(rng.integers(9)), "value": int(value)}
        for value in rng.integers(1 << 40, size=300)
    ]
    trace = model.run(stimulus(model.inputs, clocks))
    state = [0] * 6
    for row, values in zip(trace, clocks, strict=True):
        assert model.trace.read(row, "first") == state[0]
        for i in range(6):
            assert model.trace.read(row, f"stations[{i}].s.right") == state[i]
        moved = [(state[i - 1] + 1) % (1 << 40) for i in range(6)]
        if values["where"] < 6:
            moved[values["where"]] = values["value"]
        state = [0] * 6 if values["rst"] else moved


def test_lanes_are_in_the_order_of_numbers():
    text = RING.replace("links [0:6]", "links [0:12]").replace("i < 6", "i < 12")
    source = compile_netlist(read_verilog({"ring": text.replace("links[6]", "links[12]")}, "ring"))
    names = [port.name for port in source.registers]
    assert names == [f"stations[{i}].s.right" for i in range(12)]


def test_path_from_lane_to_lane_dissolves_the_lanes(models):
    model = models["ripple"]
    assert model.source.lanes == {}
    rng = np.random.default_rng(0)
    clocks = [{"a": int(a), "b": int(b)} for a, b in rng.integers(256, size=(100, 2))]
    trace = model.run(stimulus(model.inputs, clocks))
    totals = [values["a"] + values["b"] for values in clocks]
    assert [model.trace.read(row, "total") for row in trace] == totals
    assert [model.trace.read(row, "last") for row in trace] == [0, *totals[:-1]]


def test_memory_and_asynchronous_reset(models):
    model = models["memory"]
    rng = np.random.default_rng(0)
    words, count = [0] * 20, 5
    words[3] = 0x21 << 64 | 7
    clocks = [
        {
            "write": int(rng.random() < 0.5),
            "address": int(rng.integers(32)),
            "data": int.from_bytes(rng.bytes(8)) * 64 + 5,
            "arst": int(rng.random() < 0.1),
        }
        for _ in range(300)
    ]
    trace = model.run(stimulus(model.inputs, clocks))
    for row, values in zip(trace, clocks, strict=True):
        address = values["address"]
        count = 2 if values["arst"] else count
        assert model.trace.read(row, "shown") == (words[address] if address < 20 else 0)
        assert model.trace.read(row, "count") == count
        assert [model.trace.read(row, f"words[{i}]") for i in range(20)] == words
        if values["write"]:
            count = 2 if values["arst"] else (count + 1) % 8
            if address < 20:
                words[address] = values["data"]


def test_wide_words(models):
    model = models["funnel"]
    rng = np.random.default_rng(0)
    clocks = [
        {
            "wide": int.from_bytes(rng.bytes(25)),
            "amount": int(rng.integers(256)),
            "small": int(rng.integers(64)),
        }
        for _ in range(200)
    ]
    trace = model.run(stimulus(model.inputs, clocks))
    total = 0
    for row, values in zip(trace, clocks, strict=True):
        wide, small = values["wide"], values["small"]
        low = wide & ((1 << 80) - 1)
        high = wide >> 100 & ((1 << 80) - 1)
        signed = (wide & ((1 << 71) - 1)) - (wide >> 70 & 1) * (1 << 71)
        assert model.trace.read(row, "right") == wide >> values["amount"]
        assert model.trace.read(row, "product") == low * high % (1 << 80)
        assert model.trace.read(row, "less") == (signed < small - (small >> 5) * 64)
        assert model.trace.read(row, "sum") == total
        total = (total + wide) % (1 << 200)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("always @* if (a) q = b;", r"the cell type \$dlatch .*module 'top'"),
        ("assign q = a / b;", r"the cell type \$div"),
        (
            "wire y, x = ~(y & a); assign y = x | b; assign q = x;",
            r"the combinational loop through",
        ),
        ("always @(negedge clk) q <= a;", r"the falling clock edge of register"),
        (
            "always @(posedge clk) q <= a; reg r; always @(posedge b) r <= a;",
            r"more than one clock",
        ),
        ("wire g = clk & b; always @(posedge g) q <= a;", r"the clock of register .*not an input"),
        ("assign q = a; always @(posedge clk) s <= clk;", r"the clock 'clk' as data"),
    ],
)
def test_what_is_not_supported_is_named(body, named):
    declared = "reg" if "q <=" in body or "q =" in body.replace("assign q =", "") else "wire"
    text = f"""module top(input clk, input a, input b, output {declared} q, output reg s);
    {body}
    endmodule"""
    with pytest.raises(UnsupportedError, match=named) as caught:
        compile_netlist(read_verilog({"top": text}, "top"))
    assert "use --simulator verilator" in str(caught.value)


def test_verilog_that_is_wrong():
    with pytest.raises(CheckFailedError, match=r"Yosys refuses the Verilog:\nbroken.v:1: ERROR"):
        read_verilog({"broken": "module broken(; endmodule"}, "broken")


def test_text_depends_on_the_netlist_alone(monkeypatch):
    """The cache finds a model by its text, so the order of sets must not show in it."""
    design = rtl_gen.design(ArrayConfig(4, 4, latency=1))
    netlist = read_verilog(design.modules, design.manifest["top"])
    texts = set()
    for salt in range(4):
        monkeypatch.setattr(Node, "__hash__", lambda node, salt=salt: hash((salt, id(node))))
        texts.add(compile_netlist(netlist).text)
    assert len(texts) == 1

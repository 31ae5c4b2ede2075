"""Shifters in stages become one operation where they are shifters, and nothing else does."""

import re

import numpy as np
import pytest

from cosim.vector import compile_netlist, load_models, model, read_verilog

LANES = 5

ARRAY = """
module array(input clk, {ports}, output [{high}:0] y);
  genvar i;
  generate
    for (i = 0; i < {lanes}; i = i + 1) begin : units
      unit u(.clk(clk), .x(x[27*i +: 27]), .n(n[5*i +: 5]), .y(y[40*i +: 40]));
    end
  endgenerate
endmodule
module unit(input clk, input [26:0] x, input [4:0] n, output reg [39:0] y);
{body}
  always @(posedge clk) y <= result;
endmodule
"""

RIGHT = """
  wire [26:0] s0 = n[0] ? x >> 1 : x, s1 = n[1] ? s0 >> 2 : s0, s2 = n[2] ? s1 >> 4 : s1;
  wire [26:0] s3 = n[3] ? s2 >> 8 : s2, s4 = n[4] ? s3 >> 16 : s3;
  wire l0 = n[0] & x[0], l1 = l0 | (n[1] & |s0[1:0]), l2 = l1 | (n[2] & |s1[3:0]);
  wire l3 = l2 | (n[3] & |s2[7:0]), l4 = l3 | (n[4] & |s3[15:0]);
  wire [39:0] result = {l4, s4};
"""
LEFT = """
  wire [26:0] s0 = n[4] ? x << 16 : x, s1 = n[0] ? s0 << 1 : s0, s2 = n[3] ? s1 << 8 : s1;
  wire [26:0] s3 = n[1] ? s2 << 2 : s2, s4 = n[2] ? s3 << 4 : s3;
  wire [39:0] result = s4;
"""
NORMAL = """
  wire e4 = ~|x[26:11], e3 = ~|s4[26:19], e2 = ~|s3[26:23], e1 = ~|s2[26:25], e0 = ~s1[26];
  wire [26:0] s4 = e4 ? x << 16 : x, s3 = e3 ? s4 << 8 : s4, s2 = e2 ? s3 << 4 : s3;
  wire [26:0] s1 = e1 ? s2 << 2 : s2, s0 = e0 ? s1 << 1 : s1;
  wire [39:0] result = {e4, e3, e2, e1, e0, s0};
"""
SHORT = """
  wire e1 = ~|x[26:25], e0 = ~s1[26];
  wire [26:0] s1 = e1 ? x << 2 : x;
  wire [24:0] s0 = e0 ? s1 << 1 : s1;
  wire [39:0] result = {e1, e0, s0};
"""


def right(x, n):
    return x >> n | (x & ((1 << n) - 1) != 0) << 27


def left(x, n):
    return x << n & ((1 << 27) - 1)


def normal(x, n):
    zeros = min(27 - x.bit_length(), 31) if x else 31
    return zeros << 27 | left(x, zeros)


def short(x, n):
    zeros = min(27 - x.bit_length(), 3)
    return zeros << 25 | left(x, zeros) & ((1 << 25) - 1)


def broken_right(x, n):
    """Of `RIGHT` where the last stage shifts by 15."""
    low = n & 15
    lost = x & ((1 << low) - 1) != 0 or (n > 15 and (x >> low) & 0xFFFF != 0)
    return (x >> low >> 15 if n > 15 else x >> low) | lost << 27


def unlost(x, n):
    """Of `RIGHT` where the first stage never loses a bit."""
    return right(x, n) & ~(1 << 27) | (x >> (n & 1) << (n & 1) & ((1 << n) - 1) != 0) << 27


def broken_normal(x, n):
    """Of `NORMAL` where the second stage looks at one bit less."""
    zeros = 0
    for distance, looked_at in ((16, 16), (8, 7), (4, 4), (2, 2), (1, 1)):
        if x >> (27 - looked_at) == 0:
            x, zeros = left(x, distance), zeros + distance
    return zeros << 27 | x


CASES = {
    "right": (RIGHT, right, {"lost"}),
    "left": (LEFT, left, set()),
    "normal": (NORMAL, normal, {"leading_zeros"}),
    "short": (SHORT, short, {"leading_zeros"}),
    "another distance": (RIGHT.replace("s3 >> 16", "s3 >> 15"), broken_right, {"lost"}),
    "a bit unlost": (RIGHT.replace("n[0] & x[0]", "1'b0"), unlost, set()),
    "another count": (NORMAL.replace("~|s4[26:19]", "~|s4[26:20]"), broken_normal, set()),
}


@pytest.fixture(scope="module", params=[[], ["-mno-avx512f"]], ids=["native", "without AVX-512"])
def models(request):
    sources = []
    for body, _, _ in CASES.values():
        ports = f"input [{27 * LANES - 1}:0] x, input [{5 * LANES - 1}:0] n"
        text = ARRAY.format(ports=ports, high=40 * LANES - 1, lanes=LANES, body=body)
        sources.append(compile_netlist(read_verilog({"array": text}, "array")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "COMPILER_FLAGS", [*model.COMPILER_FLAGS, *request.param])
        return dict(zip(CASES, load_models(sources), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_shifter(name, models):
    simulated = models[name]
    _, expected, operations = CASES[name]
    found = set(re.findall(r"lanes::(lost|leading_zeros)\(", simulated.source.text))
    assert found == operations
    rng = np.random.default_rng(0)
    values = rng.integers(1 << 27, size=(400, LANES)) >> rng.integers(28, size=(400, LANES))
    values &= -1 << rng.integers(27, size=(400, LANES))
    amounts = rng.integers(32, size=(400, LANES))
    rows = np.zeros((401, simulated.inputs.words), dtype=np.uint64)
    for row, xs, ns in zip(rows, values, amounts, strict=False):
        simulated.inputs.write(row, "x", sum(int(x) << 27 * i for i, x in enumerate(xs)))
        simulated.inputs.write(row, "n", sum(int(n) << 5 * i for i, n in enumerate(ns)))
    trace = simulated.run(rows)
    for row, xs, ns in zip(trace[1:], values, amounts, strict=True):
        results = [expected(int(x), int(n)) for x, n in zip(xs, ns, strict=True)]
        assert simulated.trace.read(row, "y") == sum(
            value << 40 * i for i, value in enumerate(results)
        )

"""Lanes whose enables are off are skipped, and every register and output is as if they were not."""

import numpy as np
import pytest

from cosim.vector import compile_netlist, load_models, read_verilog

MASK = (1 << 32) - 1
ROUNDS = 12

UNIT = f"""
module unit(input clk, input rst, input en, input next, input [15:0] x,
            output reg [31:0] sum, output reg [31:0] count, output [31:0] shown);
  wire [31:0] mixed [0:{ROUNDS}];
  wire [31:0] counted [0:{ROUNDS}];
  wire [31:0] drawn [0:{ROUNDS}];
  genvar i;
  generate
    for (i = 0; i < {ROUNDS}; i = i + 1) begin : rounds
      assign mixed[i + 1] = (mixed[i] ^ (mixed[i] << 5)) + x + i;
      assign counted[i + 1] = (counted[i] ^ (counted[i] >> 3)) * 5 + i;
      assign drawn[i + 1] = (drawn[i] ^ (drawn[i] << 5)) + sum + i;
    end
  endgenerate
  assign mixed[0] = sum + 1;
  assign counted[0] = count + 1;
  assign drawn[0] = count + 1;
  assign shown = en ? drawn[{ROUNDS}] : {{16'd0, x}};
  always @(posedge clk) begin
    sum <= rst ? 7 : IDLE_SUM;
    if (next) count <= counted[{ROUNDS}];
  end
endmodule
module array(input clk, input rst, input [LANES-1:0] en, input [LANES-1:0] next,
             input [16*LANES-1:0] x, output [32*LANES-1:0] shown);
  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : units
      unit u(.clk(clk), .rst(rst), .en(en[i]), .next(next[i]), .x(x[16*i +: 16]),
             .sum(), .count(), .shown(shown[32*i +: 32]));
    end
  endgenerate
endmodule
"""

KEEPS = f"en ? mixed[{ROUNDS}] : sum"
MOVES = f"en ? mixed[{ROUNDS}] : sum + 1"
WORKS = f"en ? sum : mixed[{ROUNDS}]"
CASES = [(update, lanes) for update in (KEEPS, MOVES, WORKS) for lanes in (5, 40)]


def mixed(value, x):
    value = value + 1 & MASK
    for i in range(ROUNDS):
        value = (value ^ value << 5 & MASK) + x + i & MASK
    return value


def counted(value):
    value = value + 1 & MASK
    for i in range(ROUNDS):
        value = (value ^ value >> 3) * 5 + i & MASK
    return value


@pytest.fixture(scope="module")
def models():
    sources = []
    for update, lanes in CASES:
        text = UNIT.replace("IDLE_SUM", update).replace("LANES", str(lanes))
        sources.append(compile_netlist(read_verilog({"array": text}, "array")))
    return dict(zip(CASES, load_models(sources), strict=True))


@pytest.mark.parametrize("update", [KEEPS, MOVES, WORKS])
@pytest.mark.parametrize("lanes", [5, 40])
def test_idle_lanes(update, lanes, models):
    model = models[update, lanes]
    # One loop for what is shown, and one for the registers.
    assert model.source.text.count("lanes::some(") == 2
    rng = np.random.default_rng(lanes)
    sums, counts = [0] * lanes, [0] * lanes
    rows = np.zeros((120, model.inputs.words), dtype=np.uint64)
    clocks = []
    for row in rows:
        # Seldom, so that in most clocks whole vectors are idle.
        rare = rng.choice([0, 0.02, 0.5])
        en, following = (rng.random(lanes) < rare for _ in range(2))
        rst, x = bool(rng.random() < 0.05), rng.integers(1 << 16, size=lanes)
        clocks.append((rst, en, following, x))
        model.inputs.write(row, "rst", rst)
        for name, values, width in (("en", en, 1), ("next", following, 1), ("x", x, 16)):
            model.inputs.write(row, name, sum(int(v) << width * i for i, v in enumerate(values)))
    for row, (rst, en, following, x) in zip(model.run(rows), clocks, strict=True):
        shown = model.trace.read(row, "shown")
        for i in range(lanes):
            result = mixed(sums[i], int(x[i]))
            assert shown >> 32 * i & MASK == (mixed(counts[i], sums[i]) if en[i] else x[i])
            assert model.trace.read(row, f"units[{i}].u.sum") == sums[i]
            assert model.trace.read(row, f"units[{i}].u.count") == counts[i]
            idle = {KEEPS: sums[i], MOVES: sums[i] + 1 & MASK, WORKS: result}[update]
            busy = sums[i] if update == WORKS else result
            sums[i] = 7 if rst else busy if en[i] else idle
            counts[i] = counted(counts[i]) if following[i] else counts[i]

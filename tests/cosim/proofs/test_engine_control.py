"""The proofs of the engine's control hold, and do not of Verilog with a fault."""

import re
from dataclasses import replace

import pytest

import rtl_gen
from cosim.proofs import Outcome, faulty_modules, prove, select, statements
from pysim import ArrayConfig

FAMILIES = "^(registers|sequencer|engine)/"


SMALL = [ArrayConfig(1, 1, latency=1), ArrayConfig(3, 1, latency=6, lfsr_width=24, random_bits=8)]


@pytest.mark.parametrize("config", [None, *SMALL], ids=["2x3", "1x1", "3x1"])
def test_control(engine, config):
    chosen = engine if config is None else rtl_gen.design(config)
    for verdict in prove(chosen, select(statements(chosen), FAMILIES)):
        assert verdict.outcome is Outcome.PROVED, (verdict.statement.name, verdict)


REGISTERS, SEQUENCER = "fp8_engine_registers", "fp8_tile_sequencer_2x9"
ENGINE = "fp8_gemm_engine"

FAULTS = {
    # What is planted in which module, and the statement that it violates.
    "write done while an answer waits": (
        REGISTERS,
        r"assign write = (\w+) & \w+;",
        r"assign write = \1;",
        "registers/writes",
    ),
    "address lost": (
        REGISTERS,
        "assign bus_awready = ~ has_address;",
        "assign bus_awready = 1'h1;",
        "registers/writes",
    ),
    "write done twice": (
        REGISTERS,
        r"= write \? 1'h0 : (\w+);\n(.*\n)*?(  assign \w+ = rst)",
        r"= \1;\n\2\3",
        "registers/writes",
    ),
    "answer to a read that changes": (
        REGISTERS,
        "assign bus_arready = ~ bus_rvalid;",
        "assign bus_arready = 1'h1;",
        "registers/reads",
    ),
    "size that reads wrong": (
        REGISTERS,
        r"\? size_n_size : ",
        "? size_m_size : ",
        "registers/reads",
    ),
    "lock without effect": (
        REGISTERS,
        r"(assign \w+ = )~ lock;",
        r"\g<1>1'h1;",
        "registers/settings",
    ),
    "refusal that is not told": (
        REGISTERS,
        r"= accepted \? 2'h0 : 2'h2;",
        "= accepted ? 2'h0 : 2'h0;",
        "registers/refusals",
    ),
    "strobes ignored": (REGISTERS, r"= strobes & \w+;", "= 4'hf;", "registers/settings"),
    "cause that a write wins over": (
        REGISTERS,
        r"(assign \w+ = )\w+ \| errors_locked_set;",
        r"\g<1>errors_locked_set;",
        "registers/sticky",
    ),
    "trigger that takes any write": (
        REGISTERS,
        r"clear_clear = write_clear \? (\w+) : 1'h0",
        "clear_clear = write_clear",
        "registers/triggers",
    ),
    "lane written while locked": (
        REGISTERS,
        r"(lane_high_state_write = \w+ \? )\w+",
        r"\1write",
        "registers/direct",
    ),
    "cause that outlives a clear": (
        REGISTERS,
        r"= clear \? 1'h0 : (\w+);",
        r"= \1;",
        "registers/sticky",
    ),
    "tile too wide at the edge": (
        SEQUENCER,
        r"(payload\.cols  = )\w+ \? cols_left\[8:0\] : ",
        r"\1",
        "sequencer/tiles",
    ),
    "row of tiles begun late": (
        SEQUENCER,
        r"(= \w+ \? )n : cols_left;",
        r"\1n - 24'h000001 : cols_left;",
        "sequencer/tiles",
    ),
    "clear without effect": (
        SEQUENCER,
        r"= clear \? 1'h0 : ",
        "= 1'h0 ? 1'h0 : ",
        "sequencer/tiles",
    ),
    "row offered after a failure": (ENGINE, r"= failed \| wrong;", "= failed;", "engine/failed"),
    "row offered after CLEAR": (
        ENGINE,
        r"(= failed \| wrong;\n  assign \w+ = \w+) \| clear;",
        r"\1;",
        "engine/failed",
    ),
    "offered row that changes": (
        ENGINE,
        r"assign d__ready = \w+ \| m_axis_d_tready;",
        "assign d__ready = 1'h1;",
        "engine/offered",
    ),
    "packet that ends with the wrong row": (
        ENGINE,
        r"d__payload\[99\]",
        "d__payload[98]",
        "engine/rows",
    ),
    "late end not noticed": (
        ENGINE,
        "s_axis_a_tlast != a_last",
        "s_axis_a_tlast & ~ a_last",
        "engine/packets",
    ),
    "lane that lacks not noticed": (
        ENGINE,
        r"s_axis_b_tkeep\[2\] \| \w+",
        "1'h1",
        "engine/packets",
    ),
    "STOP without effect": (ENGINE, "stop_stop & busy", "1'h0", "engine/packets"),
    "sender that hangs after a failure": (
        ENGINE,
        r"s_axis_c_tready = failed \| c__ready",
        "s_axis_c_tready = c__ready",
        "engine/failed",
    ),
    "array that goes on after a failure": (
        ENGINE,
        r"reset_array = failed \| clear",
        "reset_array = clear",
        "engine/wiring",
    ),
    "settings that change while busy": (
        ENGINE,
        r"lock = busy \| failed",
        "lock = failed",
        "engine/settings",
    ),
    "end of a call before its last tile": (
        ENGINE,
        "tiles_inside == 3'h1",
        "tiles_inside <= 3'h2",
        "engine/ends",
    ),
    "tile that is not counted": (
        ENGINE,
        r"tiles_inside \+ \{ 2'h0, tile_starts \}",
        "tiles_inside",
        "engine/ends",
    ),
    "size of zero": (ENGINE, "size_k_size == 32'd0", "1'h0", "engine/starts"),
    "cause that is not enabled": (
        ENGINE,
        "status_done & interrupts_done",
        "status_done",
        "engine/interrupt",
    ),
    "clocks counted while idle": (
        ENGINE,
        "busy & m_axis_d_tvalid",
        "m_axis_d_tvalid",
        "engine/counters",
    ),
    "lane loaded in place of another": (
        ENGINE,
        r"lfsr_load = lane_high_state_write & \w+",
        "lfsr_load = lane_high_state_write",
        "engine/lanes",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_refuted(engine, name):
    module, place, text, violated = FAULTS[name]
    edited, count = re.subn(place, text, engine.modules[module])
    assert count, engine.modules[module]
    assert edited != engine.modules[module]
    faulty = replace(engine, modules={**engine.modules, module: edited})
    verdicts = list(prove(faulty, select(statements(faulty), f"^{violated}$")))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.REFUTED], verdicts
    assert verdicts[0].counterexample
    assert faulty_modules(faulty, verdicts) == [module]

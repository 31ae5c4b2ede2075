"""The proofs of the engine's control hold, and do not of Verilog with a fault."""

import os
import re
from dataclasses import replace

import pytest

import rtl_gen
from cosim.proofs import Outcome, faulty_modules, prove, select, statements
from pysim import ArrayConfig

OTHERS = [ArrayConfig(1, 1, latency=1), ArrayConfig(3, 1, latency=6, lfsr_width=24, random_bits=8)]


def holds(design, expression):
    for verdict in prove(design, select(statements(design), expression)):
        assert verdict.outcome is Outcome.PROVED, (verdict.statement.name, verdict)


def test_control(engine):
    holds(engine, "^(registers|sequencer|schedule|array|stream|engine)/")


@pytest.mark.parametrize("config", OTHERS, ids=["1x1", "3x1"])
def test_other_configurations(config):
    # What depends on the configuration most.
    holds(
        rtl_gen.design(config),
        "^sequencer|^schedule/(steps|drains|moves)|^array/(rows|marks)|^stream/packets",
    )


REGISTERS, SEQUENCER = "fp8_engine_registers", "fp8_tile_sequencer_2x9"
SCHEDULE, ARRAY = "fp8_overlapped_schedule_2x3_3", "fp8_overlapped_array"
STREAM, ENGINE = "fp8_stream_converter", "fp8_gemm_engine"

FAULTS = {
    # What is planted in which module, and the statement that it violates.
    "cause that outlives a clear": (
        REGISTERS,
        r"= clear \? 1'h0 : (\w+);",
        r"= \1;",
        "registers/sticky",
    ),
    "address lost": (
        REGISTERS,
        "assign bus_awready = ~ has_address;",
        "assign bus_awready = 1'h1;",
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
        r"(assign \w+ = )~ lock_call;",
        r"\g<1>1'h1;",
        "registers/settings",
    ),
    "refusal that is not told": (
        REGISTERS,
        r"= accepted \? 2'h0 : 2'h2;",
        "= accepted ? 2'h0 : 2'h0;",
        "registers/refusals",
    ),
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
        r"(\blane_high_state_write = \w+ \? )\w+",
        r"\1write",
        "registers/direct",
    ),
    "tile too wide at the edge": (
        SEQUENCER,
        r"(payload\.cols  = )\w+ \? cols_left\[8:0\] : ",
        r"\1",
        "sequencer/tiles",
    ),
    "clear without effect": (
        SEQUENCER,
        r"= clear \? 1'h0 : ",
        "= 1'h0 ? 1'h0 : ",
        "sequencer/tiles",
    ),
    "operands that enter without B": (
        SCHEDULE,
        "assign both = a_valid & b_valid;",
        "assign both = a_valid;",
        "schedule/steps",
    ),
    "shift a clock too early": (
        SCHEDULE,
        r"pass_ends \? 24'h000005",
        "pass_ends ? 24'h000004",
        "schedule/shifts",
    ),
    "step out of turn": (SCHEDULE, "turn == step_slot", "1'h1", "schedule/steps"),
    "sums that start from what is left": (
        SCHEDULE,
        r"~ upcoming\[\d\];",
        "1'h0;",
        "schedule/begins",
    ),
    "second pass with marks": (
        SCHEDULE,
        r"pass_ends \? 1'h0 : first",
        "first",
        "schedule/begins",
    ),
    "row of C too few": (SCHEDULE, "< 25'h0000002;", "< 25'h0000003;", "schedule/loads"),
    "result without room": (
        SCHEDULE,
        r"(assign accept = .*)result_ready",
        r"\g<1>1'h1",
        "schedule/drains",
    ),
    "tile that waits for one that is not there": (
        SCHEDULE,
        r"(assign launch = \w+ \? )\w+",
        r"\1tile_ends",
        "schedule/moves",
    ),
    "last row told early": (ARRAY, r"lasts\[5\]", "lasts[4]", "array/rows"),
    "marks with each step": (ARRAY, r"= step & \\first\S* ;", "= step;", "array/marks"),
    "row that is not used and counts": (
        ARRAY,
        r"operands & a_used\[1\]",
        "operands",
        "array/operands",
    ),
    "C in a column that is not used": (
        ARRAY,
        r"(assign \w+ = load) & c_used\[2\]",
        r"\1",
        "array/start",
    ),
    "C that comes with A": (
        ARRAY,
        r"\.c_valid\(c_valid\)",
        ".c_valid(a_valid)",
        "array/streams",
    ),
    "result of a column that is not used": (
        ARRAY,
        "accept_cols > 7'h02",
        "accept_cols > 7'h01",
        "array/columns",
    ),
    "lane read in place of another": (
        ARRAY,
        "lfsr_lane == 2'h1",
        "lfsr_lane == 2'h2",
        "array/lanes",
    ),
    "flag raised for another": (
        ARRAY,
        r"\{ sums\[67\], 2'h0, sums\[66\] \}",
        "{ 2'h0, sums[67], sums[66] }",
        "array/flags",
    ),
    "row that does not wait": (ARRAY, r"= \w+ \| d_ready;", "= 1'h1;", "array/stable"),
    "C taken for no tile": (
        ARRAY,
        r"\.commands_valid\(commands_valid\)",
        ".commands_valid(1'h1)",
        "array/tiles",
    ),
    "flag that outlives a clear": (
        STREAM,
        r"= clear \? 4'h0 : ",
        "= 1'h0 ? 4'h0 : ",
        "stream/flags",
    ),
    "transfer that is not full": (STREAM, r"= x_tlast \| \w+;", "= 1'h1;", "stream/packets"),
    "code that does not wait": (STREAM, r"= \w+ \| y_tready;", "= 1'h1;", "stream/offered"),
    "end of packet told early": (STREAM, r"lasts\[5\]", "lasts[4]", "stream/rows"),
    "idle with a packet open": (STREAM, r"= open_packet \| ", "= ", "stream/busy"),
    "draw of a lane that does not count": (
        STREAM,
        r"(assign \\accept\S+ +=) accept & ",
        r"\1 ",
        "stream/columns",
    ),
    "row offered after CLEAR": (
        ENGINE,
        r"(= failed \| wrong;\n  assign \w+ = \w+) \| clear;",
        r"\1;",
        "engine/failed",
    ),
    "mode of X written with its first transfer": (
        ENGINE,
        r"(assign lock_packet = \w+) \| .*;",
        r"\1;",
        "engine/settings",
    ),
    "row offered after a failure": (ENGINE, r"= failed \| wrong;", "= failed;", "engine/failed"),
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
        r"lock_call = busy \| failed",
        "lock_call = failed",
        "engine/settings",
    ),
    "end of a call before its last tile": (
        ENGINE,
        "tiles_inside == 4'h1",
        "tiles_inside <= 4'h2",
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


def of_each_family(count):
    """Return the names of as many faults of each family of statements."""
    families = {}
    for name, (_, _, _, violated) in FAULTS.items():
        families.setdefault(violated.partition("/")[0], []).append(name)
    return [name for names in families.values() for name in names[:count]]


@pytest.mark.parametrize("name", of_each_family(int(os.environ.get("FP8COSIM_PROOF_FAULTS", "2"))))
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

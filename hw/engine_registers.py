"""The registers of the GEMM engine."""

from hw.registers import Access, Field, Register, RegisterMap
from pysim.config import ArrayConfig

IDENTITY = 0x47384650
"""``PF8G`` in ASCII, the low byte first."""

VERSION = (1, 0)
"""Major and minor: software written for a minor version runs on later ones."""

COUNTERS = {
    "cycles": "clocks from START until the last result was taken",
    "computing": "clocks in which operands entered the array",
    "starved": "clocks in which the array waited for A, B, or C",
    "blocked": "clocks in which a result waited for its taker",
    "macs": "multiply-accumulates of the part of the array in use",
}
COUNTER_BITS = 64


def engine_registers(config: ArrayConfig) -> RegisterMap:
    """Return the register map of an engine."""
    constant, state, setting = Access.CONSTANT, Access.STATE, Access.SETTING
    sticky, trigger, direct = Access.STICKY, Access.TRIGGER, Access.DIRECT
    low, high = config.seed & 0xFFFFFFFF, config.seed >> 32
    counters = [
        Register(f"{name}_{half}", doc, (Field("count", 32, state, f"{half} word"),))
        for name, doc in COUNTERS.items()
        for half in ("low", "high")
    ]
    return RegisterMap(
        "engine",
        (
            Register(
                "identity",
                "what this is",
                (Field("value", 32, constant, "`PF8G`, the low byte first", IDENTITY),),
            ),
            Register(
                "version",
                "of the register map",
                (
                    Field("minor", 8, constant, "what was added", VERSION[1]),
                    Field("major", 8, constant, "what software must know", VERSION[0]),
                ),
            ),
            Register(
                "geometry",
                "how the engine was generated",
                (
                    Field("rows", 8, constant, "of the array", config.rows),
                    Field("cols", 8, constant, "of the array", config.cols),
                    Field("lfsr_width", 8, constant, "bits of a lane", config.lfsr_width),
                    Field("random_bits", 8, constant, "bits of a draw", config.random_bits),
                ),
            ),
            Register(
                "pipeline",
                "how the engine was generated",
                (Field("latency", 8, constant, "clocks of a step, and slots", config.latency),),
            ),
            Register(
                "seed_low",
                "state of lane 0 after reset; the other lanes follow by jumps",
                (Field("value", 32, constant, "low word", low),),
            ),
            Register(
                "seed_high",
                "state of lane 0 after reset",
                (Field("value", 32, constant, "high word", high),),
            ),
            Register(
                "start",
                "begin a call with the settings as they are",
                (Field("start", 1, trigger, "begin"),),
                locked=True,
            ),
            Register(
                "stop",
                "fail the call in work, as a wrong packet does",
                (Field("stop", 1, trigger, "fail"),),
            ),
            Register(
                "clear",
                "end what is in work; array, lanes, counters, errors, and flags as after reset",
                (Field("clear", 1, trigger, "end"),),
            ),
            Register(
                "status",
                "what the engine does",
                (
                    Field("busy", 1, state, "a call is in work"),
                    Field("failed", 1, state, "a packet was wrong, or STOP: CLEAR is needed"),
                    Field("done", 1, sticky, "a call has ended, its last result taken"),
                ),
            ),
            Register(
                "errors",
                "what was wrong at least once",
                (
                    Field("size", 1, sticky, "START with a size of 0 or over the limit"),
                    Field("mode", 1, sticky, "START with a target or rounding that is not there"),
                    Field("locked", 1, sticky, "a write while busy, which changed nothing"),
                    Field("a_packet", 1, sticky, "A ended early or late, or lacked a code"),
                    Field("b_packet", 1, sticky, "B ended early or late, or lacked a code"),
                    Field("c_packet", 1, sticky, "C ended early or late, or lacked a number"),
                ),
            ),
            Register(
                "interrupts",
                "what raises the interrupt",
                (
                    Field("done", 1, setting, "while DONE is set"),
                    Field("error", 1, setting, "while an error is set"),
                ),
            ),
            Register(
                "flags",
                "what happened to a result at least once",
                (
                    Field("invalid", 1, sticky, "infinity times zero, infinity less itself"),
                    Field("overflow", 1, sticky, "beyond the largest number of the format"),
                    Field("underflow", 1, sticky, "subnormal or zero, and inexact"),
                    Field("inexact", 1, sticky, "rounded"),
                ),
            ),
            Register(
                "mode",
                "what a call computes",
                (
                    Field("operation", 1, setting, "0 GEMM, 1 conversion of C"),
                    Field("load_c", 1, setting, "accumulators start from C, else from +0"),
                    Field("a_format", 1, setting, "0 E5M2, 1 E4M3"),
                    Field("b_format", 1, setting, "0 E5M2, 1 E4M3"),
                    Field("target", 3, setting, "0 FP32, 1 E5M2, 2 E4M3, 3 FP16, 4 BF16"),
                    Field("rounding", 2, setting, "0 nearest, 1 stochastic, 2 toward zero"),
                    Field("saturate", 1, setting, "the largest number in place of infinity"),
                ),
                locked=True,
            ),
            *(
                Register(f"size_{name}", doc, (Field("size", 32, setting, limit, 1),), locked=True)
                for name, doc, limit in (
                    ("m", "rows of the result", "1 to 16,777,215"),
                    ("n", "columns of the result", "the same; of a conversion, 1 to `cols`"),
                    ("k", "products in each sum", "1 to 16,777,215"),
                )
            ),
            Register(
                "lane",
                "the lane of random bits that LANE_LOW and LANE_HIGH mean",
                (Field("index", 6, setting, "from 0 to `cols` less 1"),),
                locked=True,
            ),
            Register(
                "lane_low",
                "low word of the lane's state; written first, it waits for LANE_HIGH",
                (Field("state", 32, direct, "low word"),),
                locked=True,
            ),
            Register(
                "lane_high",
                "high word of the lane's state; a write loads both, unless they are zero",
                (Field("state", 32, direct, "high word"),),
                locked=True,
            ),
            *counters,
        ),
    )

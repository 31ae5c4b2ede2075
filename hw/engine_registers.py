"""The registers of the GEMM engine."""

from hw.registers import Access, Field, Register, RegisterMap
from pysim.config import ArrayConfig
from pysim.formats import OPERAND_FORMATS

IDENTITY = 0x47384650
"""``PF8G`` in ASCII, the low byte first."""

VERSION = (2, 1)
"""Major and minor: software written for a minor version runs on later ones."""

COUNTERS = {
    "cycles": "clocks from START until the last result was taken",
    "computing": "clocks in which operands entered the array",
    "starved": "clocks in which the array waited for A, B, or C",
    "blocked": "clocks in which a result waited for its taker",
    "macs": "multiply-accumulates of the part of the array in use",
}
"""What is counted of a call."""

COUNTER_BITS = 64


def engine_registers(config: ArrayConfig) -> RegisterMap:
    """Return the register map of an engine."""
    constant, state, setting = Access.CONSTANT, Access.STATE, Access.SETTING
    sticky, trigger = Access.STICKY, Access.TRIGGER
    low, high = config.seed & 0xFFFFFFFF, config.seed >> 32
    x_cycles = "clocks of the converter, from the first transfer of X until Y has its last one"
    counters = [
        Register(f"{name}_{half}", doc, (Field("count", 32, state, f"{half} word"),))
        for name, doc in {**COUNTERS, "x_cycles": x_cycles}.items()
        for half in ("low", "high")
    ]
    raised = (
        Field("overflow", 1, sticky, "beyond the largest number of the format"),
        Field("underflow", 1, sticky, "subnormal or zero, and inexact"),
        Field("inexact", 1, sticky, "rounded"),
    )
    conversion = (
        Field("target", 3, setting, "0 FP32, 1 E5M2, 2 E4M3, 3 FP16, 4 BF16"),
        Field("rounding", 2, setting, "0 nearest, 1 stochastic, 2 toward zero"),
        Field("saturate", 1, setting, "the largest number in place of infinity"),
        Field("scale", 8, setting, "times two to this power, -128 to 127; 0 with FP32"),
    )
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
                lock="call",
            ),
            Register(
                "stop",
                "fail the call in work, as a wrong packet does",
                (Field("stop", 1, trigger, "fail"),),
            ),
            Register(
                "clear",
                "end what is in work; all but settings as after reset",
                (Field("clear", 1, trigger, "end"),),
            ),
            Register(
                "status",
                "what the engine does, and the converter",
                (
                    Field("busy", 1, state, "a call is in work"),
                    Field("failed", 1, state, "a packet was wrong, or STOP: CLEAR is needed"),
                    Field("done", 1, sticky, "a call has ended, its last result taken"),
                    Field("x_busy", 1, state, "a packet is being converted"),
                    Field("x_failed", 1, state, "a packet of X was wrong: CLEAR is needed"),
                    Field("x_done", 1, sticky, "a packet was converted, its last result taken"),
                ),
            ),
            Register(
                "errors",
                "what was wrong at least once",
                (
                    Field("size", 1, sticky, "START with a size of 0 or over the limit"),
                    Field("mode", 1, sticky, "START in a mode that is not there"),
                    Field("locked", 1, sticky, "a write while busy, which changed nothing"),
                    Field("a_packet", 1, sticky, "A ended early or late, or lacked a code"),
                    Field("b_packet", 1, sticky, "B ended early or late, or lacked a code"),
                    Field("c_packet", 1, sticky, "C ended early or late, or lacked a number"),
                    Field("x_packet", 1, sticky, "X lacked a number before the end of a packet"),
                    Field("x_mode", 1, sticky, "X came in a mode that is not there"),
                ),
            ),
            Register(
                "interrupts",
                "what raises the interrupt",
                (
                    Field("done", 1, setting, "while DONE is set"),
                    Field("error", 1, setting, "while an error is set"),
                    Field("x_done", 1, setting, "while X_DONE is set"),
                ),
            ),
            Register(
                "flags",
                "what happened to a result at least once",
                (
                    Field("invalid", 1, sticky, "infinity times zero, infinity less itself"),
                    *raised,
                ),
            ),
            Register(
                "mode",
                "what a call computes",
                (
                    Field("load_c", 1, setting, "accumulators start from C, else from +0"),
                    Field("a_format", 1, setting, "0 E5M2, 1 E4M3"),
                    Field("b_format", 1, setting, "0 E5M2, 1 E4M3"),
                    *conversion,
                ),
                lock="call",
            ),
            *(
                Register(f"size_{name}", doc, (Field("size", 32, setting, limit, 1),), lock="call")
                for name, doc, limit in (
                    ("m", "rows of the result", "1 to 16,777,215"),
                    ("n", "columns of the result", "1 to 16,777,215"),
                    ("k", "products in each sum", "1 to 16,777,215"),
                )
            ),
            *_lane("", "the array", "call"),
            Register("x_flags", "what happened to a number of X at least once", raised),
            Register("x_mode", "what X becomes", conversion, lock="packet"),
            *_lane("x_", "the converter", "packet"),
            *counters,
            Register(
                "capabilities",
                "what was built in; anything else is a mode that is not there",
                (
                    *(
                        Field(
                            fmt.name,
                            1,
                            constant,
                            f"{fmt.name.upper()} is multiplied",
                            int(fmt in config.multiplied),
                        )
                        for fmt in OPERAND_FORMATS
                    ),
                    Field("load_c", 1, constant, "sums may start from C", int(config.load_c)),
                ),
            ),
        ),
    )


def _lane(prefix: str, owner: str, lock: str) -> tuple[Register, ...]:
    """Return the registers by which the lanes of random bits are read and loaded."""
    lane = f"{prefix}lane"
    return (
        Register(
            lane,
            f"the lane of random bits, of {owner}, that {lane.upper()}_LOW and _HIGH mean",
            (Field("index", 6, Access.SETTING, "from 0 to `cols` less 1"),),
            lock=lock,
        ),
        Register(
            f"{lane}_low",
            f"low word of the lane's state; written first, it waits for {lane.upper()}_HIGH",
            (Field("state", 32, Access.DIRECT, "low word"),),
            lock=lock,
        ),
        Register(
            f"{lane}_high",
            "high word of the lane's state; a write loads both, unless they are zero",
            (Field("state", 32, Access.DIRECT, "high word"),),
            lock=lock,
        ),
    )

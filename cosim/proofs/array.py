"""The top: what enters the array, what leaves it, and that nothing gets lost on the way."""

from cosim.proofs import column, converter, lfsr, smt
from cosim.proofs.control import module as control_module
from cosim.proofs.layout import ACCUMULATOR_BITS, LANE_BITS, Command
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.operands import DECODER
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.statement import Statement, View
from cosim.proofs.wires import same_wires
from cosim.proofs.wiring import systolic_module
from pysim import ArrayConfig
from rtl_gen import Design


def statements(design: Design) -> list[Statement]:
    """Return the statements about the top of an array."""
    config, top = design.config, design.manifest["top"]
    fields = design.manifest["command_fields"]
    control, systolic = control_module(config), systolic_module(config)
    # The top by itself, and with what moves results: control, and the feet of the columns.
    alone = View(top, (control, systolic, DECODER, column.module(config)))
    results = View(top, (systolic, DECODER, converter.module(config)))
    stated = (
        (
            "operands",
            alone,
            _operands,
            "operands of used rows and columns enter decoded in their format, all others marked "
            "as not valid",
        ),
        (
            "start",
            alone,
            _start,
            "accumulators shift in C where a tile loads it, and else +0 without flags",
        ),
        (
            "columns",
            alone,
            _columns,
            "used columns, and no others, convert: accumulators of the first row, or C as it comes",
        ),
        (
            "lanes",
            alone,
            _lanes,
            "each column starts from the seed of its lane, and is read and loaded by its number",
        ),
        ("streams", alone, _streams, "tile control sees the streams, and they see it"),
        (
            "keep",
            alone,
            _keep,
            "a result row keeps used columns and no others, and tells the last row of a command",
        ),
        (
            "flags",
            alone,
            _flags,
            "no flag of an accepted result is ever lost, and none is raised by anything else",
        ),
        (
            "stable",
            results,
            _stable,
            "a row of results that is offered stays, bit for bit, until it is taken",
        ),
        (
            "rows",
            results,
            _rows,
            "a row that the converters take is offered from the next clock until it is taken, "
            "and once: none is lost or doubled under any back-pressure",
        ),
        (
            "draws",
            # Whether a mode draws, the converter says.
            View(top, (systolic, DECODER)),
            _draws,
            "a lane draws once for each stochastic result of its column that is offered, "
            "under any back-pressure, and for nothing else",
        ),
    )
    return [
        Statement(
            f"array/{name}",
            top,
            says,
            (view,),
            lambda netlist, make=make: {"": make(netlist, config, fields)},
        )
        for name, view, make, says in stated
    ]


def _used(command: Command, field: str, index: int) -> str:
    width = command.width(field)
    return f"(bvult {smt.const(index, width)} {command.field(field)})"


def _operands(netlist: Netlist, config: ArrayConfig, fields: dict) -> Problem:
    unit = Trace(netlist)
    command = Command(unit.wire("control.command"), fields)
    pairs = {}
    for side, count, field in (("a", config.rows, "rows"), ("b", config.cols, "cols")):
        entering = unit.wire(f"systolic.{side}")
        for i in range(count):
            decoder = f"{side}_decoder_{i}"
            lane = smt.bits(entering, i * LANE_BITS, LANE_BITS)
            valid = smt.conjunction([unit.wire("control.compute"), _used(command, field, i)])
            code = smt.bits(unit.wire(f"{side}_payload"), 8 * i, 8)
            pairs |= {
                f"code of {side}[{i}]": (unit.wire(f"{decoder}.code"), code),
                f"format of {side}[{i}]": (
                    unit.vector(f"{decoder}.format"),
                    command.field(f"{side}_format"),
                ),
                f"lane of {side}[{i}]": (
                    lane,
                    smt.concat(smt.as_bit(valid), unit.wire(f"{decoder}.operand")),
                ),
            }
    return same_wires(unit, pairs)


def _start(netlist: Netlist, config: ArrayConfig, fields: dict) -> Problem:
    unit = Trace(netlist)
    command = Command(unit.wire("control.command"), fields)
    pairs = {"shift": (unit.wire("systolic.shift"), unit.wire("control.shift"))}
    for j in range(config.cols):
        loads = smt.conjunction([unit.wire("control.load"), _used(command, "cols", j)])
        c = smt.bits(unit.wire("c_payload"), 32 * j, 32)
        pairs[f"column {j}"] = (
            smt.bits(unit.wire("systolic.bottom"), ACCUMULATOR_BITS * j, ACCUMULATOR_BITS),
            smt.concat(smt.const(0, 2), smt.choose(loads, c, smt.const(0, 32))),
        )
    return same_wires(unit, pairs)


def _columns(netlist: Netlist, config: ArrayConfig, fields: dict) -> Problem:
    unit = Trace(netlist)
    command = Command(unit.wire("control.command"), fields)
    pairs = {}
    for j in range(config.cols):
        name = f"column_{j}"
        accumulator = smt.bits(unit.wire("systolic.top"), ACCUMULATOR_BITS * j, 32)
        c = smt.bits(unit.wire("c_payload"), 32 * j, 32)
        accept = smt.conjunction([unit.wire("control.accept"), _used(command, "cols", j)])
        pairs |= {
            f"number of column {j}": (
                unit.wire(f"{name}.value"),
                smt.choose(unit.wire("control.bypass"), c, accumulator),
            ),
            f"accept of column {j}": (unit.wire(f"{name}.accept"), accept),
            f"mode of column {j}": (unit.wire(f"{name}.mode"), command.mode),
            f"result of column {j}": (
                smt.bits(unit.wire("d_payload"), 32 * j, 32),
                unit.wire(f"{name}.code"),
            ),
        }
    return same_wires(unit, pairs)


def _lanes(netlist: Netlist, config: ArrayConfig, fields: dict) -> Problem:
    unit = Trace(netlist)
    resets = {
        f"reset of lane {j}": (unit.wire(f"column_{j}.rst"), unit.wire("rst"))
        for j in range(config.cols)
    }
    return same_wires(unit, {**lfsr.lane_wires(unit, config), **resets})


def _streams(netlist: Netlist, config: ArrayConfig, fields: dict) -> Problem:
    unit = Trace(netlist)
    pairs = {}
    for stream in ("commands", "a", "b", "c"):
        for wire in ("valid", "ready"):
            name = f"{stream}_{wire}"
            pairs[name] = (unit.wire(name), unit.wire(f"control.{name}"))
    free = smt.disjunction([smt.negation(unit.wire("d_valid")), unit.wire("d_ready")])
    pairs |= {
        "the command": (unit.wire("control.commands_payload"), unit.wire("commands_payload")),
        "room for a result": (unit.wire("control.result_ready"), free),
        "busy": (unit.wire("busy"), unit.wire("control.busy")),
        "reset of control": (unit.wire("control.rst"), unit.wire("rst")),
        "reset of the elements": (unit.wire("systolic.rst"), unit.wire("rst")),
    }
    return same_wires(unit, pairs)


def _keep(netlist: Netlist, config: ArrayConfig, fields: dict) -> Problem:
    unit = Trace(netlist, "unit", 1)
    command = Command(unit.wire("control.command"), fields)
    row = unit.wire("d_payload", 1)
    pairs = {
        f"keep of column {j}": (
            smt.bit(row, 32 * config.cols + j),
            _used(command, "cols", j),
        )
        for j in range(config.cols)
    }
    pairs["last"] = (smt.bit(row, 33 * config.cols), unit.wire("control.last"))
    accepted = [smt.assume(unit.wire("control.accept")), _no_reset(unit)]
    return same_wires(unit, pairs, accepted)


def _flags(netlist: Netlist, config: ArrayConfig, fields: dict) -> Problem:
    unit = Trace(netlist, "unit", 1)
    command = Command(unit.wire("control.command"), fields)
    flags = smt.choose(unit.wire("clear_flags"), smt.const(0, 4), unit.wire("flags"))
    for j in range(config.cols):
        steps = smt.bits(unit.wire("systolic.top"), ACCUMULATOR_BITS * j + 32, 2)
        # Of the steps: inexact on top, invalid below.
        raised = smt.concat(smt.bits(steps, 1, 1), smt.const(0, 2), smt.bits(steps, 0, 1))
        collects = smt.conjunction(
            [
                unit.wire("control.accept"),
                _used(command, "cols", j),
                smt.negation(unit.wire("control.bypass")),
            ]
        )
        of_steps = smt.choose(collects, raised, smt.const(0, 4))
        flags = f"(bvor (bvor {flags} {unit.wire(f'column_{j}.flags')}) {of_steps})"
    flags = smt.choose(unit.wire("rst"), smt.const(0, 4), flags)
    return same_wires(unit, {"the flags": (unit.wire("flags", 1), flags)})


def _stable(netlist: Netlist, config: ArrayConfig, fields: dict) -> Problem:
    unit = Trace(netlist, "unit", 1)
    waits = [
        smt.assume(unit.wire("d_valid")),
        smt.assume(smt.negation(unit.wire("d_ready"))),
        _no_reset(unit),
    ]
    pairs = {
        "valid": (unit.wire("d_valid", 1), "true"),
        "the row": (unit.wire("d_payload", 1), unit.wire("d_payload")),
    }
    return same_wires(unit, pairs, waits)


def _rows(netlist: Netlist, config: ArrayConfig, fields: dict) -> Problem:
    unit = Trace(netlist, "unit", 1)
    accept, valid = unit.wire("control.accept"), unit.wire("d_valid")
    waits = smt.conjunction([valid, smt.negation(unit.wire("d_ready"))])
    offered = smt.choose(unit.wire("rst"), "false", smt.disjunction([accept, waits]))
    return Problem(
        "\n".join([netlist.text, unit.text]),
        {
            "a row is taken only where there is room": smt.implies(accept, f"(not {waits})"),
            "what was taken is offered, and nothing else": smt.equal(
                unit.wire("d_valid", 1), offered
            ),
        },
        {name: Shown(unit.wire(name)) for name in ("rst", "d_valid", "d_ready", "control.accept")}
        | {"d_valid after": Shown(unit.wire("d_valid", 1))},
    )


def _draws(netlist: Netlist, config: ArrayConfig, fields: dict) -> Problem:
    unit = Trace(netlist, "unit", 1)
    command = Command(unit.wire("control.command"), fields)
    rounding = smt.const(converter.ROUNDINGS["stochastic"], command.width("mode_rounding"))
    fp32 = smt.const(0, command.width("mode_target"))
    stochastic = smt.conjunction(
        [
            smt.equal(command.field("mode_rounding"), rounding),
            smt.negation(smt.equal(command.field("mode_target"), fp32)),
        ]
    )
    offered = smt.conjunction([unit.wire("control.accept"), stochastic])
    text = [_no_reset(unit), smt.assume(smt.negation(unit.wire("lfsr_load")))]
    pairs = {}
    for j in range(config.cols):
        before, after = (unit.wire(f"column_{j}.state", t) for t in (0, 1))
        stepped = lfsr.leap(before, config.lfsr_width, config.random_bits, f"lane-{j}")
        text += stepped[:-1]
        keep = smt.bit(unit.wire("d_payload", 1), 32 * config.cols + j)
        draws = smt.conjunction([offered, keep])
        pairs[f"lane {j}"] = (after, smt.choose(draws, stepped[-1], before))
    problem = same_wires(unit, pairs, text)
    extra = ("control.accept", "d_valid", "d_ready")
    shown = {name: Shown(unit.wire(name)) for name in extra} | dict(problem.shown)
    return Problem(problem.text, problem.goals, shown)


def _no_reset(unit: Trace) -> str:
    return smt.assume(smt.negation(unit.wire("rst")))

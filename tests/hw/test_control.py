"""Tile control: the phases of commands, clock by clock, with and without stalls."""

import pytest

from hw.control import Operation, TileControl

SIGNALS = ("compute", "load", "shift", "accept", "bypass", "last", "busy")


def trace(clocked, command, *, rows=3, cols=2, ready=lambda clock: 1):
    """Return the signals that are set in each clock of a command, until it is done."""
    control = TileControl(rows, cols)
    clocks = []

    async def bench(context):
        context.set(control.commands.payload, command)
        context.set(control.commands.valid, 1)
        await context.tick()
        context.set(control.commands.valid, 0)
        while context.get(control.busy):
            for name in ("a_valid", "b_valid", "c_valid", "result_ready"):
                context.set(getattr(control, name), ready(len(clocks)))
            clocks.append({name for name in SIGNALS if context.get(getattr(control, name))})
            assert len(clocks) < 200
            await context.tick()
        assert context.get(control.commands.ready)

    clocked(control, bench)
    return clocks


def gemm(length, rows=2, load_c=0):
    return {
        "operation": Operation.GEMM,
        "load_c": load_c,
        "rows": rows,
        "cols": 2,
        "length": length,
    }


FLUSH = [{"busy"}] * 4
DRAIN = [{"busy", "accept", "shift"}, {"busy", "accept", "shift", "last"}]


def test_gemm(clocked):
    assert trace(clocked, gemm(3)) == [{"busy", "compute"}] * 3 + FLUSH + DRAIN


def test_gemm_with_c(clocked):
    # Two rows of C, and a padding row, in three rows of the array.
    load = [{"busy", "load", "shift"}] * 2 + [{"busy", "shift"}]
    assert trace(clocked, gemm(1, load_c=1)) == [*load, {"busy", "compute"}, *FLUSH, *DRAIN]


def test_gemm_without_products(clocked):
    assert trace(clocked, gemm(0)) == DRAIN


def test_conversion(clocked):
    command = {"operation": Operation.CONVERT, "cols": 2, "length": 3}
    convert = {"busy", "accept", "bypass"}
    assert trace(clocked, command) == [convert, convert, convert | {"last"}]


@pytest.mark.parametrize("load_c", [0, 1])
def test_stalls_change_nothing_but_time(clocked, load_c):
    work = [clock for clock in trace(clocked, gemm(4, load_c=load_c)) if clock != {"busy"}]
    stalled = trace(clocked, gemm(4, load_c=load_c), ready=lambda clock: clock % 3 == 0)
    idle = ({"busy"}, {"busy", "last"})
    assert [clock for clock in stalled if clock not in idle] == work
    assert len(stalled) > 2 * len(work)


def test_a_and_b_are_taken_together(clocked):
    control = TileControl(2, 2)

    async def bench(context):
        context.set(control.commands.payload, gemm(2))
        context.set(control.commands.valid, 1)
        await context.tick()
        for a, b in ((1, 0), (0, 1), (1, 1)):
            context.set(control.a_valid, a)
            context.set(control.b_valid, b)
            taken = (a & context.get(control.a_ready), b & context.get(control.b_ready))
            assert taken == (a & b, a & b)
            assert context.get(control.compute) == a & b

    clocked(control, bench)

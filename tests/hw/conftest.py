"""Amaranth's simulator around one block: inputs in, outputs out."""

import pytest
from amaranth.hdl import Signal, Value
from amaranth.sim import Simulator


def _plain(value):
    return Value.cast(value)


@pytest.fixture
def evaluate():
    """Evaluate a combinational block for many inputs.

    Called with the block, dictionaries of inputs by port, and the names of outputs; returns a
    tuple of outputs for each input, as plain integers.
    """

    def run(block, inputs, outputs):
        found = []

        async def bench(context):
            for values in inputs:
                for name, value in values.items():
                    context.set(_plain(getattr(block, name)), int(value))
                await context.delay(1e-9)
                found.append(tuple(context.get(_plain(getattr(block, name))) for name in outputs))

        simulator = Simulator(block)
        simulator.add_testbench(bench)
        simulator.run()
        return found

    return run


@pytest.fixture
def clocked():
    """Run a test bench, an async function of a context, on a clocked block."""

    def run(block, bench):
        simulator = Simulator(block)
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()

    return run


@pytest.fixture
def field():
    """Cut a field of a data layout out of a plain integer."""

    def cut(layout, word, name):
        layout = getattr(layout, "as_shape", lambda: layout)()
        place = layout[name]
        return word >> place.offset & ((1 << Signal(place.shape).shape().width) - 1)

    return cut

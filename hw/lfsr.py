"""A lane of random bits: a linear-feedback shift register that leaps."""

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Module, ResetSignal, Signal
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block
from pysim.lfsr import Lfsr


class LfsrLane(Block):
    """Holds the state of one lane of `pysim.lfsr.Lfsr`; each draw steps it `random_bits` times.

    Parameters
    ----------
    width : int
        Bits of the register.
    random_bits : int
        Bits of a draw.

    Members
    -------
    seed : In(width)
        The state after reset. Never zero.
    draw : Out(random_bits)
        The next draw.
    advance : In(1)
        Take the draw.
    load : In(1)
        Replace the state by `load_state`, which wins over `advance`. Zero is not loaded.
    load_state : In(width)
    state : Out(width)
    """

    def __init__(self, width: int, random_bits: int):
        self.width, self.random_bits = width, random_bits
        super().__init__(
            {
                "seed": In(width),
                "draw": Out(random_bits),
                "advance": In(1),
                "load": In(1),
                "load_state": In(width),
                "state": Out(width),
            }
        )

    @property
    def module_name(self):
        return f"fp8_lfsr_{self.width}x{self.random_bits}"

    def elaborate(self, platform):
        m = Module()
        # The seed differs from lane to lane, so it comes in at reset by a port.
        state = Signal(self.width, init=1, reset_less=True)
        leap = Lfsr(self.width).step_matrix(self.random_bits)
        leapt = Cat(
            reduce(xor, (state[k] for k in range(self.width) if row >> k & 1)) for row in leap
        )
        m.d.comb += [self.state.eq(state), self.draw.eq(state[: self.random_bits])]
        with m.If(ResetSignal()):
            m.d.sync += state.eq(self.seed)
        with m.Elif(self.load & self.load_state.any()):
            m.d.sync += state.eq(self.load_state)
        with m.Elif(self.advance):
            m.d.sync += state.eq(leapt)
        return m

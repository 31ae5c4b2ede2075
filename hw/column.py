"""The foot of a column: its converter, its lane of random bits, and the result register."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from hw.converter import PARTS, ConversionMode, Converter, StatusFlags
from hw.hierarchy import Block, place
from hw.lfsr import LfsrLane


class ResultColumn(Block):
    """Converts up to one number a clock, and draws for it where the rounding is stochastic.

    Parameters
    ----------
    lfsr_width, random_bits : int
    pipelined : bool
        Whether the converter is a pipeline.

    Members
    -------
    value : In(32)
        The number to convert.
    accept : In(1)
        Convert it in this clock. A number that is not accepted does not draw.
    advance : In(1)
        Of a pipeline: numbers in it move on. Without, none may be accepted.
    mode : In(ConversionMode)
        Must stay while numbers are in a pipeline.
    code : Out(32)
        The code of the number that left the converter last; in a pipeline, 0 if with the last
        advance none did.
    kept : Out(1)
        Of a pipeline: with the last advance a number left the converter.
    flags : Out(StatusFlags)
        Flags of the number that leaves the converter in this clock; clear if none does.
    seed : In(lfsr_width)
    load : In(1)
    load_state : In(lfsr_width)
    state : Out(lfsr_width)
        As in `LfsrLane`.
    """

    def __init__(self, lfsr_width: int, random_bits: int, pipelined: bool = False):
        self.lfsr_width, self.random_bits, self.pipelined = lfsr_width, random_bits, pipelined
        members = {
            "value": In(32),
            "accept": In(1),
            "mode": In(ConversionMode),
            "code": Out(32),
            "flags": Out(StatusFlags),
            "seed": In(lfsr_width),
            "load": In(1),
            "load_state": In(lfsr_width),
            "state": Out(lfsr_width),
        }
        if pipelined:
            members |= {"advance": In(1), "kept": Out(1)}
        super().__init__(members)

    @property
    def module_name(self):
        return f"fp8_result_column_{self.lfsr_width}x{self.random_bits}"

    def elaborate(self, platform):
        m = Module()
        converter = Converter(self.random_bits, self.pipelined)
        lfsr = LfsrLane(self.lfsr_width, self.random_bits)
        m.submodules.converter = place(converter, platform)
        m.submodules.lfsr = place(lfsr, platform)

        decides = leaves = self.accept
        if self.pipelined:
            # Which parts have a number, or will with the next advance.
            inside = Signal(len(PARTS))
            kept = Signal(reset_less=True)
            with m.If(self.advance):
                m.d.sync += Cat(inside, kept).eq(Cat(self.accept, inside))
            m.d.comb += [
                self.kept.eq(kept),
                converter.move.eq(
                    Cat(self.accept, inside[:-1]) & self.advance.replicate(len(PARTS))
                ),
            ]
            decides, leaves = converter.move[-1], inside[-1] & self.advance
        m.d.comb += [
            lfsr.seed.eq(self.seed),
            lfsr.load.eq(self.load),
            lfsr.load_state.eq(self.load_state),
            lfsr.advance.eq(decides & converter.draws),
            self.state.eq(lfsr.state),
            converter.value.eq(self.value),
            converter.draw.eq(lfsr.draw),
            converter.mode.eq(self.mode),
        ]
        code = Signal(32, reset_less=self.pipelined)
        m.d.comb += self.code.eq(code)
        if self.pipelined:
            with m.If(self.advance):
                m.d.sync += code.eq(0)
        with m.If(leaves):
            m.d.comb += self.flags.eq(converter.flags)
            m.d.sync += code.eq(converter.code)
        return m

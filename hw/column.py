"""The foot of a column: its converter, its lane of random bits, and the result register."""

from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from hw.converter import ConversionMode, Converter, StatusFlags
from hw.hierarchy import Block, place
from hw.lfsr import LfsrLane
from pysim.convert import ROUNDINGS, Rounding
from pysim.formats import FP32, OUTPUT_FORMATS


class ResultColumn(Block):
    """Converts one number a clock, and draws for it where the rounding is stochastic.

    Parameters
    ----------
    lfsr_width, random_bits : int

    Members
    -------
    value : In(32)
        The number to convert.
    accept : In(1)
        Convert it in this clock. A number that is not accepted does not draw.
    mode : In(ConversionMode)
    code : Out(32)
        The code of the number accepted last.
    flags : Out(StatusFlags)
        Flags of the conversion in this clock; clear without `accept`.
    seed : In(lfsr_width)
    load : In(1)
    load_state : In(lfsr_width)
    state : Out(lfsr_width)
        As in `LfsrLane`.
    """

    def __init__(self, lfsr_width: int, random_bits: int):
        self.lfsr_width, self.random_bits = lfsr_width, random_bits
        super().__init__(
            {
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
        )

    @property
    def module_name(self):
        return f"fp8_result_column_{self.lfsr_width}x{self.random_bits}"

    def elaborate(self, platform):
        m = Module()
        converter = Converter(self.random_bits)
        lfsr = LfsrLane(self.lfsr_width, self.random_bits)
        m.submodules.converter = place(converter, platform)
        m.submodules.lfsr = place(lfsr, platform)

        stochastic = self.mode.rounding == ROUNDINGS.index(Rounding.STOCHASTIC)
        narrow = self.mode.target != OUTPUT_FORMATS.index(FP32)
        m.d.comb += [
            lfsr.seed.eq(self.seed),
            lfsr.load.eq(self.load),
            lfsr.load_state.eq(self.load_state),
            lfsr.advance.eq(self.accept & stochastic & narrow),
            self.state.eq(lfsr.state),
            converter.value.eq(self.value),
            converter.draw.eq(lfsr.draw),
            converter.mode.eq(self.mode),
        ]
        with m.If(self.accept):
            m.d.comb += self.flags.eq(converter.flags)
            m.d.sync += self.code.eq(converter.code)
        return m

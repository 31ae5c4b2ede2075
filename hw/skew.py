"""The skew at an edge of the array: lane i enters i clocks later than lane 0."""

from amaranth.hdl import Cat, Module, Shape, Signal
from amaranth.lib.wiring import In, Out

from hw.hierarchy import Block
from hw.pe import OperandLane


class Skew(Block):
    """Delays lane i by i clocks.

    Parameters
    ----------
    lanes : int
        Lanes, at least 1.
    lane : ShapeLike
        What is in a lane.
    bits : int, optional
        Mask of the bits that vary in a lane, if not all; the others leave as 0.

    Members
    -------
    aligned : In of `lanes` times `lane`, packed
    skewed : Out of `lanes` times `lane`, packed
    """

    def __init__(self, lanes: int, lane=OperandLane, bits: int | None = None):
        self.lanes, self.lane, self.bits = lanes, lane, bits
        self._width = Shape.cast(lane).width
        super().__init__({"aligned": In(lanes * self._width), "skewed": Out(lanes * self._width)})

    @property
    def module_name(self):
        suffix = "" if self.lane is OperandLane else f"_of_{self._width}"
        return f"fp8_skew_{self.lanes}{suffix}"

    def elaborate(self, platform):
        m = Module()
        for lane in range(self.lanes):
            entering = self.aligned.word_select(lane, self._width)
            if self.bits is not None:
                entering = entering & self.bits
            leaving = entering
            if lane > 0:
                delay = Signal(lane * self._width, name=f"lane_{lane}")
                m.d.sync += delay.eq(Cat(entering, delay))
                leaving = delay[-self._width :]
            m.d.comb += self.skewed.word_select(lane, self._width).eq(leaving)
        return m

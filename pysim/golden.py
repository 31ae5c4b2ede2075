"""The golden engine: the contract as a hardware engineer would read it."""

import numpy as np

from pysim.config import ArrayConfig
from pysim.convert import Rounding, canonical, convert, decode
from pysim.engine import Engine, GemmRequest, GemmResult, QuantizeRequest
from pysim.flags import Flags
from pysim.formats import FP32
from pysim.lfsr import Lfsr


class GoldenEngine(Engine):
    """The reference that the Verilog is verified against: NumPy, float32, one step at a time."""

    name = "golden"

    def __init__(self, config: ArrayConfig) -> None:
        super().__init__(config)
        self._lfsr = Lfsr(config.lfsr_width)
        self._states = self._lfsr.lanes(config.seed, config.cols)

    def _gemm(self, request: GemmRequest) -> GemmResult:
        accumulator, flags = accumulate(request)
        cycles = self._model_gemm_cycles(request)
        if request.out_format is FP32:
            return GemmResult(accumulator, flags, cycles)
        codes, converter_flags = convert(
            accumulator,
            request.out_format,
            request.rounding,
            request.saturate,
            self._draw_tiles(accumulator.shape) if request.draws else None,
            self.config.random_bits,
            request.scale,
        )
        return GemmResult(codes, flags | converter_flags, cycles)

    def _quantize(self, request: QuantizeRequest) -> tuple[np.ndarray, Flags, int]:
        shape, cols = request.values.shape, self.config.cols
        flat = np.ascontiguousarray(request.values).reshape(-1)
        draws = None
        if request.rounding is Rounding.STOCHASTIC:
            # Element i is the next draw of lane i % cols; the last row may be a partial one.
            full, rest = divmod(flat.size, cols)
            draws = np.concatenate([self._draw(full, cols).reshape(-1), self._draw(1, rest)[0]])
        codes, flags = convert(
            flat,
            request.fmt,
            request.rounding,
            request.saturate,
            draws,
            self.config.random_bits,
            request.scale,
        )
        return codes.reshape(shape), flags, self._model_quantize_cycles(request)

    def _draw_tiles(self, shape: tuple[int, ...]) -> np.ndarray:
        """One draw for each output element, in the order in which the array drains.

        Tiles follow one another row by row of tiles; within a tile rows leave top first, and
        column n draws from lane ``n % cols``. Padding does not draw.
        """
        m, n = shape
        draws = np.empty(shape, dtype=np.uint32)
        for top in range(0, m, self.config.rows):
            for left in range(0, n, self.config.cols):
                tile = draws[top : top + self.config.rows, left : left + self.config.cols]
                tile[:] = self._draw(*tile.shape)
        return draws

    def _draw(self, count: int, lanes: int) -> np.ndarray:
        """Take `count` draws from each of the first `lanes` lanes; shape [count, lanes]."""
        draws, self._states[:lanes] = self._lfsr.draws(
            self._states[:lanes], self.config.random_bits, count
        )
        return draws

    def _read_state(self) -> np.ndarray:
        return self._states.copy()

    def _write_state(self, states: np.ndarray) -> None:
        self._states = states


def accumulate(request: GemmRequest) -> tuple[np.ndarray, Flags]:
    """Return the accumulators after the last step, float32 [M, N], and their flags.

    Every step is ``accumulator = round(accumulator + a * b)`` with k ascending. The product is
    exact in float32, so the addition is the only rounding. It never underflows, for the sum of two
    float32 numbers is exact wherever it is subnormal; and never overflows, for no product reaches
    half a unit in the last place of the largest float32 number.
    """
    m, n, k = request.shape
    a = decode(request.a, request.a_format)
    b = decode(request.b, request.b_format)
    if request.c is None:
        accumulator = np.zeros((m, n), dtype=np.float32)
    else:
        accumulator = np.array(request.c, dtype=np.float32)

    invalid = inexact = False
    with np.errstate(all="ignore"):
        for step in range(k):
            column, row = a[:, step, None], b[None, step, :]
            product = column * row
            total = accumulator + product

            quiet = np.isnan(column) | np.isnan(row) | np.isnan(accumulator)
            invalid |= bool((np.isnan(total) & ~quiet).any())
            finite = np.isfinite(accumulator) & np.isfinite(product)
            error = _rounding_error(accumulator, product, total)
            inexact |= bool(((error != 0) & finite).any())

            accumulator = total
    return canonical(accumulator), Flags(invalid=invalid, inexact=inexact)


def _rounding_error(x: np.ndarray, y: np.ndarray, total: np.ndarray) -> np.ndarray:
    """What ``total = round(x + y)`` lost: exact by Knuth's TwoSum."""
    virtual_y = total - x
    virtual_x = total - virtual_y
    return (x - virtual_x) + (y - virtual_y)

"""What every engine is: checked arguments, random state, counters; the arithmetic is left open."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pysim.config import ArrayConfig
from pysim.convert import SCALES, Rounding
from pysim.cycles import gemm_cycles, quantize_cycles
from pysim.errors import InputError
from pysim.flags import Flags
from pysim.formats import FP32, OPERAND_FORMATS, OUTPUT_FORMATS, FloatFormat, get_format
from pysim.lfsr import check_state

MAX_LENGTH = (1 << 24) - 1
"""Longest inner dimension K, and most rows of a conversion: what a command's length holds."""

NARROW_FORMATS = tuple(fmt for fmt in OUTPUT_FORMATS if fmt is not FP32)


@dataclass(frozen=True)
class GemmResult:
    """What one GEMM gives.

    Attributes
    ----------
    values : numpy.ndarray, shape [M, N]
        float32 for the output format fp32, else the codes: uint8 or uint16.
    flags : Flags
        What happened at least once in this GEMM, in the accumulators or the converters.
    cycles : int
        Clock cycles: counted in the simulation on `rtl`, from the cycle model elsewhere.
    """

    values: np.ndarray
    flags: Flags
    cycles: int


class GemmRequest(NamedTuple):
    """The checked arguments of one GEMM, as an engine's arithmetic gets them."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray | None
    a_format: FloatFormat
    b_format: FloatFormat
    out_format: FloatFormat
    rounding: Rounding
    saturate: bool
    scale: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N, and K."""
        return self.a.shape[0], self.b.shape[1], self.a.shape[1]

    @property
    def draws(self) -> bool:
        """Whether results consume random bits."""
        return self.rounding is Rounding.STOCHASTIC and self.out_format is not FP32


class QuantizeRequest(NamedTuple):
    """The checked arguments of one conversion, as an engine's arithmetic gets them."""

    values: np.ndarray
    fmt: FloatFormat
    rounding: Rounding
    saturate: bool
    scale: int


class Engine(ABC):
    """An implementation of the numeric contract.

    Engines differ in speed and in what they simulate, never in a bit of a result, a flag, or the
    random state. An engine serves one thread at a time; several engines are independent.

    Parameters
    ----------
    config : ArrayConfig

    Attributes
    ----------
    config : ArrayConfig
    cycles : int
        Clock cycles of all calls so far, conversions included.
    macs : int
        Multiply-accumulate steps of all calls so far.
    """

    name: str

    def __init__(self, config: ArrayConfig) -> None:
        if not isinstance(config, ArrayConfig):
            raise InputError(f"config must be an ArrayConfig, not {config!r}")
        self.config = config
        self.cycles = 0
        self.macs = 0
        self._multiplied = config.multiplied
        self._find_flags: Callable[[], Flags] = Flags

    def gemm(
        self,
        a: ArrayLike,
        b: ArrayLike,
        *,
        a_format: str | FloatFormat,
        b_format: str | FloatFormat,
        c: ArrayLike | None = None,
        out_format: str | FloatFormat = "fp32",
        rounding: str | Rounding = "nearest",
        saturate: bool = True,
        scale: int = 0,
    ) -> GemmResult:
        """Return ``D = convert((C + A @ B) * 2**scale)``: k ascending, one rounding a step.

        Parameters
        ----------
        a : uint8 codes, shape [M, K]
        b : uint8 codes, shape [K, N]
        a_format, b_format : str
            ``"e5m2"`` or ``"e4m3"``, chosen separately among those that the array multiplies.
        c : float32, shape [M, N], optional
            What the accumulators start from; +0 without it.
        out_format : str
            ``"fp32"`` passes the accumulator on, every NaN the canonical one; rounding and
            saturation do not apply. Else ``"e5m2"``, ``"e4m3"``, ``"fp16"``, or ``"bf16"``.
        rounding : str
            Of the conversion: ``"nearest"``, ``"stochastic"``, or ``"toward_zero"``.
        saturate : bool
            Whether a result out of range becomes the largest finite number.
        scale : int
            Exponent of the power of two that the sum is multiplied by, -128 to 127, exactly: the
            conversion is the only rounding. 0 for ``"fp32"``.

        Returns
        -------
        GemmResult

        Raises
        ------
        InputError
            If a format or rounding is unknown, a dtype is another, shapes do not match, or the
            scale is out of range, or the array has no such format or no C.
        """
        request = self._request(
            a,
            b,
            c,
            a_format=a_format,
            b_format=b_format,
            out_format=out_format,
            rounding=rounding,
            saturate=saturate,
            scale=scale,
        )
        m, n, k = request.shape
        result = self._gemm(request)
        self.cycles += result.cycles
        self.macs += m * n * k
        self._find_flags = lambda: result.flags
        return result

    def gemm_batch(
        self,
        a: Any,
        b: Any,
        *,
        a_format: str | FloatFormat,
        b_format: str | FloatFormat,
        c: Any = None,
    ) -> tuple[Any, int]:
        """Multiply batches of matrices, results in FP32: so many calls of `gemm`, one by one.

        Parameters
        ----------
        a : uint8 codes, shape [B, M, K]
        b : uint8 codes, shape [B, K, N]
        a_format, b_format : str
        c : float32, shape [B, M, N], optional

        `flags` then are those of all calls.

        Returns
        -------
        products : sequence of B results, each float32 of shape [M, N]
        cycles : int
            Of all calls.

        Raises
        ------
        InputError
            As `gemm`.
        """
        before, flags = self.cycles, Flags()
        products = []
        for i in range(len(a)):
            start = None if c is None else c[i]
            result = self.gemm(a[i], b[i], a_format=a_format, b_format=b_format, c=start)
            products.append(result.values)
            flags = flags | result.flags
        self._find_flags = lambda: flags
        return products, self.cycles - before

    def quantize(
        self,
        x: ArrayLike,
        fmt: str | FloatFormat,
        *,
        rounding: str | Rounding = "nearest",
        saturate: bool = True,
        scale: int = 0,
    ) -> np.ndarray:
        """Convert float32 numbers, times 2**scale, to codes by the array's own converters.

        Element i of the flattened array goes through column ``i % cols``.

        Parameters
        ----------
        x : float32, any shape
        fmt : str
            ``"e5m2"``, ``"e4m3"``, ``"fp16"``, or ``"bf16"``.
        rounding : str
        saturate : bool
        scale : int
            As in `gemm`.

        Returns
        -------
        numpy.ndarray of uint8 or uint16, same shape

        Raises
        ------
        InputError
            If a format or rounding is unknown, `x` is not float32, or the scale is out of range.
        """
        request = QuantizeRequest(
            values=self._checked(x, "x", np.float32, None),
            fmt=get_format(fmt, NARROW_FORMATS),
            rounding=Rounding.named(rounding),
            saturate=bool(saturate),
            scale=_checked_scale(scale),
        )
        count = prod(request.values.shape)
        rows = -(-count // self.config.cols)
        if rows > MAX_LENGTH:
            raise InputError(
                f"{count} numbers are too many for one call: "
                f"at most {MAX_LENGTH * self.config.cols} with {self.config.cols} columns"
            )
        codes, flags, cycles = self._quantize(request)
        self._find_flags = lambda: flags
        self.cycles += cycles
        return codes

    @property
    def flags(self) -> Flags:
        """Status flags of the latest call; none are up before the first."""
        return self._find_flags()

    @property
    def random_state(self) -> np.ndarray:
        """LFSR state of each lane, uint64, shape [cols]; set it to resume a stream of draws."""
        return self._read_state()

    @random_state.setter
    def random_state(self, state: ArrayLike) -> None:
        states = np.asarray(state)
        if states.shape != (self.config.cols,) or states.dtype.kind not in "ui":
            raise InputError(
                f"random state of shape {states.shape} and dtype {states.dtype}: "
                f"it must hold {self.config.cols} unsigned integers, one a lane"
            )
        for lane in states.tolist():
            check_state(lane, self.config.lfsr_width)
        self._write_state(states.astype(np.uint64))

    def close(self) -> None:
        """Release what the engine holds; it cannot be used afterwards."""

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _checked(
        self, array: ArrayLike, name: str, dtype: type[np.generic], dimensions: int | None
    ) -> np.ndarray:
        result = np.asarray(array)
        if result.dtype != dtype:
            raise InputError(f"{name} has dtype {result.dtype}: it must be {np.dtype(dtype)}")
        if dimensions is not None and result.ndim != dimensions:
            raise InputError(
                f"{name} has shape {result.shape}: it must have {dimensions} dimensions"
            )
        return result

    def _request(
        self,
        a: ArrayLike,
        b: ArrayLike,
        c: ArrayLike | None,
        *,
        a_format: str | FloatFormat,
        b_format: str | FloatFormat,
        out_format: str | FloatFormat = "fp32",
        rounding: str | Rounding = "nearest",
        saturate: bool = True,
        scale: int = 0,
    ) -> GemmRequest:
        """Return checked arguments of a GEMM; InputError names what is wrong."""
        modes = _modes(a_format, b_format, out_format, rounding)
        for fmt in modes[:2]:
            if fmt not in self._multiplied:
                get_format(fmt, self._multiplied)
        if c is not None and not self.config.load_c:
            raise InputError("c is given, but the array is configured without C (load_c)")
        request = GemmRequest(
            a=self._checked(a, "a", np.uint8, 2),
            b=self._checked(b, "b", np.uint8, 2),
            c=None if c is None else self._checked(c, "c", np.float32, 2),
            a_format=modes[0],
            b_format=modes[1],
            out_format=modes[2],
            rounding=modes[3],
            saturate=bool(saturate),
            scale=_checked_scale(scale),
        )
        m, n, k = request.shape
        if request.scale and request.out_format is FP32:
            raise InputError(f"scale {scale} with the format fp32: it must be 0, or it would round")
        if request.b.shape[0] != k:
            raise InputError(
                f"shapes {request.a.shape} and {request.b.shape} of a and b do not match: "
                "a has K columns and b has K rows"
            )
        if request.c is not None and request.c.shape != (m, n):
            raise InputError(f"c has shape {request.c.shape}: it must be {(m, n)}")
        if k > MAX_LENGTH:
            raise InputError(f"inner dimension {k} is too long: at most {MAX_LENGTH}")
        return request

    def _model_gemm_cycles(self, request: GemmRequest) -> int:
        return gemm_cycles(self.config, *request.shape, load_c=request.c is not None)

    def _model_quantize_cycles(self, request: QuantizeRequest) -> int:
        return quantize_cycles(self.config, prod(request.values.shape))

    @abstractmethod
    def _gemm(self, request: GemmRequest) -> GemmResult: ...

    @abstractmethod
    def _quantize(self, request: QuantizeRequest) -> tuple[np.ndarray, Flags, int]:
        """Return codes, flags, and cycles."""

    @abstractmethod
    def _read_state(self) -> np.ndarray: ...

    @abstractmethod
    def _write_state(self, states: np.ndarray) -> None: ...


def _checked_scale(scale: int) -> int:
    if not isinstance(scale, int | np.integer) or isinstance(scale, bool):
        raise InputError(f"scale must be an integer, not {scale!r}")
    if scale not in SCALES:
        raise InputError(
            f"scale {scale} is out of range: it must lie between {SCALES[0]} and {SCALES[-1]}"
        )
    return int(scale)


def _modes(*names: str | FloatFormat | Rounding) -> tuple:
    """Look up the formats and the rounding of a GEMM, in the order of its arguments."""
    try:
        return _cached_modes(*names)
    except TypeError:  # one that cannot be a key: say what is wrong with it
        return _cached_modes.__wrapped__(*names)


@lru_cache
def _cached_modes(
    a: str | FloatFormat, b: str | FloatFormat, out: str | FloatFormat, rounding: str | Rounding
) -> tuple[FloatFormat, FloatFormat, FloatFormat, Rounding]:
    formats = get_format(a, OPERAND_FORMATS), get_format(b, OPERAND_FORMATS)
    return *formats, get_format(out, OUTPUT_FORMATS), Rounding.named(rounding)

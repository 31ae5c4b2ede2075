"""The engine on a GPU: golden's numbers, and tensors that stay on the device."""

from functools import cache
from typing import Any

import numpy as np
import torch

from cosim.gpu.launch import Cuda, Emulator, Launcher
from pysim import ArrayConfig, Engine, Flags, GemmResult, InputError
from pysim.convert import ROUNDINGS, Rounding
from pysim.engine import GemmRequest, QuantizeRequest
from pysim.fast.library import conversion_structure
from pysim.formats import FP32, OPERAND_FORMATS, FloatFormat
from pysim.lfsr import Lfsr

_TILE, _BLOCK, _DRAWS_EACH = 128, 256, 64
"""Of the kernels: outputs of a block each way, threads of a block, draws of a thread."""

_LEAPS = 48
"""Lanes can leap up to 2**48 draws in a call."""

_DTYPES = {8: torch.uint8, 16: torch.uint16}


class _DeferredResult(GemmResult):
    """A result whose flags are worked out when somebody asks for them."""

    def __init__(self, values: Any, cycles: int, find_flags: Any) -> None:
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "cycles", cycles)
        object.__setattr__(self, "_find_flags", find_flags)

    @property
    def flags(self) -> Flags:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What happened at least once in this GEMM; the operands must not have changed since."""
        if "_flags" not in vars(self):
            object.__setattr__(self, "_flags", self._find_flags())
        return self._flags


class GpuEngine(Engine):
    """CUDA kernels: one FP32 fused multiply-add a step, k ascending, a block of 128 x 128 outputs.

    Takes and returns tensors on its device; NumPy arrays as any engine does, copied there and back.
    A GPU keeps no sticky flags, so the flags of a GEMM cost a second pass over it, and are worked
    out only when they are read.

    Parameters
    ----------
    config : ArrayConfig
    emulate : bool
        Run the kernels on the processor, to test them without a GPU.

    Raises
    ------
    MissingToolError
        If there is no CUDA device, or no g++ for the emulator.
    """

    name = "gpu"

    def __init__(self, config: ArrayConfig, *, emulate: bool = False) -> None:
        super().__init__(config)
        self._launch: Launcher = Emulator() if emulate else Cuda()
        self.device = self._launch.device
        lfsr = Lfsr(config.lfsr_width)
        self._leaps = self._words(_leap_table(config.lfsr_width, config.random_bits))
        self._taps = self._words(np.array([lfsr.taps], np.uint64))
        self._states = self._words(lfsr.lanes(config.seed, config.cols))

    def gemm(self, a: Any, b: Any, **arguments: Any) -> GemmResult:
        """As `Engine.gemm`; `a`, `b`, and `c` are all tensors on the device, or none is."""
        result = super().gemm(a, b, **arguments)
        if isinstance(a, torch.Tensor):
            return result
        return GemmResult(result.values.cpu().numpy(), result.flags, result.cycles)  # pyright: ignore

    def quantize(self, x: Any, *arguments: Any, **settings: Any) -> Any:
        """As `Engine.quantize`; the codes of a tensor are a tensor."""
        codes = super().quantize(x, *arguments, **settings)
        return codes if isinstance(x, torch.Tensor) else codes.cpu().numpy()

    def _checked(self, array: Any, name: str, dtype: Any, dimensions: int | None) -> Any:
        if not isinstance(array, torch.Tensor):
            return torch.from_numpy(
                np.array(super()._checked(array, name, dtype, dimensions), order="C")
            ).to(self.device)
        wanted = {np.uint8: torch.uint8, np.float32: torch.float32}[dtype]
        if array.dtype != wanted:
            found = str(array.dtype).removeprefix("torch.")
            raise InputError(f"{name} has dtype {found}: it must be {np.dtype(dtype)}")
        if array.device != self.device:
            raise InputError(f"{name} is on {array.device}: it must be on {self.device}")
        if dimensions is not None and array.dim() != dimensions:
            raise InputError(
                f"{name} has shape {tuple(array.shape)}: it must have {dimensions} dimensions"
            )
        return array.detach()

    def _gemm(self, request: GemmRequest) -> GemmResult:
        m, n, _ = request.shape
        sums = torch.empty((m, n), dtype=torch.float32, device=self.device)
        nothing = self._no_flags()
        self._accumulate("gemm", request, sums, nothing)
        cycles = self._model_gemm_cycles(request)

        def accumulated() -> Flags:
            raised = self._no_flags()
            self._accumulate("gemm_with_flags", request, torch.empty_like(sums), raised)
            return Flags.from_bits(int(raised.item()))

        if request.out_format is FP32:
            return _DeferredResult(sums, cycles, accumulated)
        codes, raised = self._convert(
            *(sums, (m, n), request.out_format, request.rounding, request.saturate),
            *(request.scale, self.config.rows),
        )

        def both() -> Flags:
            return accumulated() | Flags.from_bits(int(raised.item()))

        return _DeferredResult(codes, cycles, both)

    def _accumulate(
        self, kernel: str, request: GemmRequest, sums: torch.Tensor, flags: torch.Tensor
    ) -> None:
        m, n, k = request.shape
        if m == 0 or n == 0:
            return
        a: Any = request.a
        b: Any = request.b
        c: Any = sums if request.c is None else request.c
        self._launch(
            *(kernel, (-(-n // _TILE), -(-m // _TILE)), _BLOCK),
            *(a, *a.stride(), OPERAND_FORMATS.index(request.a_format)),
            *(b, *b.stride(), OPERAND_FORMATS.index(request.b_format)),
            *(c, int(request.c is not None), *c.stride()),
            *(sums, m, n, k, flags),
        )

    def _quantize(self, request: QuantizeRequest) -> tuple[Any, Flags, int]:
        values: Any = request.values
        flat = values.contiguous().view(-1)
        cols = self.config.cols
        rows = -(-flat.numel() // cols)
        codes, raised = self._convert(
            *(flat, (rows, cols), request.fmt, request.rounding, request.saturate),
            *(request.scale, max(rows, 1)),
        )
        cycles = self._model_quantize_cycles(request)
        return codes.view(values.shape), Flags.from_bits(int(raised.item())), cycles

    def _convert(
        self,
        values: torch.Tensor,
        shape: tuple[int, int],
        fmt: FloatFormat,
        rounding: Rounding,
        saturate: bool,
        scale: int,
        tile_rows: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Convert contiguous numbers, [m, n] or the first of so many, to codes and flags."""
        codes = torch.empty(values.shape, dtype=_DTYPES[fmt.width], device=self.device)
        flags = self._no_flags()
        count = values.numel()
        if count == 0:
            return codes, flags
        draws: torch.Tensor = flags
        if rounding is Rounding.STOCHASTIC:
            draws = self._draw(count, shape)
        how = conversion_structure(fmt, rounding, saturate, scale, self.config.random_bits)
        infinity = -1 if fmt.infinity_code is None else fmt.infinity_code
        self._launch(
            *("convert", (-(-count // _BLOCK), 1), _BLOCK),
            *(values, codes, count, *shape, tile_rows, self.config.cols),
            *(fmt.width, fmt.fraction_bits, 127 + fmt.min_exponent, fmt.max_code, infinity),
            *(fmt.nan_code, ROUNDINGS.index(rounding), how.limit, self.config.random_bits),
            *(scale, draws, flags),
        )
        return codes, flags

    def _draw(self, count: int, shape: tuple[int, int]) -> torch.Tensor:
        """Take the draws of `count` numbers of [m, n]; [draws of a lane, lanes]."""
        cols, width = self.config.cols, self.config.lfsr_width
        n = shape[1]
        lanes = np.arange(cols)
        whole, rest = divmod(count, n)
        # Of each row, a lane serves every cols-th column; of a partial last row likewise.
        counts = whole * ((n - lanes + cols - 1) // cols) + np.maximum(
            (rest - lanes + cols - 1) // cols, 0
        )
        total = int(counts.max())
        draws = torch.empty((total, cols), dtype=torch.int32, device=self.device)
        threads = -(-total // _DRAWS_EACH) * cols
        self._launch(
            *("draw", (-(-threads // _BLOCK), 1), _BLOCK, self._states, self._leaps, self._taps),
            *(draws, cols, total, width, self.config.random_bits),
        )
        taken = self._words(counts.astype(np.uint64))
        self._launch("advance", (1, 1), 64, self._states, self._leaps, taken, cols, width)
        return draws

    def _words(self, values: np.ndarray) -> torch.Tensor:
        """Bring 64-bit words to the device; PyTorch knows them as signed."""
        return torch.from_numpy(values.view(np.int64).copy()).to(self.device)

    def _no_flags(self) -> torch.Tensor:
        return torch.zeros(1, dtype=torch.int32, device=self.device)

    def _read_state(self) -> np.ndarray:
        return self._states.cpu().numpy().view(np.uint64).copy()

    def _write_state(self, states: np.ndarray) -> None:
        self._states = self._words(states)


@cache
def _leap_table(width: int, random_bits: int) -> np.ndarray:
    """Matrices that advance a lane by 2**b draws, uint64 rows [b, 64]."""
    lfsr = Lfsr(width)
    table = np.zeros((_LEAPS, 64), dtype=np.uint64)
    for b in range(_LEAPS):
        table[b, :width] = lfsr.step_matrix(random_bits << b)
    return table

"""Numbers: formats, rounding, random bits, configuration, and the golden model.

This package is the numeric contract in code (``docs/contract.md`` in words). It depends on NumPy
alone: it knows nothing of hardware, simulators, or PyTorch.
"""

from pysim.config import ArrayConfig
from pysim.convert import Rounding, convert, decode
from pysim.flags import Flags
from pysim.formats import FORMATS, FloatFormat, get_format
from pysim.gemm import GemmResult
from pysim.golden import GoldenEngine
from pysim.lfsr import Lfsr

__all__ = [
    "FORMATS",
    "ArrayConfig",
    "Flags",
    "FloatFormat",
    "GemmResult",
    "GoldenEngine",
    "Lfsr",
    "Rounding",
    "convert",
    "decode",
    "get_format",
]

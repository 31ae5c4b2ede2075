"""Numbers: formats, rounding, random bits, configuration, and the golden model.

This package is the numeric contract in code (``docs/contract.md`` in words). It depends on NumPy
alone: it knows nothing of hardware, simulators, or PyTorch.
"""

from pysim.config import ArrayConfig
from pysim.convert import Rounding, convert, decode
from pysim.engine import Engine, GemmResult
from pysim.errors import InputError
from pysim.flags import Flags
from pysim.formats import FORMATS, FloatFormat, get_format
from pysim.golden import GoldenEngine
from pysim.lfsr import Lfsr

__all__ = [
    "FORMATS",
    "ArrayConfig",
    "Engine",
    "Flags",
    "FloatFormat",
    "GemmResult",
    "GoldenEngine",
    "InputError",
    "Lfsr",
    "Rounding",
    "convert",
    "decode",
    "get_format",
]

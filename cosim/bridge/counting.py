"""Counts over numbers and codes, in NumPy arrays or in tensors on a device."""

from typing import Any

import numpy as np
import torch

from pysim.fast.exponents import FIELDS
from pysim.fast.exponents import exponents as exponents_of_array
from pysim.fast.tally import Tally
from pysim.fast.tally import tally as tally_array
from pysim.fast.tally import zeros as zeros_array
from pysim.formats import FloatFormat

Numbers = np.ndarray | torch.Tensor


def tally(codes: Numbers, fmt: FloatFormat) -> Tally:
    """Count codes that are zero, the largest finite number, and beyond."""
    if isinstance(codes, np.ndarray):
        return tally_array(codes, fmt)
    magnitude = _magnitude(codes, fmt)
    return Tally(*(count(magnitude == 0, magnitude == fmt.max_code, magnitude > fmt.max_code)))


def zeros(values: Numbers) -> int:
    """Count zeros of either sign among float32 numbers."""
    return zeros_array(values) if isinstance(values, np.ndarray) else count(values == 0)[0]


def nonfinite(values: Numbers) -> int:
    """Count infinities and NaNs among float32 numbers."""
    isfinite: Any = np.isfinite if isinstance(values, np.ndarray) else torch.isfinite
    return count(~isfinite(values))[0]


def beyond(values: Numbers, limit: float) -> int:
    """Count finite float32 numbers of a greater magnitude than a limit."""
    return count(~(abs(values) <= limit))[0] - nonfinite(values)


def equal(codes: Numbers, magnitude: int, fmt: FloatFormat) -> int:
    """Count codes of a magnitude, whatever their signs."""
    return count(_magnitude(codes, fmt) == magnitude)[0]


def exponents(values: Numbers) -> np.ndarray:
    """Count float32 numbers by exponent; see `pysim.fast.exponents.exponents`."""
    if isinstance(values, np.ndarray):
        return exponents_of_array(values)
    fields = (values.flatten().view(torch.int32) >> 23) & 0xFF
    fields = torch.where(values.flatten() == 0, FIELDS, fields)
    return torch.bincount(fields, minlength=FIELDS + 1).cpu().numpy()


def live_rows(codes: Numbers) -> int:
    """Count rows of FP8 codes that are not all zeros."""
    if isinstance(codes, np.ndarray):
        return count(np.bitwise_or.reduce(codes, axis=1) & 0x7F)[0]
    return count((codes & 0x7F).any(1))[0]


def count(*masks: Any) -> list[int]:
    """Count what is not zero in each of some arrays or tensors."""
    if isinstance(masks[0], np.ndarray):
        return [int(np.count_nonzero(mask)) for mask in masks]
    # One transfer from the device for all.
    return torch.stack([torch.count_nonzero(mask) for mask in masks]).tolist()


def _magnitude(codes: Any, fmt: FloatFormat) -> Any:
    # PyTorch has no bitwise arithmetic for uint16.
    wide = codes if isinstance(codes, np.ndarray) else codes.to(torch.int32)
    return wide & (fmt.sign_code - 1)

import numpy as np
import pytest

from pysim import decode, get_format
from pysim.engine import NARROW_FORMATS
from pysim.fast.tally import tally, zeros
from pysim.formats import OPERAND_FORMATS


@pytest.mark.parametrize("fmt", NARROW_FORMATS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("size", [0, 1, 239, 240, 241, 100_000])
def test_equals_a_count_of_values(fmt, size):
    dtype = np.uint8 if fmt.width == 8 else np.uint16
    codes = np.random.default_rng(size).integers(0, 1 << fmt.width, size, dtype=dtype)
    codes[: size // 3] &= fmt.sign_code  # many zeros, in a row
    codes[size // 3 : size // 2] = fmt.max_code
    values = np.abs(decode(codes, fmt))
    counts = tally(codes, fmt)
    assert counts.zeros == np.count_nonzero(values == 0)
    assert counts.largest == np.count_nonzero(values == fmt.max_value)
    assert counts.beyond == np.count_nonzero(~np.isfinite(values))


def test_strided_codes():
    fmt = get_format("e5m2", OPERAND_FORMATS)
    codes = np.zeros((10, 10), np.uint8)
    codes[:, ::2] = 0x7C
    assert tally(codes[:, ::2], fmt) == (0, 0, 50)
    assert tally(codes.T, fmt) == (50, 0, 50)


@pytest.mark.parametrize("size", [0, 1, 8, 100_003])
def test_zeros(size):
    values = np.random.default_rng(size).integers(-2, 3, size).astype(np.float32) * -1
    values[::5] = np.nan
    assert zeros(values) == np.count_nonzero(values == 0)
    assert zeros(values[::2]) == np.count_nonzero(values[::2] == 0)

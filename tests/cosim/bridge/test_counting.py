import numpy as np
import pytest
import torch

from cosim.bridge import counting
from pysim import decode
from pysim.engine import NARROW_FORMATS


@pytest.mark.parametrize("fmt", NARROW_FORMATS, ids=lambda fmt: fmt.name)
def test_tensors_count_like_arrays(fmt):
    dtype = np.uint8 if fmt.width == 8 else np.uint16
    codes = np.random.default_rng(0).integers(0, 1 << fmt.width, (37, 50)).astype(dtype)
    codes[:3] = fmt.sign_code
    codes[5] = fmt.max_code
    values = decode(codes, fmt)
    for kind in (lambda x: x, torch.from_numpy):
        assert counting.tally(kind(codes), fmt) == counting.tally(codes, fmt)
        assert counting.zeros(kind(values)) == np.count_nonzero(values == 0) > 0
        assert counting.nonfinite(kind(values)) == np.count_nonzero(~np.isfinite(values)) > 0
        finite = values[np.isfinite(values)]
        assert counting.beyond(kind(values), 1.0) == np.count_nonzero(abs(finite) > 1) > 0
        largest = np.count_nonzero(abs(values) == fmt.max_value)
        assert counting.equal(kind(codes), fmt.max_code, fmt) == largest > 0


def test_live_rows():
    codes = np.zeros((4, 5), np.uint8)
    codes[1, 2], codes[2, 3] = 0x80, 0x81
    assert counting.live_rows(codes) == counting.live_rows(torch.from_numpy(codes)) == 1

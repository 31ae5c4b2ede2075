import ctypes

import numpy as np
import pytest

from pysim import decode, get_format
from pysim.fast import library
from pysim.fast.decode import decode as fast_decode
from pysim.formats import OPERAND_FORMATS


@pytest.mark.parametrize("name", ["e5m2", "e4m3"])
@pytest.mark.parametrize("shape", [(0,), (7,), (256,), (1000, 1001)])
def test_equals_the_contract(name, shape):
    codes = np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)
    expected = decode(codes, get_format(name, OPERAND_FORMATS))
    np.testing.assert_array_equal(fast_decode(codes, name).view("u4"), expected.view("u4"))


@pytest.mark.parametrize("name", ["e5m2", "e4m3"])
@pytest.mark.parametrize("size", [1, 255, 256])
def test_every_instruction_set(name, size):
    kernels = library.load()
    codes = np.arange(size, dtype=np.uint8)
    expected = decode(codes, get_format(name, OPERAND_FORMATS))
    for instructions in range(kernels.fast_best_instructions() + 1):
        values = np.full(size + 1, 123, np.float32)
        address = ctypes.c_void_p(values.ctypes.data)
        kernels.fast_decode(
            instructions, 1, library.OPERANDS[name], codes.ctypes.data, address, size
        )
        np.testing.assert_array_equal(values[:-1].view("u4"), expected.view("u4"))
        assert values[-1] == 123

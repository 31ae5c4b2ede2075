"""The decoder: every code of both formats."""

import numpy as np
import pytest

from hw.operand import Operand, OperandDecoder
from pysim import decode
from pysim.formats import OPERAND_FORMATS


@pytest.mark.parametrize("fmt", OPERAND_FORMATS, ids=str)
def test_every_code(evaluate, field, fmt):
    inputs = [{"code": code, "format": OPERAND_FORMATS.index(fmt)} for code in range(256)]
    operands = [word for (word,) in evaluate(OperandDecoder(), inputs, ["operand"])]
    values = decode(np.arange(256, dtype=np.uint8), fmt)
    for word, value in zip(operands, values, strict=True):
        get = lambda name: field(Operand, word, name)  # noqa: B023, E731
        assert get("nan") == np.isnan(value)
        assert get("infinite") == np.isinf(value)
        if np.isnan(value):
            continue
        assert get("sign") == np.signbit(value)
        if np.isfinite(value):
            assert get("significand") * 2.0 ** (get("exponent") - 18) == abs(value)

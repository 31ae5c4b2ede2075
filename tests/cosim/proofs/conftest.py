"""What the proofs are tried on."""

import pytest

import rtl_gen
from pysim import ArrayConfig


@pytest.fixture(scope="session")
def engine():
    """The Verilog of a small engine."""
    return rtl_gen.design(ArrayConfig(2, 3, latency=3))

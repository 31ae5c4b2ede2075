import pytest

from cosim.models.checks import require_positive, require_share
from pysim import InputError


def test_what_is_allowed():
    require_positive(width=1, depth=10**9)
    require_share(dropout=0, other=0.999)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None])
def test_not_positive(value):
    with pytest.raises(InputError, match=r"depth .* is out of range: a whole number of at least 1"):
        require_positive(width=1, depth=value)


@pytest.mark.parametrize("value", [-0.1, 1, float("nan")])
def test_not_a_share(value):
    with pytest.raises(InputError, match=r"dropout .* is out of range: from 0 to below 1"):
        require_share(dropout=value)

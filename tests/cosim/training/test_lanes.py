import pytest

from cosim.training.lanes import start_lanes
from pysim import ArrayConfig, GoldenEngine, InputError


def test_seeds_and_ranks_draw_from_other_lanes():
    config = ArrayConfig()
    starts = [start_lanes(config, seed, rank).tolist() for seed in range(3) for rank in range(3)]
    assert len({state for lanes in starts for state in lanes}) == 9 * config.cols
    with GoldenEngine(config) as engine:
        assert starts[0] == engine.random_state.tolist()


def test_bad_numbers():
    with pytest.raises(InputError, match="seed -1 is out of range"):
        start_lanes(ArrayConfig(), -1)
    with pytest.raises(InputError, match="rank -1 is out of range"):
        start_lanes(ArrayConfig(), 0, -1)
    with pytest.raises(InputError, match="seed 4294967296 is out of range"):
        start_lanes(ArrayConfig(), 1 << 32, 1)

"""Two processes on one machine, under `torchrun`, with every recipe."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cosim.bridge import Recipe

SCRIPT = Path(__file__).with_name("distributed_script.py")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return what each rank found, of two runs alike."""
    found = []
    for name in ("first", "second"):
        folder = tmp_path_factory.mktemp(name)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        done = subprocess.run(
            [*command, "--nproc-per-node=2", str(SCRIPT), str(folder)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        found.append([json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)])
    return found


def test_ranks_end_with_the_same_weights(runs):
    for one, other in zip(*(rank.items() for rank in runs[0]), strict=True):
        assert one[0] == other[0]
        assert one[1]["weights"] == other[1]["weights"], one[0]
        assert one[1]["skipped"] == other[1]["skipped"] == 0
    assert set(runs[0][0]) == set(Recipe.names())
    assert len({found["weights"] for found in runs[0][0].values()}) > 5


def test_lanes_are_disjoint(runs):
    states = [rank["mellempudi2019"]["random_state"] for rank in runs[0]]
    assert not set(states[0]) & set(states[1])


def test_again_alike(runs):
    assert runs[0] == runs[1]

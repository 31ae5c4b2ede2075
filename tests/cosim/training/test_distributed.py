"""Two processes on one machine, under `torchrun`, with every recipe."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cosim.bridge import Recipe
from cosim.training import checkpoint, train
from cosim.training.run import load_settings
from pysim import InputError

SCRIPT = Path(__file__).with_name("distributed_script.py")


def torchrun(folder, *command, processes=2):
    """Run something of Python in several processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*launcher, f"--nproc-per-node={processes}", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return what each rank found, of two runs alike."""
    found = []
    for name in ("first", "second"):
        folder = tmp_path_factory.mktemp(name)
        done = torchrun(folder, str(SCRIPT), str(folder))
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


TRAIN = ("-m", "cosim", "train")
STOPPED = """
from pathlib import Path
from cosim.training import run, train

class Stopped(Exception):
    pass

def stop(progress):
    if progress.step == 7:
        raise Stopped

try:
    train(run.load_settings(Path("whole")), Path("parts"), progress=stop)
except Stopped:
    pass
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a run in two processes, and its result."""
    folder = tmp_path_factory.mktemp("torchrun")
    options = ("--model", "mlp", "--recipe", "hybrid-delayed", "--batch", "16", "--steps", "10")
    done = torchrun(folder, *TRAIN, *options, "-o", "whole", "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)["runs"][0]


def test_command_in_two_processes(whole):
    folder, result = whole
    assert result["settings"]["processes"] == 2
    assert len(set(result["random_state"])) == 2 * 8
    text = (folder / "whole" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["step"] for line in lines] == list(range(11))
    # What both did counts, as if one had done it: 16 examples a step; the last layer is exempt.
    forward = 16 * (64 * 64 + 64 * 32)
    assert result["macs"] == 10 * (3 * forward - 16 * 64 * 64)
    assert lines[-1]["cycles"] == result["cycles"]

    # The twin in FP32 is what one process makes of the same batches, but for the order of sums.
    settings = load_settings(folder / "whole").with_changes(processes=1)
    alone = train(settings, folder / "alone")
    assert result["fp32_loss"] == pytest.approx(alone.fp32_loss, rel=1e-5)
    assert result["loss"] == pytest.approx(alone.loss, rel=0.05)


def test_resumed_in_two_processes(whole):
    folder, result = whole
    (folder / "stopped.py").write_text(STOPPED)
    done = torchrun(folder, "stopped.py")
    assert done.returncode == 0, done.stderr
    saved = checkpoint.load(folder / "parts")
    assert 0 < saved["step"] < 10
    assert len(saved["ranks"]) == 2
    with pytest.raises(InputError, match="one of 2 processes, not of 1"):
        train(load_settings(folder / "parts"), folder / "parts", resume=True)
    done = torchrun(folder, *TRAIN, "--resume", "parts", "--json")
    assert done.returncode == 0, done.stderr
    resumed = json.loads(done.stdout)["runs"][0]
    for key in ("weights_sha256", "random_state", "statistics", "accuracy"):
        assert resumed[key] == result[key], key
    lines = [(folder / name / "metrics.jsonl").read_text() for name in ("whole", "parts")]
    assert lines[0] == lines[1]

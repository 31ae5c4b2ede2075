"""Checkpoints: nothing is missing from them, and what is no checkpoint of the run is refused."""

import sys
from dataclasses import replace

import pytest
import torch

from cosim.bridge import LossScale, MasterSpec, Recipe
from cosim.cli import main
from cosim.training import checkpoint, train
from cosim.training.run import load_settings
from pysim import InputError

HALF, WHOLE = 12, 24


@pytest.fixture(scope="module")
def recipe():
    """A recipe that makes use of everything that a checkpoint holds."""
    delayed = Recipe.named("hybrid-delayed")
    return replace(
        delayed,
        exempt=(),
        error=replace(delayed.error, rounding="stochastic", saturate=False),
        master=MasterSpec("fp16", "stochastic"),
        loss_scale=LossScale("dynamic", 1024.0, interval=5),
    )


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """Pictures take most of the time of runs as short as these."""
    monkeypatch.setattr("cosim.training.run.write_report", lambda *arguments: None)


class StoppedError(Exception):
    pass


@pytest.fixture
def half(settings, recipe, tmp_path):
    """Return the settings of a run, which has stopped half way, and its folder."""

    def stop(progress):
        if progress.step == HALF + 1:
            raise StoppedError

    settings = settings.with_changes(recipe=recipe, steps=WHOLE)
    with pytest.raises(StoppedError):
        train(settings, tmp_path / "half", progress=stop)
    assert checkpoint.load(tmp_path / "half")["step"] == HALF
    return settings, tmp_path / "half"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


PARTS = {
    "weights": lambda state: state["learner"]["model"]["1.bias"].add_(2.0**-6),
    "momentum": lambda state: state["learner"]["optimiser"]["state"][0]["momentum_buffer"].zero_(),
    "masters' lanes": lambda state: state["learner"]["optimiser"]["master_lanes"].reverse(),
    "loss scaler": lambda state: state["learner"]["scaler"].update(_scale=64.0),
    "lanes": lambda state: state["ranks"][0]["random_state"].reverse(),
    "scales": lambda state: [h.append(2.0**9) for h in state["ranks"][0]["scales"].values()],
    "step, and so the data": lambda state: state.update(step=HALF - 2),
    "twin": lambda state: state["twin"]["model"]["1.bias"].add_(2.0**-6),
    "nothing": lambda state: None,
}


def test_every_part_matters(half, tmp_path):
    settings, folder = half
    saved, metrics = contents(folder), {}
    for name, change in PARTS.items():
        for file, data in saved.items():
            (folder / file).write_bytes(data)
        state = torch.load(folder / "checkpoint.pt", weights_only=True)
        change(state)
        torch.save(state, folder / "checkpoint.pt")
        train(settings, folder, resume=True)
        metrics[name] = (folder / "metrics.jsonl").read_text()
    train(settings, tmp_path / "whole")
    undisturbed = (tmp_path / "whole" / "metrics.jsonl").read_text()
    assert metrics.pop("nothing") == undisturbed
    assert [name for name, text in metrics.items() if text == undisturbed] == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_cut_short(half, share, monkeypatch, capsys):
    _, folder = half
    path = folder / "checkpoint.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    before = contents(folder)
    monkeypatch.setattr(sys, "argv", ["fp8cosim", "train", "--resume", str(folder)])
    with pytest.raises(SystemExit) as exited:
        main()
    out, err = capsys.readouterr()
    assert (exited.value.code, out) == (2, "")
    assert "checkpoint.pt' cannot be read" in err.replace("\n", "")
    assert "Traceback" not in err
    assert contents(folder) == before


@pytest.mark.parametrize(
    "damage",
    [lambda text: "", lambda text: text[: len(text) // 3], lambda text: "x" + text],
    ids=["empty", "cut short", "no JSON"],
)
def test_metrics_do_not_fit(half, damage):
    settings, folder = half
    (folder / "metrics.jsonl").write_text(damage((folder / "metrics.jsonl").read_text()))
    before = contents(folder)
    with pytest.raises(InputError, match=f"does not tell of each step up to {HALF}"):
        train(settings, folder, resume=True)
    assert contents(folder) == before


def test_of_another_run(half, tmp_path):
    settings, folder = half
    mine = (folder / "checkpoint.pt").read_bytes()
    before = contents(folder)
    for name, changes in {
        "recipe": {"recipe": Recipe.named("e5m2-sr")},
        "batch": {"batch": 8},
        "seed": {"seed": 3},
        "config": {"config": replace(settings.config, rows=5)},
        "model": {"model": "cnn"},
    }.items():
        other = tmp_path / name
        train(settings.with_changes(steps=1, **changes), other)
        (folder / "checkpoint.pt").write_bytes((other / "checkpoint.pt").read_bytes())
        with pytest.raises(InputError, match=f"is of another run: its {name} is not that of run"):
            train(load_settings(folder), folder, resume=True)
    (folder / "checkpoint.pt").write_bytes(mine)
    assert contents(folder) == before


def test_without_a_part(half):
    settings, folder = half
    state = checkpoint.load(folder)
    for key in ("ranks", "learner"):
        torch.save({k: v for k, v in state.items() if k != key}, folder / "checkpoint.pt")
        before = contents(folder)
        with pytest.raises(InputError, match="it lacks a part"):
            train(settings, folder, resume=True)
        assert contents(folder) == before
    del state["learner"]["model"]["1.weight"]
    torch.save(state, folder / "checkpoint.pt")
    before = contents(folder)
    with pytest.raises(InputError, match="is not one of this model"):
        train(settings, folder, resume=True)
    assert contents(folder) == before

"""A run: the same bits on every engine, resumed or not; and a folder that tells of it."""

import json
import re
from dataclasses import replace

import pytest
import torch

from cosim.bridge import LossScale, Recipe, RoleSpec
from cosim.training import train
from cosim.training.learner import Learner
from cosim.training.run import load_settings
from pysim import GoldenEngine, InputError

OUTCOME = ("accuracy", "loss", "cycles", "macs", "weights_sha256", "random_state", "statistics")


def outcome(result):
    return {name: getattr(result, name) for name in OUTCOME}


def read_lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("engine", ["golden", "rtl"])
def test_engines_end_alike(on, tmp_path, engine):
    fast = train(on("fast"), tmp_path / "fast")
    other = train(on(engine), tmp_path / "other")
    assert outcome(other) == outcome(fast)
    metrics = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("fast", "other")]
    assert metrics[0] == metrics[1]


def test_cnn_on_golden_and_fast(on, tmp_path):
    settings = on("fast").with_changes(model="cnn", steps=2)
    fast = train(settings, tmp_path / "fast")
    golden = train(settings.with_changes(engine="golden"), tmp_path / "golden")
    assert outcome(golden) == outcome(fast)
    assert fast.not_offloaded == {}


def test_arithmetic_matters(settings, tmp_path):
    result = train(settings, tmp_path / "array")
    twin = train(settings.with_changes(engine="fp32"), tmp_path / "fp32")
    assert result.weights_sha256 != twin.weights_sha256
    assert (result.fp32_accuracy, result.fp32_loss) == (twin.accuracy, twin.loss)
    assert (twin.fp32_accuracy, twin.cycles, twin.macs) == (None, 0, 0)


def test_twin_is_plain_pytorch(settings, tmp_path):
    """The twin's losses are those of the same loop, written down without any of ours."""
    train(settings, tmp_path / "run")
    lines = read_lines(tmp_path / "run")
    twin = train(settings.with_changes(engine="fp32"), tmp_path / "fp32")
    assert twin.accuracy == lines[-1]["fp32_accuracy"]

    model = Learner(settings).model
    optimiser = torch.optim.SGD(model.parameters(), lr=settings.learning_rate, momentum=0.9)
    for step, line in enumerate(lines[1:]):
        inputs, labels = settings.task.load().batch(step, settings.batch, settings.seed)
        loss = torch.nn.functional.cross_entropy(model(inputs), labels)
        # More threads than one may add up in another order.
        assert loss.item() == pytest.approx(line["fp32_loss"], rel=1e-4)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_every_gemm_is_counted(settings, tmp_path):
    result = train(settings, tmp_path / "run")
    kinds = result.statistics["kinds"]
    assert {name: counts["gemms"] for name, counts in kinds.items()} == {
        "forward": 3 * 12,
        "dgrad": 2 * 12,  # the input of the first layer needs no derivative
        "wgrad": 3 * 12,
    }
    assert set(result.statistics["layers"]) == {"1", "3", "5"}
    forward = 16 * (64 * 64 + 64 * 32 + 32 * 10)
    assert kinds["forward"]["macs"] == 12 * forward
    assert result.macs == 12 * (3 * forward - 16 * 64 * 64)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("other", ["fast", "golden"])
def test_resumed_run_ends_alike(settings, tmp_path, other):
    whole = train(settings.with_changes(steps=30), tmp_path / "whole")

    def stop(progress):
        if progress.step == 17:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(settings.with_changes(steps=30), tmp_path / "parts", progress=stop)
    # Some lines are newer than the checkpoint, and the last one is half written.
    metrics = tmp_path / "parts" / "metrics.jsonl"
    assert len(metrics.read_text().splitlines()) > 16
    with metrics.open("a") as file:
        file.write('{"step": 18, "lo')
    again = load_settings(tmp_path / "parts").with_changes(engine=other)
    resumed = train(again, tmp_path / "parts", resume=True)
    assert outcome(resumed) == outcome(whole)
    assert metrics.read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()


def test_run_goes_on_longer(settings, tmp_path):
    train(settings, tmp_path / "run")
    longer = train(settings.with_changes(steps=20), tmp_path / "run", resume=True)
    whole = train(settings.with_changes(steps=20), tmp_path / "whole")
    assert longer.weights_sha256 == whole.weights_sha256
    with pytest.raises(InputError, match="20 steps already: 5 are not more"):
        train(settings.with_changes(steps=5), tmp_path / "run", resume=True)


def test_evaluation_does_not_disturb(settings, tmp_path, monkeypatch):
    often = train(settings, tmp_path / "often")
    monkeypatch.setattr("cosim.training.run.EVALUATIONS", 1)
    once = train(settings, tmp_path / "once")
    for result in (often, once):
        # Counted in the steps after evaluations.
        result.statistics.pop("exponents")
    assert outcome(once) == outcome(often)


def test_steps_without_finite_gradients_are_skipped(settings, tmp_path):
    infinite = RoleSpec("e5m2", saturate=False)
    recipe = replace(settings.recipe, loss_scale=2.0**40, error=infinite, gradient=infinite)
    result = train(settings.with_changes(recipe=recipe), tmp_path / "run")
    assert result.skipped == 12
    fresh = Learner(settings, GoldenEngine(settings.config))
    assert result.weights_sha256 == fresh.digest()


def test_folder(settings, tmp_path):
    folder = tmp_path / "run"
    result = train(settings, folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "run.json",
        "result.json",
        "metrics.jsonl",
        "checkpoint.pt",
        "curves.png",
        "numbers.png",
        "report.html",
    }
    assert load_settings(folder) == settings
    assert json.loads((folder / "result.json").read_text())["accuracy"] == result.accuracy
    lines = read_lines(folder)
    assert [line["step"] for line in lines] == list(range(13))
    assert lines[-1]["cycles"] == result.cycles
    for name in ("curves.png", "numbers.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text()
    assert result.weights_sha256 in page
    assert f"{result.cycles:,}" in page
    assert "Nothing: every product" in page
    # Everything is in the page: no address of anything else.
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "http" not in page


def test_folder_is_not_overwritten(settings, tmp_path):
    train(settings, tmp_path / "run")
    with pytest.raises(InputError, match="holds a run already"):
        train(settings, tmp_path / "run")


def test_folder_that_cannot_be_written(settings, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        train(settings, tmp_path / "file" / "run")


def test_nothing_to_resume(settings, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        train(settings, tmp_path, resume=True)
    with pytest.raises(InputError, match="does not hold a run"):
        load_settings(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"not one")
    with pytest.raises(InputError, match="cannot be read"):
        train(settings, tmp_path, resume=True)


def test_run_stopped_before_its_first_step_goes_on(settings, tmp_path):
    class Stopped(Exception):
        pass

    def stop(progress):
        raise Stopped

    with pytest.raises(Stopped):
        train(settings, tmp_path / "stopped", progress=stop)
    train(settings, tmp_path / "stopped", resume=True)
    train(settings, tmp_path / "whole")
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("stopped", "whole")]
    assert lines[0] == lines[1]


def test_lines_tell_how_the_numbers_fare(settings, tmp_path):
    result = train(settings, tmp_path / "run")
    start, *lines = read_lines(tmp_path / "run")
    assert all(line["loss_scale"] == 10000 and line["loss_scale_floor"] == 0 for line in lines)
    assert {line["skipped"] for line in lines} == {0}
    model = Learner(settings).model
    squares = sum(p.double().square().sum().item() for p in model.parameters())
    assert start["fp32_squared_weights"] == pytest.approx(squares)
    # The learner's weights are rounded to the format of its masters.
    assert start["squared_weights"] == pytest.approx(squares, rel=1e-3)
    assert start["squared_weights"] != start["fp32_squared_weights"]
    assert lines[-1]["squared_weights"] != start["squared_weights"]
    assert lines[-1]["roles"] == result.statistics["roles"]


def test_lines_follow_the_loss_scale(settings, tmp_path):
    scale = LossScale("enhanced", 2.0**20, interval=3, floors=((6, 2.0**22),), schedule_length=12)
    recipe = Recipe.named("mellempudi2019-enhanced")
    recipe = replace(recipe, loss_scale=scale, exempt=())
    result = train(settings.with_changes(recipe=recipe), tmp_path / "run")
    lines = read_lines(tmp_path / "run")[1:]
    assert lines[0]["loss_scale"] == 2.0**20
    assert [line["loss_scale_floor"] for line in lines] == [0] * 6 + [2.0**22] * 6
    assert all(line["loss_scale"] >= line["loss_scale_floor"] for line in lines)
    assert lines[-1]["skipped"] == result.skipped


def test_translations_are_judged_by_bleu(settings, tmp_path):
    tiny = settings.with_changes(model="transformer", steps=1, batch=4)
    result = train(tiny, tmp_path / "run")
    line = read_lines(tmp_path / "run")[-1]
    assert (line["bleu"], line["fp32_bleu"]) == (result.accuracy, result.fp32_accuracy)
    assert "accuracy" not in line

"""The paper's models, small, train under `audit` without a difference."""

import pytest

from cosim.audit import AuditEngine
from cosim.bridge import Recipe
from cosim.training import TrainingSettings
from cosim.training.learner import Learner
from cosim.training.sources import CLASSIFIERS, TRANSLATORS
from pysim import ArrayConfig

SIZES = {
    **{model: {"width": 2} for model in CLASSIFIERS},
    "gnmt": {"width": 8, "depth": 3},
    "transformer": {"width": 8, "depth": 2},
}


@pytest.mark.parametrize("model", [*CLASSIFIERS, *TRANSLATORS])
def test_no_difference(model, tmp_path):
    config = ArrayConfig(4, 4)
    settings = TrainingSettings.of(
        model,
        engine="audit",
        recipe=Recipe.named("mellempudi2019"),
        config=config,
        batch=2,
        **SIZES[model],
    )
    dataset = settings.task.load()
    with AuditEngine(config, rate=0.1, folder=tmp_path) as engine:
        learner = Learner(settings, engine)
        before = learner.digest()
        with learner.training() as session:
            for step in range(2):
                learner.step(step, *dataset.batch(step, settings.batch, 0))
        report = engine.finish()
    assert session.not_offloaded == {}
    assert learner.digest() != before
    assert report.checked > 0
    assert report.bits > 1000
    assert list(tmp_path.iterdir()) == []

from dataclasses import replace

import pytest

from cosim.bridge import Recipe
from cosim.training import TrainingSettings
from pysim import ArrayConfig


@pytest.fixture
def settings():
    """A run of a few steps on a small array."""
    return TrainingSettings.of(
        "mlp",
        engine="fast",
        recipe=replace(Recipe.named("mellempudi2019"), exempt=()),
        config=ArrayConfig(3, 2),
        steps=12,
        batch=16,
    )


@pytest.fixture
def on(settings):
    """The same run on another engine."""
    return lambda engine: replace(settings, engine=engine)

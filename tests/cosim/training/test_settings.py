"""Settings: checked, and the same after a round trip."""

import pytest

from cosim.training import TrainingSettings
from cosim.training.data import digits
from pysim import InputError


def test_round_trip(settings):
    assert TrainingSettings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model": "vgg"}, "'vgg'.*mlp, cnn"),
        ({"engine": "slow"}, "'slow'.*golden"),
        ({"simulator": "verilator"}, "no simulator"),
        ({"engine": "rtl", "simulator": "modelsim"}, "'modelsim'.*verilator"),
        ({"steps": 0}, "steps 0"),
        ({"batch": 0}, "batch 0"),
        ({"batch": 5000}, "batch 5000.*1437"),
        ({"processes": 0}, "processes 0"),
        ({"processes": 3}, "batch 16 cannot be shared by 3 processes"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
        ({"learning_rate": -1.0}, "learning rate -1"),
        ({"momentum": 1.0}, "momentum 1"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_bad_setting(settings, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        settings.with_changes(**changes)


@pytest.mark.parametrize("key", ["model", "recipe", "config", "steps"])
def test_missing_key(settings, key):
    values = settings.to_dict()
    del values[key]
    with pytest.raises(InputError, match=key):
        TrainingSettings.from_dict(values)


def test_unknown_key(settings):
    with pytest.raises(InputError, match="epochs"):
        TrainingSettings.from_dict({**settings.to_dict(), "epochs": 3})


def test_digits():
    data = digits()
    assert data.train_inputs.shape == (1437, 1, 8, 8)
    assert data.test_inputs.shape == (360, 1, 8, 8)
    assert (data.train_inputs.min(), data.train_inputs.max()) == (0, 1)
    assert len(data.test_labels.unique()) == 10


def test_epoch_has_each_example_once():
    data = digits()
    size = 16
    steps = len(data.train_labels) // size
    epochs = []
    for epoch in range(2):
        batches = [data.batch(epoch * steps + i, size, 0)[0] for i in range(steps)]
        rows = {tuple(image.flatten().tolist()) for batch in batches for image in batch}
        assert len(rows) == steps * size
        epochs.append(batches[0])
    assert not epochs[0].equal(epochs[1])
    assert not data.batch(0, size, 1)[0].equal(epochs[0])

"""GNMT: the reference's size, its layers by PyTorch's own LSTM, and its state."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from cosim.models.gnmt import GNMT
from pysim import InputError

SOURCE = torch.tensor([[4, 5, 6, 7, 3], [8, 3, 0, 0, 0]])
TARGET = torch.tensor([[2, 4, 9, 5], [2, 6, 0, 0]])


def small(**settings):
    torch.manual_seed(0)
    model = GNMT(11, **{"width": 6, "depth": 4, **settings}).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model


def lstm_size(inputs, width):
    return 4 * width * (inputs + width) + 2 * 4 * width


@pytest.mark.parametrize(("depth", "total"), [(4, 160_671_297), (8, 244_622_913)])
def test_parameters_at_full_size(depth, total):
    with torch.device("meta"):
        model = GNMT(32_320, depth=depth)
        # One position: at full width the loop over more is slow.
        source = torch.empty(2, 1, dtype=torch.int64)
        assert model(source, source).shape == (2, 1, 32_320)
    width = 1024
    encoder = 2 * lstm_size(width, width) + lstm_size(2 * width, width)
    encoder += (depth - 2) * lstm_size(width, width)
    decoder = lstm_size(width, width) + (depth - 1) * lstm_size(2 * width, width)
    attention = 2 * width * width + 2 * width + 1
    tokens = 2 * 32_320 * width + 32_320
    count = sum(p.numel() for p in model.parameters())
    assert count == encoder + decoder + attention + tokens == total


def torch_lstm(inputs, *layers):
    """PyTorch's LSTM with the weights of one layer, or of one in each direction."""
    theirs = nn.LSTM(inputs, 6, batch_first=True, bidirectional=len(layers) == 2)
    for layer, suffix in zip(layers, ("_l0", "_l0_reverse"), strict=False):
        for name, parameter in layer.named_parameters():
            setattr(theirs, name + suffix, nn.Parameter(parameter.detach()))
    return theirs


def reference(model, source, target):
    """Write down once more what NVIDIA's reference does."""
    lengths = (source != 0).sum(1)

    def packed(theirs, x):
        y, _ = theirs(pack_padded_sequence(x, lengths, batch_first=True))
        return pad_packed_sequence(y, batch_first=True)[0]

    encoder, decoder, attention = model.encoder, model.decoder, model.decoder.attention
    x = packed(torch_lstm(6, encoder.first.ahead, encoder.first.back), model.embedding(source))
    x = packed(torch_lstm(12, encoder.second), x)
    for layer in encoder.others:
        x = packed(torch_lstm(6, layer), x) + x

    y, _ = torch_lstm(6, decoder.first)(model.embedding(target))
    context = torch.zeros_like(y)
    direction = attention.gain * attention.direction / attention.direction.norm()
    for n, length in enumerate(lengths):
        for t in range(target.shape[1]):
            hidden = attention.query(y[n, t]) + attention.key(x[n, :length]) + attention.bias
            context[n, t] = (hidden.tanh() @ direction).softmax(0) @ x[n, :length]
    y, _ = torch_lstm(12, decoder.others[0])(torch.cat((y, context), 2))
    for layer in decoder.others[1:]:
        y = torch_lstm(12, layer)(torch.cat((y, context), 2))[0] + y
    return model.classifier(y)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_equals_the_reference(depth):
    model = small(depth=depth)
    wanted = reference(model, SOURCE, TARGET)
    torch.testing.assert_close(model(SOURCE, TARGET), wanted, rtol=1e-4, atol=1e-5)


def test_steps_predict_what_the_whole_does():
    model = small()
    whole = model(SOURCE, TARGET)
    state = model.start(SOURCE)
    for place in range(TARGET.shape[1]):
        logits, state = model.step(TARGET[:, place], state)
        torch.testing.assert_close(logits, whole[:, place], rtol=1e-4, atol=1e-5)
    assert all(len(part) == 2 for part in state)


def test_filling_does_not_matter():
    model = small()
    alone = model(SOURCE[1:, :2], TARGET[1:, :2])
    torch.testing.assert_close(alone[0], model(SOURCE, TARGET)[1, :2], rtol=1e-4, atol=1e-5)


def test_dropout_is_in_use():
    model = small(dropout=0.5)
    assert torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))
    model.train()
    assert not torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))


def test_initial_weights():
    model = GNMT(11, width=16)
    for name, parameter in model.named_parameters():
        if name.endswith(("bias_hh", "attention.bias")):
            assert not parameter.any(), name
        elif name.endswith("gain"):
            assert parameter.item() == 1 / 4
        elif "attention" not in name:
            assert 0.05 < parameter.abs().max() <= 0.1, name


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"width": 0}, "width 0 is out of range"),
        ({"depth": 1}, "depth 1 is out of range: at least 2"),
        ({"dropout": -1.0}, "dropout -1.0 is out of range"),
    ],
)
def test_bad_settings(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        GNMT(11, **settings)

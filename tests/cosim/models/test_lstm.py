"""The LSTM against PyTorch's own, with the same weights."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from cosim.models.lstm import LSTM, BidirectionalLSTM
from pysim import InputError

LENGTHS = torch.tensor([5, 2, 1])
VALID = torch.arange(5) < LENGTHS[:, None]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def copy_weights(ours, theirs, suffix="_l0"):
    weights = {name: getattr(theirs, name + suffix) for name, _ in ours.named_parameters()}
    ours.load_state_dict(weights)


def run_packed(theirs, x, state=None):
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True)
    y, (h, c) = theirs(packed, state)
    return pad_packed_sequence(y, batch_first=True)[0], h, c


def gradients(module, result):
    names, parameters = zip(*module.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(result.square().sum(), parameters), strict=True))


def test_equals_that_of_pytorch():
    ours, theirs = LSTM(3, 4), nn.LSTM(3, 4, batch_first=True)
    copy_weights(ours, theirs)
    x, state = torch.randn(3, 5, 3), (torch.randn(3, 4), torch.randn(3, 4))
    y, (h, c) = ours(x, state=state)
    wanted, (wanted_h, wanted_c) = theirs(x, (state[0][None], state[1][None]))
    torch.testing.assert_close(y, wanted)
    torch.testing.assert_close(torch.stack((h, c)), torch.cat((wanted_h, wanted_c)))
    mine, other = gradients(ours, y), gradients(theirs, wanted)
    for name, gradient in mine.items():
        torch.testing.assert_close(gradient, other[f"{name}_l0"])


def test_filling_is_as_in_a_packed_sequence():
    ours, theirs = LSTM(3, 4), nn.LSTM(3, 4, batch_first=True)
    copy_weights(ours, theirs)
    x = torch.randn(3, 5, 3)
    y, (h, c) = ours(x, VALID)
    wanted, wanted_h, wanted_c = run_packed(theirs, x)
    torch.testing.assert_close(y, wanted)
    torch.testing.assert_close(torch.stack((h, c)), torch.cat((wanted_h, wanted_c)))


def test_both_directions():
    ours, theirs = BidirectionalLSTM(3, 4), nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    copy_weights(ours.ahead, theirs)
    copy_weights(ours.back, theirs, "_l0_reverse")
    x = torch.randn(3, 5, 3)
    torch.testing.assert_close(ours(x), theirs(x)[0])
    y, wanted = ours(x, VALID), run_packed(theirs, x)[0]
    torch.testing.assert_close(y, wanted)
    mine, other = gradients(ours, y), gradients(theirs, wanted)
    for name, gradient in mine.items():
        direction, _, name = name.partition(".")
        suffix = "_l0" if direction == "ahead" else "_l0_reverse"
        torch.testing.assert_close(gradient, other[name + suffix])


def test_reverse_state_is_that_of_the_first_position():
    layer = LSTM(3, 4, reverse=True)
    y, (h, _) = layer(torch.randn(3, 5, 3), VALID)
    assert torch.equal(y[:, 0], h)


def test_initial_weights():
    for name, parameter in LSTM(30, 25).named_parameters():
        assert 0.15 < parameter.abs().max() <= 0.2, name


@pytest.mark.parametrize("sizes", [(0, 4), (3, 0)])
def test_bad_sizes(sizes):
    with pytest.raises(InputError, match="0 is out of range"):
        LSTM(*sizes)

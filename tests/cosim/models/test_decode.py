"""Decoding, on a language small enough to list all its sentences."""

import itertools

import pytest
import torch
from torch import nn

from cosim.datasets.tokens import BEGIN, END, PAD
from cosim.models.decode import beam_search, greedy
from cosim.models.gnmt import GNMT
from cosim.models.transformer import Transformer
from pysim import InputError

VOCABULARY = 7


class Pairs(nn.Module):
    """Logits of a token depend on the source and on the two tokens before."""

    def __init__(self, scale=2.0):
        super().__init__()
        size = (VOCABULARY,) * 4
        self.table = scale * torch.randn(size, generator=torch.Generator().manual_seed(0))
        self.modes = []

    def start(self, source):
        self.modes.append(self.training)
        return source[:, 0], torch.full_like(source[:, 0], BEGIN)

    def step(self, tokens, state):
        source, before = state
        return self.table[source, before, tokens], (source, tokens)

    def forward(self, source, target):
        raise AssertionError("not needed")


def log_probability(model, source, sentence):
    allowed = torch.ones(VOCABULARY, dtype=torch.bool)
    allowed[[PAD, BEGIN]] = False
    total, state, last = 0.0, model.start(source[None]), torch.tensor([BEGIN])
    for token in sentence:
        logits, state = model.step(last, state)
        total += logits[0].masked_fill(~allowed, -torch.inf).log_softmax(0)[token].item()
        last = torch.tensor([token])
    return total


def all_sentences(length):
    words = [1, 4, 5, 6]
    for size in range(length):
        for sentence in itertools.product(words, repeat=size):
            yield *sentence, END


@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
def test_beams_enough_for_all_find_the_best(penalty):
    model, sources = Pairs(), torch.tensor([[4], [5], [6]])
    found = beam_search(model, sources, beams=64, penalty=penalty, length=4).tolist()
    for source, tokens in zip(sources, found, strict=True):
        best = max(
            all_sentences(4),
            key=lambda s: log_probability(model, source, s) / ((5 + len(s)) / 6) ** penalty,
        )
        assert [token for token in tokens if token != PAD] == list(best)


def test_penalty_favours_longer_ones():
    model, sources = Pairs(scale=0.5), torch.arange(4, 7)[:, None]
    sizes = [
        (beam_search(model, sources, beams=16, penalty=p, length=6) != PAD).sum().item()
        for p in (0.0, 5.0)
    ]
    assert sizes[0] < sizes[1]


def test_search_ends_early_with_the_same_result():
    model, sources = Pairs(), torch.arange(4, 7)[:, None]
    short = beam_search(model, sources, beams=4, length=30)
    calls = []
    step = model.step
    model.step = lambda *a: calls.append(1) or step(*a)
    again = beam_search(model, sources, beams=4, length=30)
    assert torch.equal(short, again)
    assert short.shape[1] <= len(calls) < 30


def test_greedy_takes_the_likeliest():
    model, sources = Pairs(), torch.arange(4, 7)[:, None]
    found = greedy(model, sources, length=8)
    for source, tokens in zip(sources, found.tolist(), strict=True):
        state, last, wanted = model.start(source[None]), torch.tensor([BEGIN]), []
        while len(wanted) < 8 and END not in wanted:
            logits, state = model.step(last, state)
            logits[:, [PAD, BEGIN]] = -torch.inf
            last = logits.argmax(1)
            wanted.append(last.item())
        assert tokens == wanted + [PAD] * (len(tokens) - len(wanted))


def test_without_room_for_an_end():
    model, sources = Pairs(), torch.arange(4, 7)[:, None]
    model.table[..., END] = -torch.inf
    for find in (greedy, beam_search):
        found = find(model, sources, length=3)
        assert found.shape == (3, 3)
        assert set(found.flatten().tolist()) <= {1, 4, 5, 6}


def test_default_length_follows_the_source():
    model, source = Pairs(), torch.tensor([[4, 4, 4]])
    model.table[..., END] = -torch.inf
    assert greedy(model, source).shape == (1, 53)


@pytest.mark.parametrize("find", [greedy, beam_search])
def test_mode_is_put_back(find):
    model = Pairs().train()
    find(model, torch.tensor([[4]]), length=2)
    assert model.training
    assert model.modes == [False]


@pytest.mark.parametrize("find", [greedy, beam_search])
@pytest.mark.parametrize(
    "build",
    [
        lambda: Transformer(VOCABULARY, width=8, depth=2, heads=2, feed_forward=8),
        lambda: GNMT(VOCABULARY, width=8, depth=3),
    ],
    ids=["transformer", "gnmt"],
)
def test_sentences_of_a_batch_are_independent(build, find):
    sources = torch.tensor([[4, 5, 6, 3], [6, 3, 0, 0], [5, 4, 3, 0]])

    def untrained(seed):
        torch.manual_seed(seed)
        model = build()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=2.0)
        return model, find(model, sources, length=6)

    # Many an untrained model says the same to everybody.
    tries = map(untrained, range(50))
    model, together = next(t for t in tries if len({tuple(row) for row in t[1].tolist()}) > 1)
    for row, source in zip(together, sources, strict=True):
        alone = find(model, source[source != PAD][None], length=6)[0]
        assert row[row != PAD].tolist() == alone[alone != PAD].tolist()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"beams": 0}, "beams 0 is out of range"),
        ({"length": 0}, "length 0 is out of range"),
        ({"penalty": -1.0}, "penalty -1.0 is out of range"),
    ],
)
def test_bad_settings(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        beam_search(Pairs(), torch.tensor([[4]]), **settings)

import torch

from cosim.datasets.tokens import BEGIN, END, PAD, UNKNOWN
from cosim.datasets.translation import (
    Vocabulary,
    bleu,
    generated_translations,
    sentences,
    vocabulary,
)


def test_sentences_follow_the_seed():
    assert sentences(50, seed=1) == sentences(50, seed=1)
    assert sentences(50, seed=1) != sentences(50, seed=2)


def test_context_and_agreement():
    pairs = dict(sentences(20_000, seed=0))
    assert pairs["the dog sees a bank"] == "der hund ein ufer sieht"
    assert pairs["the dog pays a bank"] == "der hund eine bank bezahlt"
    assert pairs["a cat finds the dog"] == "eine katze den hund findet"
    by_word = {}
    for source, target in pairs.items():
        if source.startswith("the bank"):
            by_word.setdefault(target.split()[0], source)
    assert set(by_word) == {"das", "die"}


def test_vocabulary():
    words = Vocabulary(["b a", "c"])
    assert len(words) == 7
    tokens = words.encode("a b x")
    assert tokens == [4, 5, UNKNOWN]
    assert words.decode([BEGIN, 4, 5, UNKNOWN, END, 6]) == "a b"


def test_data_set():
    data = generated_translations()
    for inputs, labels in (
        (data.train_inputs, data.train_labels),
        (data.test_inputs, data.test_labels),
    ):
        assert (labels[:, 0] == BEGIN).all()
        assert ((inputs == END).sum(1) == 1).all()
        assert ((labels == END).sum(1) == 1).all()
        assert inputs.max() < len(vocabulary())
        assert not (inputs == UNKNOWN).any()
        assert not (labels == UNKNOWN).any()
        after_end = (inputs == END).cumsum(1).bool() & (inputs != END)
        assert (inputs[after_end] == PAD).all()
    train = {tuple(row.tolist()) for row in data.train_inputs}
    known = sum(tuple(row) in train for row in data.test_inputs.tolist())
    assert known < len(data.test_inputs) / 2


def test_bleu():
    labels = generated_translations().test_labels
    assert bleu(labels[:, 1:], labels) > 0.9999
    assert bleu(labels[:, 1:].flip(0), labels) < 0.5
    worse = labels[:, 1:].clone()
    worse[::2, 1] = UNKNOWN
    assert 0.5 < bleu(worse, labels) < 0.95
    assert bleu(torch.full((len(labels), 1), END), labels) == 0

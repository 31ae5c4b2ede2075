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
    seen = set()
    for source, target in sentences(40_000, seed=0):
        words = source.split()
        if len(words) != 5 or words[1] != "dog":
            continue
        assert target.startswith({"the": "der hund", "a": "ein hund"}[words[0]])
        if words[3:] == ["a", "bank"]:
            first, second = "ein ufer", "eine bank"
            wanted = {"sees": f"{first} sieht", "finds": f"{first} findet", "likes": f"{first} mag"}
            wanted |= {"builds": f"{second} baut", "pays": f"{second} bezahlt"}
            wanted |= {"visits": f"{second} besucht"}
            assert target.endswith(wanted[words[2]])
            seen.add(target.split()[-2])
        if words[3:] == ["the", "table"]:
            assert " den tisch " in target
            seen.add("tisch")
    assert seen == {"ufer", "bank", "tisch"}


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

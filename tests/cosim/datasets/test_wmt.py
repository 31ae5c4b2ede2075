import gzip

import pytest
import torch

from cosim.datasets.subwords import Subwords
from cosim.datasets.tokens import BEGIN, END, PAD
from cosim.datasets.translation import sentences
from cosim.datasets.wmt import ParallelText, find_texts, read_pairs
from pysim import InputError

PAIRS = sentences(300, seed=0)


@pytest.fixture(scope="module")
def subwords():
    return Subwords.learn([text for pair in PAIRS for text in pair], 120)


@pytest.fixture
def files(tmp_path):
    paths = tmp_path / "train.tok.clean.en", tmp_path / "train.tok.clean.de"
    for path, texts in zip(paths, zip(*PAIRS, strict=True), strict=True):
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return paths


def test_pairs(files, tmp_path):
    assert read_pairs(*files) == PAIRS
    packed = tmp_path / "train.de.gz"
    packed.write_bytes(gzip.compress(files[1].read_bytes()))
    assert read_pairs(files[0], packed) == PAIRS


def test_subwords(subwords, tmp_path):
    assert len(subwords) == 120
    for text in PAIRS[0]:
        tokens = subwords.encode(text)
        assert min(tokens) > END
        assert subwords.decode([BEGIN, *tokens, END, 7, PAD]) == text
    subwords.save(tmp_path / "bpe.model")
    again = Subwords.load(tmp_path / "bpe.model")
    assert again.encode("the dog") == subwords.encode("the dog")
    learnt = Subwords.learn([text for pair in PAIRS for text in pair], 120)
    assert learnt.encode(PAIRS[5][0]) == subwords.encode(PAIRS[5][0])


def test_batches(subwords):
    text = ParallelText(PAIRS, subwords)
    assert text.examples == 300
    batches = [text.batch(step, 30, 3) for step in range(10)]
    found = set()
    for sources, targets in batches:
        assert (targets[:, 0] == BEGIN).all()
        for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
            found.add((subwords.decode(source), subwords.decode(target)))
    assert found == set(PAIRS)
    filling = sum(int((sources == PAD).sum()) for sources, _ in batches)
    assert filling < 0.2 * sum(sources.numel() for sources, _ in batches)
    again = ParallelText(PAIRS, subwords)
    for step in (0, 9, 13):
        for one, other in zip(text.batch(step, 30, 3), again.batch(step, 30, 3), strict=True):
            assert torch.equal(one, other)
    shapes = [[text.batch(10 * e + i, 30, 3)[0].shape for i in range(10)] for e in (0, 1)]
    assert shapes[0] != shapes[1]


def test_what_fills_no_batch_is_another_part_in_every_epoch(subwords):
    text = ParallelText(PAIRS, subwords)
    epochs = []
    for epoch in range(2):
        batches = [text.batch(epoch * 2 + i, 140, 0)[0] for i in range(2)]
        epochs.append({subwords.decode(row) for batch in batches for row in batch.tolist()})
    assert epochs[0] != epochs[1]


def test_processes_share_a_batch(subwords):
    text = ParallelText(PAIRS, subwords)
    whole, _ = text.batch(2, 6, 0)
    parts = [text.batch(2, 6, 0, rank, 2)[0] for rank in range(2)]
    sentences_of = [[subwords.decode(row) for row in part.tolist()] for part in (whole, *parts)]
    assert sentences_of[0][::2] == sentences_of[1]
    assert sentences_of[0][1::2] == sentences_of[2]


def test_texts_are_found(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder '.*nowhere'"):
        find_texts(tmp_path / "nowhere", ("en", "de"))
    names = ("newstest2013.en", "newstest2015.en", "newstest2015.de.gz", "train.en")
    with pytest.raises(InputError, match="holds no test"):
        find_texts(tmp_path, ("en", "de"))
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"holds no train\.de"):
        find_texts(tmp_path, ("en", "de"))
    (tmp_path / "train.de").touch()
    test = find_texts(tmp_path, ("en", "de"))["test"]
    assert [path.name for path in test] == ["newstest2015.en", "newstest2015.de.gz"]
    (tmp_path / "newstest2014.en").touch()
    with pytest.raises(InputError, match=r"holds no newstest2014\.de"):
        find_texts(tmp_path, ("en", "de"))


def test_long_pairs_are_left_out(subwords):
    text = ParallelText(PAIRS, subwords, longest=10)
    assert 0 < text.examples < 300
    batches = [text.batch(step, 8, 0) for step in range(text.examples // 8)]
    assert all(max(s.shape[1], t.shape[1] - 1) <= 11 for s, t in batches)
    with pytest.raises(InputError, match="no pair of sentences has at most 1 tokens"):
        ParallelText(PAIRS, subwords, longest=1)


def test_damaged_text(files):
    source, target = files
    lines = target.read_text().splitlines(keepends=True)
    target.write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match=r"has 299 lines and .* has 300: line 300 is missing"):
        read_pairs(source, target)
    target.write_text("".join([*lines[:4], "\n", *lines[5:]]))
    with pytest.raises(InputError, match=r"line 5 of '.*\.de' is empty, its translation is not"):
        read_pairs(source, target)
    target.write_bytes(b"\xff\xfe\n" * 300)
    with pytest.raises(InputError, match=r"text '.*\.de' cannot be read"):
        read_pairs(source, target)
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs(source.with_suffix(".fr"), target)
    for path in files:
        path.write_text("\n\n")
    with pytest.raises(InputError, match="hold no sentence"):
        read_pairs(*files)


def test_bad_vocabularies(tmp_path):
    with pytest.raises(InputError, match="no vocabulary of 5000 subwords can be made"):
        Subwords.learn(["a b"], 5000)
    with pytest.raises(InputError, match="cannot be read"):
        Subwords.load(tmp_path / "none")
    with pytest.raises(InputError, match="not a vocabulary of subwords"):
        Subwords(b"nonsense")

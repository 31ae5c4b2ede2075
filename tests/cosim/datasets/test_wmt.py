import gzip

import pytest

from cosim.datasets.subwords import Subwords
from cosim.datasets.tokens import BEGIN, END, PAD
from cosim.datasets.translation import sentences
from cosim.datasets.wmt import ParallelText, read_pairs
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
    text = ParallelText(PAIRS, subwords, seed=3)
    assert len(text) == 300
    batches = list(text.batches(0, 32))
    assert sum(len(sources) for sources, _ in batches) == 300
    found = set()
    for sources, targets in batches:
        assert (targets[:, 0] == BEGIN).all()
        for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
            found.add((subwords.decode(source), subwords.decode(target)))
    assert found == set(PAIRS)
    filling = sum(int((sources == PAD).sum()) for sources, _ in batches)
    assert filling < 0.2 * sum(sources.numel() for sources, _ in batches)
    for ours, theirs in zip(batches, text.batches(0, 32), strict=True):
        assert all(map(bool, ((a == b).all() for a, b in zip(ours, theirs, strict=True))))
    shapes = [[s.shape for s, _ in text.batches(epoch, 32)] for epoch in (0, 1)]
    assert shapes[0] != shapes[1]


def test_long_pairs_are_left_out(subwords):
    text = ParallelText(PAIRS, subwords, longest=10)
    assert 0 < len(text) < 300
    assert all(max(s.shape[1], t.shape[1] - 1) <= 11 for s, t in text.batches(0, 8))
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

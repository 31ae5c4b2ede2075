"""Parallel text in the layout of WMT16: ``<prefix>.en`` and ``<prefix>.de``, a sentence a line."""

import gzip
import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from cosim.datasets.subwords import Subwords
from cosim.datasets.tokens import BEGIN, END, PAD
from pysim import InputError

TRAIN = "train"
TESTS = ("newstest2014", "newstest2016")
"""The tests that papers report; without one, the last newstest by name is taken."""


def read_pairs(source: Path, target: Path) -> list[tuple[str, str]]:
    """Read sentences and their translations from two files, plain or ``.gz``.

    Raises
    ------
    InputError
        If a file cannot be read or is not UTF-8, one has more lines than the other, or a line is
        empty on one side only; lines empty on both sides are left out.
    """
    sides = [_lines(Path(path)) for path in (source, target)]
    counts = [len(lines) for lines in sides]
    if counts[0] != counts[1]:
        longer, shorter = (source, target) if counts[0] > counts[1] else (target, source)
        raise InputError(
            f"{str(shorter)!r} has {min(counts)} lines and {str(longer)!r} has {max(counts)}: "
            f"line {min(counts) + 1} is missing on one side"
        )
    pairs = []
    for number, pair in enumerate(zip(*sides, strict=True), start=1):
        if bool(pair[0]) != bool(pair[1]):
            empty = target if pair[0] else source
            raise InputError(f"line {number} of {str(empty)!r} is empty, its translation is not")
        if pair[0]:
            pairs.append(pair)
    if not pairs:
        raise InputError(f"{str(source)!r} and {str(target)!r} hold no sentence")
    return pairs


def find_texts(folder: Path, languages: tuple[str, str]) -> dict[str, tuple[Path, Path]]:
    """Return the two files of ``"train"``, and those of ``"test"``: a newstest.

    Raises
    ------
    InputError
        If a file is missing.
    """
    folder = Path(folder)
    source = languages[0]
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {str(folder)!r}: text lies in train.{source} and so on"
        )
    prefixes = {path.name.split(".")[0] for path in folder.glob(f"newstest*.{source}*")}
    wanted = [name for name in TESTS if name in prefixes] or sorted(prefixes)[-1:]
    if not wanted:
        raise InputError(f"folder {str(folder)!r} holds no test: there is no newstest*.{source}")
    found = {}
    for part, prefix in (("train", TRAIN), ("test", wanted[0])):
        found[part] = tuple(_file(folder, prefix, language) for language in languages)
    return found


class ParallelText:
    """Pairs of sentences as tokens, in batches of like length.

    Parameters
    ----------
    pairs : list of tuple of str
    subwords : Subwords
        Of both languages.
    longest : int
        Pairs with more tokens on a side are left out.

    Raises
    ------
    InputError
        If no pair is left.
    """

    def __init__(
        self, pairs: Iterable[tuple[str, str]], subwords: Subwords, *, longest: int = 50
    ) -> None:
        encoded = (tuple(map(subwords.encode, pair)) for pair in pairs)
        kept = [
            [np.array(side, np.int32) for side in pair]
            for pair in encoded
            if max(map(len, pair)) <= longest
        ]
        if not kept:
            raise InputError(f"no pair of sentences has at most {longest} tokens on each side")
        # Tokens of all sentences in one array: millions of sentences fit in memory so.
        self._sides = [_Sentences(side) for side in zip(*kept, strict=True)]
        self._lengths = np.maximum(*(np.diff(side.bounds) for side in self._sides))
        self._cuts = lru_cache(2)(self._epoch)

    @property
    def examples(self) -> int:
        """How many pairs there are."""
        return len(self._lengths)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all tokens."""
        digest = hashlib.sha256()
        for side in self._sides:
            digest.update(side.bounds.tobytes() + side.tokens.tobytes())
        return digest.hexdigest()

    def batch(
        self, step: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pairs of a step; of several processes, one's part.

        Within a batch lengths are alike, so that little is filling; batches follow in any order.
        As of `cosim.datasets.dataset.Dataset.batch`, seed and step decide.

        Returns
        -------
        tuple of int64 tensors
            Sources [`size`, S], ended by `END`; targets [`size`, T] between `BEGIN` and `END`.
        """
        epoch, place = divmod(step, self.examples // size)
        chosen = self._cuts(size, seed, epoch)[place][rank::world]
        source, target = self._sides
        return (
            filled([[*source[i], END] for i in chosen]),
            filled([[BEGIN, *target[i], END] for i in chosen]),
        )

    def _epoch(self, size: int, seed: int, epoch: int) -> np.ndarray:
        """Return the indices of the pairs of each batch of an epoch, [batches, size]."""
        rng = np.random.default_rng([seed, epoch])
        # Whole batches only; what is left over is another part in every epoch.
        order = rng.permutation(self.examples)[: self.examples // size * size]
        order = order[np.argsort(self._lengths[order], kind="stable")]
        return rng.permutation(order.reshape(-1, size))


class _Sentences:
    """Sentences of tokens one behind the other."""

    def __init__(self, sentences: Sequence[np.ndarray]) -> None:
        self.tokens = np.concatenate(sentences)
        self.bounds = np.concatenate([[0], np.cumsum([len(sentence) for sentence in sentences])])

    def __getitem__(self, index: int) -> list[int]:
        return self.tokens[self.bounds[index] : self.bounds[index + 1]].tolist()


def filled(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return rows of tokens as one tensor, filled up with `PAD`."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])


def _file(folder: Path, prefix: str, language: str) -> Path:
    for name in (f"{prefix}.{language}", f"{prefix}.{language}.gz"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"folder {str(folder)!r} holds no {prefix}.{language}")


def _lines(path: Path) -> list[str]:
    try:
        unpack = gzip.open if path.suffix == ".gz" else open
        with unpack(path, "rt", encoding="utf-8") as file:
            # Not splitlines: sentences may hold other characters that count as ends of lines.
            return [line.strip() for line in file]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"text {str(path)!r} cannot be read: {error}") from error

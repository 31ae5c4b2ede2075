"""Parallel text in the layout of WMT16: ``<prefix>.en`` and ``<prefix>.de``, a sentence a line."""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from cosim.datasets.subwords import Subwords
from cosim.datasets.tokens import BEGIN, END, PAD
from pysim import InputError


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


class ParallelText:
    """Pairs of sentences as tokens, in batches of like length.

    Parameters
    ----------
    pairs : list of tuple of str
    subwords : Subwords
        Of both languages.
    longest : int
        Pairs with more tokens on a side are left out.
    seed : int

    Raises
    ------
    InputError
        If no pair is left.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        subwords: Subwords,
        *,
        longest: int = 50,
        seed: int = 0,
    ) -> None:
        encoded = [tuple(map(subwords.encode, pair)) for pair in pairs]
        self._pairs = [pair for pair in encoded if max(map(len, pair)) <= longest]
        self._seed = seed
        if not self._pairs:
            raise InputError(f"no pair of sentences has at most {longest} tokens on each side")

    def __len__(self) -> int:
        return len(self._pairs)

    def batches(self, epoch: int, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of an epoch, whose order seed and epoch decide.

        Within a batch lengths are alike, so that little is filling; batches follow in any order.

        Yields
        ------
        tuple of int64 tensors
            Sources [up to `size`, S], ended by `END`; targets [.., T] between `BEGIN` and `END`.
        """
        rng = np.random.default_rng([self._seed, epoch])
        # A little noise, so that an epoch does not have the same batches as another.
        lengths = [max(map(len, pair)) + rng.random() for pair in self._pairs]
        order = np.argsort(lengths)
        cuts = [order[i : i + size] for i in range(0, len(order), size)]
        for which in rng.permutation(len(cuts)):
            chosen = [self._pairs[i] for i in cuts[which]]
            yield (
                filled([[*source, END] for source, _ in chosen]),
                filled([[BEGIN, *target, END] for _, target in chosen]),
            )


def filled(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return rows of tokens as one tensor, filled up with `PAD`."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])


def _lines(path: Path) -> list[str]:
    try:
        unpack = gzip.open if path.suffix == ".gz" else open
        with unpack(path, "rt", encoding="utf-8") as file:
            # Not splitlines: sentences may hold other characters that count as ends of lines.
            return [line.strip() for line in file]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"text {str(path)!r} cannot be read: {error}") from error

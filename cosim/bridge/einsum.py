"""Einstein summation as products on the array, two operands at a time."""

from collections.abc import Sequence
from itertools import chain
from types import EllipsisType

import torch

from cosim.bridge.array import Array
from cosim.bridge.contraction import Label, contract
from cosim.bridge.unsupported import require

Tensor = torch.Tensor
Term = list[Label | EllipsisType]


def einsum(array: Array, name: str, *args: str | Tensor | Sequence) -> Tensor:
    """Sum products of operands, from left to right; labels that repeat in one are its diagonal.

    One operand alone has no product, so it stays in PyTorch.
    """
    operands, terms, result = _parse(args)
    if len(operands) < 2:
        return torch.einsum(*args)
    require(len(operands) == len(terms))
    labelled = [_label(tensor, term) for tensor, term in zip(operands, terms, strict=True)]
    _check_sizes(labelled)
    out = _output([labels for _, labels in labelled], terms, result)

    (product, labels), *others = labelled
    for i, (tensor, its_labels) in enumerate(others, start=1):
        later = {*out, *chain.from_iterable(labels for _, labels in others[i:])}
        kept = [x for x in dict.fromkeys([*labels, *its_labels]) if x in later]
        if i == len(others):
            kept = out
        product = contract(array, name, product, labels, tensor, its_labels, kept)
        labels = kept
    return product


def _parse(args: tuple) -> tuple[list[Tensor], list[Term], Term | None]:
    """Read both notations: an equation and operands, or operands each with a list of labels."""
    if not isinstance(args[0], str):
        operands, terms = list(args[0::2]), [list(term) for term in args[1::2]]
        # An odd one out, at the end, is the result's.
        result = list(operands.pop()) if len(args) % 2 else None
        return operands, terms, result
    equation, *operands = args
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = list(operands[0])
    left, arrow, right = equation.replace(" ", "").partition("->")
    return (
        operands,
        [_letters(term) for term in left.split(",")],
        _letters(right) if arrow else None,
    )


def _letters(term: str) -> Term:
    before, ellipsis, after = term.partition("...")
    return [*before, *([...] if ellipsis else []), *after]


def _label(tensor: Tensor, term: Term) -> tuple[Tensor, list[Label]]:
    """Label each dimension once: name those of the ellipsis, take diagonals."""
    named = [label for label in term if label is not ...]
    hidden = tensor.dim() - len(named)
    require(term.count(...) <= 1 and (hidden >= 0 if ... in term else hidden == 0))
    labels: list[Label] = []
    for label in term:
        # Numbered from the right, as they broadcast.
        labels += [f"...{i}" for i in reversed(range(hidden))] if label is ... else [label]
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            require(tensor.shape[first] == tensor.shape[second])
            tensor = tensor.diagonal(dim1=first, dim2=second)
            labels = [*labels[:first], *labels[first + 1 : second], *labels[second + 1 :], label]
    return tensor, labels


def _check_sizes(labelled: list[tuple[Tensor, list[Label]]]) -> None:
    sizes: dict[Label, int] = {}
    for tensor, labels in labelled:
        for label, size in zip(labels, tensor.shape, strict=True):
            known = sizes.get(label, 1)
            require(1 in (known, size) or known == size)
            sizes[label] = max(known, size) if 0 not in (known, size) else 0


def _output(labels: list[list[Label]], terms: list[Term], result: Term | None) -> list[Label]:
    used = list(dict.fromkeys(chain.from_iterable(labels)))
    hidden = max(([x for x in its if str(x).startswith("...")] for its in labels), key=len)
    if result is None:
        written = [x for term in terms for x in term if x is not ...]
        once = [x for x in used if x not in hidden and written.count(x) == 1]
        return [*hidden, *sorted(once, key=lambda x: (str(type(x)), x))]
    out = [x for label in result for x in (hidden if label is ... else [label])]
    require(len(set(out)) == len(out) and set(out) <= set(used))
    return out

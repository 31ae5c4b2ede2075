"""Products of two tensors as batches of matrix products: which dimension plays which part."""

from collections.abc import Sequence

import torch

from cosim.bridge.array import Array
from cosim.bridge.layout import Label, Layout
from cosim.bridge.product import Product


def contract(
    array: Array,
    name: str,
    a: torch.Tensor,
    a_labels: Sequence[Label],
    b: torch.Tensor,
    b_labels: Sequence[Label],
    out_labels: Sequence[Label],
    *,
    c: torch.Tensor | None = None,
    roles: tuple[str, str] | None = None,
) -> torch.Tensor:
    """Multiply two tensors whose dimensions are labelled, as an einsum of two operands.

    A label of both operands is a batch if the result has it and is contracted if not; a label of
    one operand is rows (of `a`) or columns (of `b`). Nothing is repeated to broadcast: a dimension
    of size one against a larger one is dropped, which makes the larger one rows or columns. So a
    weight that serves a whole batch meets it in one GEMM, and its gradient sums over the batch in
    the accumulators.

    Parameters
    ----------
    array : Array
    name : str
        The layer, where no operand is a parameter of the model.
    a, b : torch.Tensor of float32
    a_labels, b_labels : sequence
        A label for each dimension; none twice in one operand.
    out_labels : sequence
        The labels of the result. One that is in neither operand's list is not allowed; one that is
        in a single operand's only is summed over beforehand, in FP32.
    c : torch.Tensor of float32, optional
        Added to the result from the start; any shape that broadcasts to the result's.
    roles : tuple of str, optional
        Of the operands; by default, parameters of a module and their views are weights.
    """
    roles = roles or (array.role(a), array.role(b))
    layer = array.layer(name, a, b, c)
    a_labels, b_labels = list(a_labels), list(b_labels)
    a, a_labels = _sum_out(a, a_labels, {*b_labels, *out_labels})
    b, b_labels = _sum_out(b, b_labels, {*a_labels, *out_labels})
    sizes_a, sizes_b = _sizes(a, a_labels), _sizes(b, b_labels)
    for label in sizes_a.keys() & sizes_b.keys():
        if sizes_a[label] == 1 != sizes_b[label]:
            a, a_labels = _drop(a, a_labels, label)
        elif sizes_b[label] == 1 != sizes_a[label]:
            b, b_labels = _drop(b, b_labels, label)
    # A label dropped from one operand and not in the result has nothing to be contracted with.
    a, a_labels = _sum_out(a, a_labels, {*b_labels, *out_labels})
    b, b_labels = _sum_out(b, b_labels, {*a_labels, *out_labels})

    sizes = {**sizes_b, **_sizes(b, b_labels), **_sizes(a, a_labels)}
    shared = [label for label in a_labels if label in b_labels]
    batch = [label for label in shared if label in out_labels]
    inner = [label for label in shared if label not in out_labels]
    rows = [label for label in a_labels if label not in shared]
    columns = [label for label in b_labels if label not in shared]

    result = [sizes[label] for label in out_labels]
    layouts = (
        Layout.of(a_labels, a.shape, (batch, rows, inner)),
        Layout.of(b_labels, b.shape, (batch, columns, inner)),
        Layout.of(out_labels, result, (batch, rows, columns)),
    )
    codes = (array.quantize(a, roles[0], layer), array.quantize(b, roles[1], layer))
    return Product.apply(array, layer, roles, layouts, *codes, a, b, c)


def _sizes(tensor: torch.Tensor, labels: list[Label]) -> dict[Label, int]:
    return dict(zip(labels, tensor.shape, strict=True))


def _drop(
    tensor: torch.Tensor, labels: list[Label], label: Label
) -> tuple[torch.Tensor, list[Label]]:
    at = labels.index(label)
    return tensor.squeeze(at), labels[:at] + labels[at + 1 :]


def _sum_out(
    tensor: torch.Tensor, labels: list[Label], wanted: set[Label]
) -> tuple[torch.Tensor, list[Label]]:
    unwanted = [i for i, label in enumerate(labels) if label not in wanted]
    if not unwanted:
        return tensor, labels
    return tensor.sum(unwanted), [label for label in labels if label in wanted]

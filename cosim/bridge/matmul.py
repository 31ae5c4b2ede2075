"""The matrix products of torch as contractions on the array.

Each function has the parameters of the torch function of its name, after the array and the name
under which the call is counted.
"""

from collections.abc import Sequence
from functools import reduce

import torch

from cosim.bridge.array import Array
from cosim.bridge.contraction import Label, contract
from cosim.bridge.unsupported import require

Tensor = torch.Tensor


def linear(array: Array, name: str, input: Tensor, weight: Tensor, bias: Tensor | None = None):
    """Multiply by a weight; whatever is in its place has the role of one."""
    require(input.dim() >= 1 and weight.dim() in (1, 2))
    lead: list[Label] = list(range(input.dim() - 1))
    out = ["n"] if weight.dim() == 2 else []
    roles = (array.role(input), "weight")
    return _pair(
        array, name, input, [*lead, "k"], weight, [*out, "k"], [*lead, *out], c=bias, roles=roles
    )


def matmul(array: Array, name: str, input: Tensor, other: Tensor):
    """Multiply matrices or vectors, batches broadcast."""
    require(input.dim() >= 1 and other.dim() >= 1)
    a_batch, b_batch = _batch(input.dim() - 2), _batch(other.dim() - 2)
    a_labels = [*a_batch, "m", "k"] if input.dim() > 1 else ["k"]
    b_labels = [*b_batch, "k", "n"] if other.dim() > 1 else ["k"]
    batch = max(a_batch, b_batch, key=len)
    kept = [*(["m"] if input.dim() > 1 else []), *(["n"] if other.dim() > 1 else [])]
    return _pair(array, name, input, a_labels, other, b_labels, [*batch, *kept])


def rmatmul(array: Array, name: str, input: Tensor, other: Tensor):
    """Multiply with the operands the other way round."""
    return matmul(array, name, other, input)


def mm(array: Array, name: str, input: Tensor, mat2: Tensor):
    """Multiply two matrices."""
    require(input.dim() == 2 and mat2.dim() == 2)
    return matmul(array, name, input, mat2)


def bmm(array: Array, name: str, input: Tensor, mat2: Tensor):
    """Multiply two batches of matrices."""
    require(input.dim() == 3 and mat2.dim() == 3 and len(input) == len(mat2))
    return matmul(array, name, input, mat2)


def mv(array: Array, name: str, input: Tensor, vec: Tensor):
    """Multiply a matrix and a vector."""
    require(input.dim() == 2 and vec.dim() == 1)
    return matmul(array, name, input, vec)


def dot(array: Array, name: str, input: Tensor, tensor: Tensor):
    """Multiply two vectors."""
    require(input.dim() == 1 and tensor.dim() == 1)
    return matmul(array, name, input, tensor)


def vdot(array: Array, name: str, input: Tensor, other: Tensor):
    """Multiply two vectors, which are real here."""
    return dot(array, name, input, other)


def inner(array: Array, name: str, input: Tensor, other: Tensor):
    """Contract the last dimensions."""
    require(input.dim() >= 1 and other.dim() >= 1)
    rows, columns = _named("m", input.dim() - 1), _named("n", other.dim() - 1)
    return _pair(array, name, input, [*rows, "k"], other, [*columns, "k"], [*rows, *columns])


def addmm(array: Array, name: str, input: Tensor, mat1: Tensor, mat2: Tensor, *, beta=1, alpha=1):
    """Multiply two matrices and add."""
    require(mat1.dim() == 2 and mat2.dim() == 2)
    return _add(array, name, input, mat1, "mk", mat2, "kn", "mn", beta, alpha)


def addmv(array: Array, name: str, input: Tensor, mat: Tensor, vec: Tensor, *, beta=1, alpha=1):
    """Multiply a matrix and a vector and add."""
    require(mat.dim() == 2 and vec.dim() == 1)
    return _add(array, name, input, mat, "mk", vec, "k", "m", beta, alpha)


def baddbmm(
    array: Array, name: str, input: Tensor, batch1: Tensor, batch2: Tensor, *, beta=1, alpha=1
):
    """Multiply two batches of matrices and add."""
    require(batch1.dim() == 3 and batch2.dim() == 3 and len(batch1) == len(batch2))
    return _add(array, name, input, batch1, "bmk", batch2, "bkn", "bmn", beta, alpha)


def addbmm(
    array: Array, name: str, input: Tensor, batch1: Tensor, batch2: Tensor, *, beta=1, alpha=1
):
    """Multiply two batches of matrices, sum over the batch, and add; one GEMM."""
    require(batch1.dim() == 3 and batch2.dim() == 3 and len(batch1) == len(batch2))
    return _add(array, name, input, batch1, "bmk", batch2, "bkn", "mn", beta, alpha)


def chain_matmul(array: Array, name: str, *matrices: Tensor):
    """Multiply matrices from left to right."""
    return multi_dot(array, name, matrices)


def multi_dot(array: Array, name: str, tensors: Sequence[Tensor]):
    """Multiply matrices from left to right, whatever order needs the fewest operations."""
    require(len(tensors) >= 2 and all(t.dim() == 2 for t in tensors[1:-1]))
    return reduce(lambda product, other: matmul(array, name, product, other), tensors)


def tensordot(array: Array, name: str, a: Tensor, b: Tensor, dims=2):
    """Contract some dimensions of two tensors."""
    if isinstance(dims, int):
        dims = (list(range(a.dim() - dims, a.dim())), list(range(dims)))
    elif isinstance(dims, Tensor):
        dims = dims.tolist()
    a_dims, b_dims = ([dims] if isinstance(dims, int) else dims for dims in dims)
    require(len(a_dims) == len(b_dims))
    a_labels, b_labels = _named("m", a.dim()), _named("n", b.dim())
    for i, (of_a, of_b) in enumerate(zip(a_dims, b_dims, strict=True)):
        a_labels[of_a] = b_labels[of_b] = f"k{i}"
    out = [label for label in (*a_labels, *b_labels) if not str(label).startswith("k")]
    return _pair(array, name, a, a_labels, b, b_labels, out)


def bilinear(
    array: Array,
    name: str,
    input1: Tensor,
    input2: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
):
    """Contract a weight [N, I, J] with two inputs, the first one first."""
    require(weight.dim() == 3 and input1.shape[:-1] == input2.shape[:-1])
    lead = _named("b", input1.dim() - 1)
    roles = (array.role(input1), "weight")
    once = _pair(array, name, input1, [*lead, "i"], weight, "nij", [*lead, "n", "j"], roles=roles)
    return _pair(array, name, once, [*lead, "n", "j"], input2, [*lead, "j"], [*lead, "n"], c=bias)


def _add(
    array: Array,
    name: str,
    input: Tensor,
    a: Tensor,
    a_labels: str,
    b: Tensor,
    b_labels: str,
    out: str,
    beta: float,
    alpha: float,
) -> Tensor:
    """Return ``beta * input + alpha * a @ b``; in the accumulators as far as alpha is one."""
    # A beta of zero ignores the input, NaN included.
    start = None if beta == 0 else input if beta == 1 else beta * input
    if alpha == 1:
        return _pair(array, name, a, a_labels, b, b_labels, out, c=start)
    scaled = alpha * _pair(array, name, a, a_labels, b, b_labels, out)
    return scaled if start is None else start + scaled


def _pair(
    array: Array,
    name: str,
    a: Tensor,
    a_labels: Sequence[Label],
    b: Tensor,
    b_labels: Sequence[Label],
    out: Sequence[Label],
    *,
    c: Tensor | None = None,
    roles: tuple[str, str] | None = None,
) -> Tensor:
    """Contract two tensors whose sizes agree as the torch functions want it."""
    sizes = dict(zip(a_labels, a.shape, strict=True))
    for label, size in zip(b_labels, b.shape, strict=True):
        # Only batch dimensions broadcast.
        both = sizes.setdefault(label, size)
        require(size == both or (1 in (size, both) and label in out))
    return contract(array, name, a, a_labels, b, b_labels, out, c=c, roles=roles)


def _batch(count: int) -> list[Label]:
    """Label batch dimensions from the right, so that those that broadcast agree."""
    return [f"b{i}" for i in reversed(range(max(count, 0)))]


def _named(prefix: str, count: int) -> list[Label]:
    return [f"{prefix}{i}" for i in range(count)]

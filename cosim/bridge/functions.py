"""How each torch function that is offloaded becomes products and convolutions on the array.

Each function here has the parameters of the torch function of its name, after the array and the
name under which the call is counted.
"""

from collections.abc import Callable, Sequence
from functools import reduce

import torch

from cosim.bridge.array import Array
from cosim.bridge.contraction import Label, contract
from cosim.bridge.convolution import Convolution
from cosim.bridge.windows import Axis

Tensor = torch.Tensor


class UnsupportedError(Exception):
    """Why a call cannot be offloaded, in a few words."""


def linear(array: Array, name: str, input: Tensor, weight: Tensor, bias: Tensor | None = None):
    """Multiply by a weight; whatever is in its place has the role of one."""
    _require(input.dim() >= 1 and weight.dim() in (1, 2))
    lead: list[Label] = list(range(input.dim() - 1))
    out = ["n"] if weight.dim() == 2 else []
    roles = (array.role(input), "weight")
    return _pair(
        array, name, input, [*lead, "k"], weight, [*out, "k"], [*lead, *out], c=bias, roles=roles
    )


def matmul(array: Array, name: str, input: Tensor, other: Tensor):
    """Multiply matrices or vectors, batches broadcast."""
    _require(input.dim() >= 1 and other.dim() >= 1)
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
    _require(input.dim() == 2 and mat2.dim() == 2)
    return matmul(array, name, input, mat2)


def bmm(array: Array, name: str, input: Tensor, mat2: Tensor):
    """Multiply two batches of matrices."""
    _require(input.dim() == 3 and mat2.dim() == 3 and len(input) == len(mat2))
    return matmul(array, name, input, mat2)


def mv(array: Array, name: str, input: Tensor, vec: Tensor):
    """Multiply a matrix and a vector."""
    _require(input.dim() == 2 and vec.dim() == 1)
    return matmul(array, name, input, vec)


def dot(array: Array, name: str, input: Tensor, tensor: Tensor):
    """Multiply two vectors."""
    _require(input.dim() == 1 and tensor.dim() == 1)
    return matmul(array, name, input, tensor)


def vdot(array: Array, name: str, input: Tensor, other: Tensor):
    """Multiply two vectors, which are real here."""
    return dot(array, name, input, other)


def inner(array: Array, name: str, input: Tensor, other: Tensor):
    """Contract the last dimensions."""
    _require(input.dim() >= 1 and other.dim() >= 1)
    rows, columns = _named("m", input.dim() - 1), _named("n", other.dim() - 1)
    return _pair(array, name, input, [*rows, "k"], other, [*columns, "k"], [*rows, *columns])


def addmm(array: Array, name: str, input: Tensor, mat1: Tensor, mat2: Tensor, *, beta=1, alpha=1):
    """Multiply two matrices and add."""
    _require(mat1.dim() == 2 and mat2.dim() == 2)
    return _add(array, name, input, mat1, "mk", mat2, "kn", "mn", beta, alpha)


def addmv(array: Array, name: str, input: Tensor, mat: Tensor, vec: Tensor, *, beta=1, alpha=1):
    """Multiply a matrix and a vector and add."""
    _require(mat.dim() == 2 and vec.dim() == 1)
    return _add(array, name, input, mat, "mk", vec, "k", "m", beta, alpha)


def baddbmm(
    array: Array, name: str, input: Tensor, batch1: Tensor, batch2: Tensor, *, beta=1, alpha=1
):
    """Multiply two batches of matrices and add."""
    _require(batch1.dim() == 3 and batch2.dim() == 3 and len(batch1) == len(batch2))
    return _add(array, name, input, batch1, "bmk", batch2, "bkn", "bmn", beta, alpha)


def addbmm(
    array: Array, name: str, input: Tensor, batch1: Tensor, batch2: Tensor, *, beta=1, alpha=1
):
    """Multiply two batches of matrices, sum over the batch, and add; one GEMM."""
    _require(batch1.dim() == 3 and batch2.dim() == 3 and len(batch1) == len(batch2))
    return _add(array, name, input, batch1, "bmk", batch2, "bkn", "mn", beta, alpha)


def chain_matmul(array: Array, name: str, *matrices: Tensor):
    """Multiply matrices from left to right."""
    return multi_dot(array, name, matrices)


def multi_dot(array: Array, name: str, tensors: Sequence[Tensor]):
    """Multiply matrices from left to right, whatever order needs the fewest operations."""
    _require(len(tensors) >= 2 and all(t.dim() == 2 for t in tensors[1:-1]))
    return reduce(lambda product, other: matmul(array, name, product, other), tensors)


def tensordot(array: Array, name: str, a: Tensor, b: Tensor, dims=2):
    """Contract some dimensions of two tensors."""
    if isinstance(dims, int):
        dims = (list(range(a.dim() - dims, a.dim())), list(range(dims)))
    elif isinstance(dims, Tensor):
        dims = dims.tolist()
    a_dims, b_dims = ([dims] if isinstance(dims, int) else dims for dims in dims)
    _require(len(a_dims) == len(b_dims))
    a_labels, b_labels = _named("m", a.dim()), _named("n", b.dim())
    for i, (of_a, of_b) in enumerate(zip(a_dims, b_dims, strict=True)):
        a_labels[of_a] = b_labels[of_b] = f"k{i}"
    out = [label for label in (*a_labels, *b_labels) if not str(label).startswith("k")]
    return _pair(array, name, a, a_labels, b, b_labels, out)


def conv(
    array: Array,
    name: str,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
):
    """Convolve along one, two, or three dimensions; input with or without a batch dimension."""
    dims = weight.dim() - 2
    _require(dims >= 1 and input.dim() in (dims + 1, dims + 2))
    x = input if input.dim() == dims + 2 else input.unsqueeze(0)
    strides, dilations = _each(stride, dims), _each(dilation, dims)
    kernel = weight.shape[2:]
    if isinstance(padding, str):
        _require(padding == "valid" or (padding == "same" and set(strides) == {1}))
        total = [d * (k - 1) * (padding == "same") for d, k in zip(dilations, kernel, strict=True)]
        sides = [(t // 2, t - t // 2) for t in total]
    else:
        sides = [(p, p) for p in _each(padding, dims)]
    _require(min(*strides, *dilations, groups) > 0 and min(map(min, sides)) >= 0)
    axes = [
        Axis(size, taps, step, spread, before, after)
        for size, taps, step, spread, (before, after) in zip(
            x.shape[2:], kernel, strides, dilations, sides, strict=True
        )
    ]
    _require(x.shape[1] == weight.shape[1] * groups and len(weight) % groups == 0)
    _require(min(kernel) > 0 and min(axis.outputs for axis in axes) > 0)
    _require(bias is None or bias.shape == weight.shape[:1])
    roles = (array.role(input), "weight")
    layer = array.layer(name, input, weight)
    result = Convolution.apply(array, layer, roles, axes, groups, x, weight, bias)
    return result if input.dim() == dims + 2 else result.squeeze(0)


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
        _require(size == both or (1 in (size, both) and label in out))
    return contract(array, name, a, a_labels, b, b_labels, out, c=c, roles=roles)


def _require(condition: bool) -> None:
    """Leave what PyTorch rejects to PyTorch, which knows best what to say."""
    if not condition:
        raise UnsupportedError("shapes that do not match")


def _batch(count: int) -> list[Label]:
    """Label batch dimensions from the right, so that those that broadcast agree."""
    return [f"b{i}" for i in reversed(range(max(count, 0)))]


def _named(prefix: str, count: int) -> list[Label]:
    return [f"{prefix}{i}" for i in range(count)]


def _each(value: int | Sequence[int], dims: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    values = values * dims if len(values) == 1 else values
    _require(len(values) == dims)
    return values


OFFLOADED: dict[str, Callable] = {
    "linear": linear,
    "matmul": matmul,
    "linalg_matmul": matmul,
    "__matmul__": matmul,
    "__rmatmul__": rmatmul,
    "mm": mm,
    "bmm": bmm,
    "mv": mv,
    "dot": dot,
    "vdot": vdot,
    "inner": inner,
    "addmm": addmm,
    "addmv": addmv,
    "baddbmm": baddbmm,
    "addbmm": addbmm,
    "chain_matmul": chain_matmul,
    "linalg_multi_dot": multi_dot,
    "tensordot": tensordot,
    "conv1d": conv,
    "conv2d": conv,
    "conv3d": conv,
}
"""What is offloaded, by the name of the torch function."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cosim.bridge import offload

SHAPES = [
    ((5,), (5,)),
    ((3, 5), (5,)),
    ((5,), (5, 4)),
    ((3, 5), (5, 4)),
    ((2, 3, 5), (5,)),
    ((5,), (2, 5, 4)),
    ((2, 3, 5), (5, 4)),
    ((3, 5), (2, 5, 4)),
    ((2, 3, 5), (2, 5, 4)),
    ((2, 1, 3, 5), (6, 5, 4)),
    ((2, 6, 3, 5), (1, 5, 4)),
    ((2, 1, 3, 5), (1, 6, 5, 4)),
    ((2, 6, 3, 5), (2, 6, 5, 4)),
    ((1, 3, 5), (1, 5, 4)),
    ((3, 0), (0, 4)),
    ((0, 3, 5), (0, 5, 4)),
]


def product_of(oracle, function):
    return lambda a, b: oracle.product(function(oracle.operand(a), oracle.operand(b)))


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("function", [torch.matmul, torch.linalg.matmul, torch.Tensor.__matmul__])
def test_matmul_broadcasts(compare, oracle, function, a, b):
    compare(function, product_of(oracle, torch.matmul), torch.randn(a), torch.randn(b))


@pytest.mark.parametrize(
    ("function", "a", "b"),
    [
        (torch.mm, (3, 5), (5, 4)),
        (torch.bmm, (2, 3, 5), (2, 5, 4)),
        (torch.mv, (3, 5), (5,)),
        (torch.dot, (5,), (5,)),
        (torch.vdot, (5,), (5,)),
        (torch.inner, (2, 3, 5), (4, 5)),
        (torch.inner, (5,), (5,)),
        (torch.tensordot, (2, 3, 5), (3, 5, 4)),
        (lambda a, b: torch.tensordot(a, b, dims=([0, -1], [2, 1])), (3, 2, 5), (4, 5, 3)),
        (lambda a, b: torch.tensordot(a, b, dims=0), (3,), (4,)),
        (lambda a, b: a.matmul(b), (3, 5), (5, 4)),
        (lambda a, b: a.mT.transpose(0, 1) @ b.flip(0)[::2].mT, (2, 4, 3), (6, 5, 4)),
        (lambda a, b: a.expand(4, 3, 5) @ b.expand(4, 5, 2), (3, 5), (5, 2)),
    ],
)
def test_forms_of_the_product(compare, oracle, function, a, b):
    compare(function, product_of(oracle, function), torch.randn(a), torch.randn(b))


ADDING = [
    (torch.addmm, (3, 4), (3, 5), (5, 4)),
    (torch.addmm, (4,), (3, 5), (5, 4)),
    (torch.addmv, (3,), (3, 5), (5,)),
    (torch.baddbmm, (2, 3, 4), (2, 3, 5), (2, 5, 4)),
    (torch.baddbmm, (1, 1, 4), (2, 3, 5), (2, 5, 4)),
    (torch.addbmm, (3, 4), (2, 3, 5), (2, 5, 4)),
]


@pytest.mark.parametrize(("function", "c", "a", "b"), ADDING)
@pytest.mark.parametrize("factors", [{}, {"beta": 0.5}, {"beta": 0}])
def test_adding_in_the_accumulators(compare, oracle, function, c, a, b, factors):
    def reference(c, a, b):
        product = oracle.product(
            function(torch.zeros_like(c), oracle.operand(a), oracle.operand(b))
        )
        return product + factors.get("beta", 1) * c

    inputs = (torch.randn(c), torch.randn(a), torch.randn(b))
    if factors.get("beta") == 0:
        run, reference_of_two = (
            lambda a, b: function(inputs[0] * torch.nan, a, b, beta=0),
            (lambda a, b: reference(torch.zeros(c).double(), a, b)),
        )
        compare(run, reference_of_two, *inputs[1:])
    else:
        compare(lambda c, a, b: function(c, a, b, **factors), reference, *inputs)


def test_adding_with_alpha(compare, oracle):
    def reference(c, a, b):
        product = oracle.product(oracle.operand(a) @ oracle.operand(b))
        return 2 * c + 0.5 * product

    compare(
        lambda c, a, b: torch.addmm(c, a, b, beta=2, alpha=0.5),
        reference,
        *(torch.randn(3, 4), torch.randn(3, 5), torch.randn(5, 4)),
    )


@pytest.mark.parametrize(
    "function", [lambda *m: torch.linalg.multi_dot(m), lambda a, b, c: (a @ b) @ c]
)
def test_chains(compare, oracle, function):
    def reference(a, b, c):
        first = oracle.product(oracle.operand(a) @ oracle.operand(b))
        return oracle.product(oracle.operand(first) @ oracle.operand(c))

    compare(function, reference, torch.randn(3, 5), torch.randn(5, 4), torch.randn(4, 2))


def test_bilinear(compare, oracle):
    def reference(x, y, w, b):
        once = torch.einsum("bi,nij->bnj", oracle.operand(x), oracle.operand(w, "weight"))
        once = oracle.product(once)
        twice = torch.einsum("bnj,bj->bn", oracle.operand(once), oracle.operand(y))
        return oracle.product(twice) + b

    inputs = (torch.randn(3, 4), torch.randn(3, 5), torch.randn(2, 4, 5), torch.randn(2))
    compare(F.bilinear, reference, *inputs)


class Projection(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(5, 4))

    def forward(self, x):
        return x @ self.matrix


@pytest.mark.parametrize("shape", [(3, 5), (6, 3, 5)])
def test_parameter_is_a_weight_and_gets_a_gradient(engine, shape):
    model = nn.ModuleDict({"inner": Projection()})
    with offload(model, engine) as session:
        x = torch.randn(shape, requires_grad=True)
        model["inner"](x).square().sum().backward()
    kinds = session.statistics.layers["inner"]
    assert [kinds[kind].gemms for kind in ("forward", "dgrad", "wgrad")] == [1, 1, 1]
    assert kinds["weight"].elements == kinds["gradient"].elements == 20
    # Converted by the array: two bits of fraction are left.
    bits = model["inner"].matrix.grad.numpy().view("uint32")
    assert (bits & 0x1FFFFF == 0).all()


def test_views_of_a_parameter_are_weights(engine):
    model = Projection()
    with offload(model, engine) as session, torch.inference_mode():
        model.matrix[1:3] @ torch.randn(4, 2)
        model.matrix.t() @ torch.randn(5, 2)
    assert session.statistics.roles["weight"].elements == 20
    assert session.statistics.roles["activation"].elements == 18


def test_two_activations_have_errors_on_both_sides(engine):
    x = torch.randn(3, 5, requires_grad=True)
    with offload(nn.Module(), engine) as session:
        (x @ x.mT).sum().backward()
    assert list(session.statistics.layers) == ["matmul"]
    assert session.statistics.kinds["dgrad"].gemms == 2
    assert session.statistics.roles["gradient"].elements == 0
    assert session.statistics.roles["error"].elements == 9


def test_broadcast_weight_meets_the_batch_in_one_gemm(engine):
    x = torch.randn(4, 2, 3, 5)
    weight = nn.Parameter(torch.randn(2, 5, 4))
    with offload(nn.Module(), engine) as session:
        (x @ weight).sum().backward()
    kinds = session.statistics.kinds
    assert (kinds["forward"].gemms, kinds["wgrad"].gemms) == (2, 2)

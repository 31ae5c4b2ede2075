import pytest
import torch
from torch import nn

from cosim.bridge import offload


@pytest.mark.parametrize(
    ("equation", "a", "b"),
    [
        ("ij,jk->ik", (3, 4), (4, 5)),
        ("ij,jk", (3, 4), (4, 5)),
        ("ij, kj -> ki", (3, 4), (5, 4)),
        ("bhld,bhmd->bhlm", (2, 3, 4, 5), (2, 3, 6, 5)),
        ("blhd,bmhd->bhlm", (2, 4, 3, 5), (2, 6, 3, 5)),
        ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
        ("i...j,j", (3, 2, 4), (4,)),
        ("i,j->ij", (3,), (4,)),
        ("i,i->i", (3,), (3,)),
        ("ij,ij->", (3, 4), (3, 4)),
        ("ii,ij->j", (3, 3), (3, 4)),
        ("ba,cb", (3, 4), (5, 3)),
        ("Ba,aC", (3, 4), (4, 5)),
    ],
)
def test_two_operands(compare, oracle, equation, a, b):
    def reference(a, b):
        return oracle.product(torch.einsum(equation, oracle.operand(a), oracle.operand(b)))

    compare(lambda *x: torch.einsum(equation, *x), reference, torch.randn(a), torch.randn(b))


@pytest.mark.parametrize(
    ("equation", "a", "b", "summed"),
    [
        ("ij,k->ik", (3, 4), (5,), lambda a, b: (a.sum(1), b)),
        ("ij,jk->ik", (3, 1), (4, 5), lambda a, b: (a[:, 0], b.sum(0))),
        ("ij,jk->ik", (3, 4), (1, 5), lambda a, b: (a.sum(1), b[0])),
    ],
)
def test_what_meets_nothing_is_summed_before_conversion(compare, oracle, equation, a, b, summed):
    def reference(a, b):
        a, b = summed(a, b)
        return oracle.product(torch.outer(oracle.operand(a), oracle.operand(b)))

    compare(lambda *x: torch.einsum(equation, *x), reference, torch.randn(a), torch.randn(b))


def test_three_operands_from_left_to_right(compare, oracle):
    def reference(a, b, c):
        first = oracle.product(torch.einsum("ij,jk->ik", oracle.operand(a), oracle.operand(b)))
        return oracle.product(torch.einsum("ik,kl->il", oracle.operand(first), oracle.operand(c)))

    inputs = (torch.randn(3, 4), torch.randn(4, 5), torch.randn(5, 2))
    compare(lambda *x: torch.einsum("ij,jk,kl->il", *x), reference, *inputs)


def test_lists_of_labels(compare, oracle):
    def reference(a, b):
        return oracle.product(torch.einsum("bij,bjk->bki", oracle.operand(a), oracle.operand(b)))

    def run(a, b):
        return torch.einsum(a, [..., 0, 1], b, [..., 1, 2], [..., 2, 0])

    compare(run, reference, torch.randn(2, 3, 4), torch.randn(2, 4, 5))


def test_one_operand_has_no_product(engine):
    x = torch.randn(3, 3)
    with offload(nn.Module(), engine) as session:
        assert torch.equal(torch.einsum("ii->i", x), x.diagonal())
    assert session.not_offloaded == {}
    assert session.statistics.kinds["forward"].gemms == 0


@pytest.mark.parametrize("equation", ["ij,jk->il", "ij,jkl->ik", "ij,ik->jk", "ij,jk->ii"])
def test_errors_are_those_of_torch(engine, equation):
    a, b = torch.randn(3, 4), torch.randn(4, 5)
    with pytest.raises(RuntimeError) as wanted:
        torch.einsum(equation, a, b)
    with offload(nn.Module(), engine) as session, pytest.raises(RuntimeError) as got:
        torch.einsum(equation, a, b)
    assert str(got.value) == str(wanted.value)
    assert session.not_offloaded == {}

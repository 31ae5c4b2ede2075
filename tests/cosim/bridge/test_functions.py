import re

import torch
from torch.overrides import get_overridable_functions

from cosim.bridge.functions import COMPOSITE, KERNELS, NOT_OFFLOADED, OFFLOADED

LOOKS_LIKE_A_PRODUCT = re.compile(
    r"mm|mv|dot|conv|linear|matmul|attention|lstm|gru|rnn|einsum|inner|cdist|linalg|matrix|gemm"
    r"|chol|solve|svd|eig|lu_|inverse"
)
NO_PRODUCT = re.compile(
    r"gamma|cumm|slice_inverse|resolve|relu_|linalg_(cross|diagonal|norm|matrix_norm|vander|vector_norm)"
    r"|fbgemm_(pack|linear_quantize)|miopen"
)
"""Names that only look like it; and another maker's, which no build for this machine has."""


def overridable_names():
    functions = {f for group in get_overridable_functions().values() for f in group}
    return {f.__name__ for f in functions if hasattr(f, "__name__")}


def test_every_product_of_torch_is_offloaded_or_listed():
    known = {*OFFLOADED, *COMPOSITE, *NOT_OFFLOADED}
    candidates = {name for name in overridable_names() if LOOKS_LIKE_A_PRODUCT.search(name)}
    assert {name for name in candidates - known if not NO_PRODUCT.search(name)} == set()


def test_no_name_is_in_two_lists():
    assert not set(OFFLOADED) & NOT_OFFLOADED
    assert not (set(OFFLOADED) | NOT_OFFLOADED) & COMPOSITE


def test_names_are_torch_s_own():
    public = {name for name in NOT_OFFLOADED | set(OFFLOADED) if name[0] != "_"}
    elsewhere = {"conv_depthwise3d", "slow_conv3d", "hspmm", "spmm", "dsmm", "hsmm", "saddmm"}
    assert public - overridable_names() - elsewhere == set()
    assert {name for name in KERNELS if not hasattr(torch.ops.aten, name)} == set()

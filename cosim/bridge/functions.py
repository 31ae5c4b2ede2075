"""Which torch functions are offloaded, and which others are known to multiply matrices.

Functions are known by their bare names, which the forms of one function share: ``torch.matmul``,
``Tensor.matmul``, and ``@``.
"""

from collections.abc import Callable

from cosim.bridge.attention import scaled_dot_product_attention
from cosim.bridge.convolution import conv
from cosim.bridge.einsum import einsum
from cosim.bridge.matmul import (
    addbmm,
    addmm,
    addmv,
    baddbmm,
    bilinear,
    bmm,
    chain_matmul,
    dot,
    inner,
    linear,
    matmul,
    mm,
    multi_dot,
    mv,
    rmatmul,
    tensordot,
    vdot,
)


def _names(*groups: str) -> frozenset[str]:
    return frozenset(name for group in groups for name in group.split())


OFFLOADED: dict[str, Callable] = {
    "__matmul__": matmul,
    "__rmatmul__": rmatmul,
    "addbmm": addbmm,
    "addmm": addmm,
    "addmv": addmv,
    "baddbmm": baddbmm,
    "bilinear": bilinear,
    "bmm": bmm,
    "chain_matmul": chain_matmul,
    "conv1d": conv,
    "conv2d": conv,
    "conv3d": conv,
    "dot": dot,
    "einsum": einsum,
    "inner": inner,
    "linalg_matmul": matmul,
    "linalg_multi_dot": multi_dot,
    "linear": linear,
    "matmul": matmul,
    "mm": mm,
    "mv": mv,
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "tensordot": tensordot,
    "vdot": vdot,
}
"""What is offloaded."""

COMPOSITE = frozenset({"multi_head_attention_forward", "backward", "grad"})
"""Python functions that run as they are, but whose parts are offloaded: attention, and backward
passes, in which a checkpoint repeats the forward pass and a custom function may multiply."""

NOT_OFFLOADED = _names(
    # In place.
    """
    addbmm_ addmm_ addmv_ baddbmm_
    """,
    # Recurrent layers, whose GEMMs no function shows.
    """
    lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell
    """,
    # Convolutions of other kinds, or below those of torch.nn.functional.
    """
    conv_transpose1d conv_transpose2d conv_transpose3d conv_tbc convolution _convolution
    conv_depthwise3d slow_conv3d
    """,
    # Products of other kinds.
    """
    linalg_vecdot cdist cov corrcoef matrix_power linalg_matrix_power matrix_exp
    linalg_matrix_exp linear_cross_entropy _trilinear _addmm_activation
    _native_multi_head_attention _transformer_encoder_layer_fwd
    """,
    # Of other kinds of tensors.
    """
    _sparse_mm smm spmm sspaddmm hspmm dsmm hsmm saddmm _int_mm _scaled_mm _grouped_mm
    _scaled_grouped_mm quantized_lstm_cell quantized_gru_cell quantized_rnn_relu_cell
    quantized_rnn_tanh_cell fbgemm_linear_fp16_weight
    fbgemm_linear_fp16_weight_fp32_activation fbgemm_linear_int8_weight
    fbgemm_linear_int8_weight_fp32_activation
    """,
    # Factorisations and what is built on them.
    """
    cholesky linalg_cholesky linalg_cholesky_ex cholesky_inverse cholesky_solve det
    linalg_det logdet slogdet linalg_slogdet inverse linalg_inv linalg_inv_ex pinverse
    linalg_pinv qr linalg_qr geqrf orgqr ormqr linalg_householder_product svd linalg_svd
    linalg_svdvals linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh linalg_lu
    linalg_lu_factor linalg_lu_factor_ex linalg_lu_solve lu lu_solve lu_unpack
    linalg_ldl_factor linalg_ldl_factor_ex linalg_ldl_solve linalg_lstsq linalg_solve
    linalg_solve_ex linalg_solve_triangular triangular_solve linalg_tensorinv
    linalg_tensorsolve linalg_cond linalg_matrix_rank lobpcg pca_lowrank svd_lowrank
    """,
)
"""What multiplies matrices and stays in PyTorch, so that it has to be listed."""

KERNELS = _names(
    # Products.
    """
    mm addmm bmm baddbmm addbmm mv addmv dot vdot _addmm_activation _sparse_mm _foreach_mm
    linear_backward _sparse_addmm sspaddmm hspmm _int_mm _scaled_mm _grouped_mm
    _scaled_grouped_mm mkldnn_linear mkldnn_linear_backward _cdist_forward _cdist_backward
    _trilinear linalg_matrix_exp _scaled_mm_v2
    """,
    # Convolutions.
    """
    convolution _convolution convolution_overrideable convolution_backward
    mkldnn_convolution _slow_conv2d_forward _slow_conv2d_backward slow_conv3d_forward
    slow_conv_transpose2d slow_conv_transpose3d slow_conv_dilated2d slow_conv_dilated3d
    _conv_depthwise2d conv_depthwise3d conv_tbc conv_tbc_backward cudnn_convolution
    """,
    # Recurrent layers and attention.
    """
    mkldnn_rnn_layer mkldnn_rnn_layer_backward _scaled_dot_product_flash_attention_for_cpu
    _scaled_dot_product_flash_attention_for_cpu_backward _native_multi_head_attention
    _transformer_encoder_layer_fwd _cudnn_rnn _cudnn_rnn_backward _flash_attention_forward
    _flash_attention_backward _efficient_attention_forward _efficient_attention_backward
    _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_backward
    _scaled_dot_product_efficient_attention _scaled_dot_product_efficient_attention_backward
    _scaled_dot_product_cudnn_attention _scaled_dot_product_cudnn_attention_backward
    """,
    # Factorisations and what is built on them.
    """
    cholesky cholesky_inverse _cholesky_solve_helper linalg_cholesky_ex _linalg_det
    _linalg_slogdet linalg_inv_ex linalg_pinv linalg_qr geqrf linalg_householder_product
    ormqr _linalg_svd linalg_eig _linalg_eigvals _linalg_eigh linalg_lu linalg_lu_factor_ex
    linalg_lu_solve lu_unpack linalg_ldl_factor_ex linalg_ldl_solve linalg_lstsq
    _linalg_solve_ex linalg_solve_triangular triangular_solve
    """,
)
"""PyTorch's own kernels that multiply matrices: what must never run unlisted."""

# fmt: off
ELEMENTWISE = frozenset((
    "add", "add_", "addcdiv", "addcdiv_", "addcmul", "addcmul_", "clone", "copy_", "detach",
    "detach_", "div", "div_", "exp", "fill_", "lerp", "lerp_", "log", "mul", "mul_", "neg",
    "ones_like", "relu", "relu_", "sigmoid", "sqrt", "sqrt_", "sub", "sub_", "tanh", "zero_",
    "zeros_like",
))
# fmt: on
"""Functions of which no kernel multiplies matrices, so that nobody need watch their kernels.

The arithmetic of optimisers and the commonest of models; the others cost some microseconds a
kernel. Their backward passes, in which kernels of other functions run, are watched.
"""

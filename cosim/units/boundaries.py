"""Where rounding changes: accumulators around products, numbers around those of a format."""

import numpy as np

from cosim.units import specification

FURTHEST = 27
"""Exponents of accumulators are up to so far from that of a product."""


def accumulators_near(products: np.ndarray, count: int | None = None) -> np.ndarray:
    """FP32 accumulators at the boundaries of sums with each product.

    Around a finite product that is not zero: each distance in exponent from -27 to 27, with
    significands at both ends of their range and in its middle, both signs; the product itself with
    the other sign, its neighbours, and numbers a power of two of last places away; then zeros,
    subnormals, the ends of the normals, infinities, and NaNs; then powers of two all over the
    range, with their neighbours. A product that is zero or not finite is taken for one at an end of
    what such distances leave, so that there are as many around it.

    Parameters
    ----------
    products : numpy.ndarray of float32, shape [P]
    count : int, optional
        Accumulators for each product, at least 16: those around the product with the other sign,
        and as many of the rest as fit, taken evenly; by default all, over 1,000 of them different.

    Returns
    -------
    numpy.ndarray of float32, shape [P, count]
    """
    bits = products.view(np.uint32).astype(np.int64)[:, None]
    sign, field = bits & 1 << 31, np.clip(bits >> 23 & 255, FURTHEST, 254 - FURTHEST)
    distances = np.arange(-FURTHEST, FURTHEST + 1)
    fractions = np.array([0, 1, 0x200000, 0x3FFFFF, 0x400000, 0x400001, 0x7FFFFE, 0x7FFFFF])
    fields = field + distances
    shifted = (fields[:, :, None] << 23 | fractions).reshape(len(products), -1)
    opposite = (sign ^ 1 << 31) | np.clip((bits & 0x7FFFFFFF) + np.arange(-4, 5), 0, 0x7F7FFFFF)
    special = [0, 1, 2, 0x7FFFFE, 0x7FFFFF, 0x800000, 0x800001, 0x7F7FFFFE, 0x7F7FFFFF]
    special += [0x7F800000, 0x7FC00000, 0x7F800001, 0x7FFFFFFF]
    powers = (np.arange(1, 255, 8)[:, None] << 23) + np.array([-1, 0, 1])
    everywhere = np.concatenate([special, powers.reshape(-1)])
    both = [
        np.concatenate([part, part | 1 << 31], axis=-1)
        for part in (shifted, np.broadcast_to(everywhere, (len(products), everywhere.size)))
    ]
    away = 1 << np.arange(3, 23)
    away = (sign ^ 1 << 31) | np.clip(
        (bits & 0x7FFFFFFF) + np.concatenate([-away, away]), 0, 0x7F7FFFFF
    )
    others = np.concatenate([both[1], away, both[0]], axis=1)
    if count is not None:
        left = min(count - opposite.shape[1], others.shape[1])
        others = others[:, np.linspace(0, others.shape[1] - 1, left).astype(np.int64)]
    starts = np.concatenate([opposite, others], axis=1)
    return starts.astype(np.uint32).view(np.float32)


def boundaries(fmt: str) -> np.ndarray:
    """FP32 numbers where the rounding to a format changes, with two neighbours on each side.

    Each number of the format and each midpoint of two, the first beyond the largest included, both
    signs; then every FP16 number, infinities, NaNs, and the ends of FP32's ranges.

    Returns
    -------
    numpy.ndarray of float32
    """
    near = around(fmt, np.arange(len(specification.grid(fmt)) - 1))
    special = [0, 1, 2, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000]
    special += [0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FC00001, 0x7FFFFFFF]
    special = np.array(special, dtype=np.uint32)
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    with np.errstate(invalid="ignore"):
        halves = halves.astype(np.float32)
    special = np.concatenate([special, special | np.uint32(1 << 31)]).view(np.float32)
    return np.concatenate([near, special, halves])


def around(fmt: str, codes: np.ndarray) -> np.ndarray:
    """FP32 numbers at some codes of a format and half way to the next, with two neighbours each.

    Parameters
    ----------
    fmt : str
        A narrow format.
    codes : numpy.ndarray of integers
        Of finite numbers, sign bit clear.

    Returns
    -------
    numpy.ndarray of float32
        Both signs.
    """
    steps = specification.grid(fmt)
    # BF16's next number is FP32's infinity.
    with np.errstate(over="ignore"):
        turning = np.concatenate([steps[codes], (steps[codes] + steps[codes + 1]) / 2])
        near = turning.astype(np.float32).view(np.uint32).astype(np.int64)
    near = (near[:, None] + np.arange(-2, 3)).reshape(-1)
    near = near[near >= 0]
    return np.unique(np.concatenate([near, near | 1 << 31]).astype(np.uint32)).view(np.float32)

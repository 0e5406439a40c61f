"""Standard normal values from a counter-based stream: every value has an address, and the same bits on every machine.

Value `k` of stream (seed, sample, level) depends only on those four numbers. So a latent can be drawn whole, in rows or
tile by tile, one sample at a time or many, with the same result.

Two decisions make it the same on every machine as well. The random words are the raw output of Philox-4x64-10 (Salmon
et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), which numpy promises not to change, unlike the methods of
its `Generator`. And the Box-Muller transform is computed here with additions, multiplications, divisions and square
roots in
float64 only: IEEE 754 defines their results to the last bit, whereas log, sin and cos differ between libraries,
versions and CPUs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Philox

__all__ = ["MAX_WORD", "standard_normal"]

MAX_WORD = 2**64 - 1
"""Largest seed and largest sample number."""

_VALUES_PER_BLOCK = 8  # Philox-4x64 gives four 64-bit words per counter value, and each word makes two values
_WORDS_PER_CHUNK = 8192  # the temporaries of one chunk stay in the processor's cache

_SQRT_HALF_BITS = int(np.float64(math.sqrt(0.5)).view(np.int64))
_LN_2 = 0.6931471805599453
_HALF_PI = 1.5707963267948966
# Series in the square of the argument, highest power first. They are truncated so that the error is below 5e-10 over
# the ranges used below; the float32 results have a spacing of 6e-8.
_ATANH = tuple(1.0 / n for n in (11, 9, 7, 5, 3, 1))
_SIN = (-1 / 39916800, 1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1.0)
_COS = (-1 / 3628800, 1 / 40320, -1 / 720, 1 / 24, -1 / 2, 1.0)


def standard_normal(seed: int, sample: int, level: int, starts: Sequence[int], count: int) -> np.ndarray:
    """Return ranges of one stream of independent N(0, 1) values: `count` values from each of the `starts` on.

    Every value is finite, and at most 6.77 in magnitude (32 bits choose the radius, so the tails end at sqrt(66 ln 2)).

    Args:
        seed, sample: the key of the generator, 0 to 2**64 - 1 each.
        level: a third number that distinguishes streams, 0 to 2**64 - 1.
        starts, count: which values, in the stream's order.

    Returns: float32, (len(starts), count).
    """
    key = np.array([seed, sample], dtype=np.uint64)
    # Enough words for a range that begins with the last value of a block.
    words = np.empty((len(starts), (_VALUES_PER_BLOCK + count) // 2), dtype=np.uint64)
    for row, start in zip(words, starts, strict=True):
        # The counter has four words, least significant first: block, its carry (never reached), level, unused.
        counter = np.array([start // _VALUES_PER_BLOCK, 0, level, 0], dtype=np.uint64)
        row[:] = Philox(key=key, counter=counter).random_raw(len(row))
    values = _box_muller(words.ravel()).reshape(len(starts), -1)
    skipped = [start % _VALUES_PER_BLOCK for start in starts]
    return np.stack([row[skip : skip + count] for row, skip in zip(values, skipped, strict=True)])


def _box_muller(words: np.ndarray) -> np.ndarray:
    """Turn 64-bit words, (n,), into pairs of independent normal values, float32, (2n,): r cos(angle), r sin(angle)."""
    values = np.empty(2 * len(words), dtype=np.float32)
    for first in range(0, len(words), _WORDS_PER_CHUNK):
        chunk = words[first : first + _WORDS_PER_CHUNK]
        out = values[2 * first : 2 * (first + len(chunk))]
        radius = _radius(chunk >> np.uint64(32))
        cos, sin = _cos_sin(chunk & np.uint64(0xFFFFFFFF))
        np.multiply(radius, cos, out=out[0::2], casting="same_kind")
        np.multiply(radius, sin, out=out[1::2], casting="same_kind")
    return values


def _radius(integers: np.ndarray) -> np.ndarray:
    """Return sqrt(-2 ln u) for u = (integer + 1/2) / 2**32, which is never 0 nor 1."""
    u = integers.astype(np.float64)
    u += 0.5
    u *= 2.0**-32
    # u = 2**exponent * m with m in [sqrt(1/2), sqrt(2)), from the bits of the float: ln u = exponent ln 2 + ln m, and
    # near u = 1 the exponent is 0 and nothing cancels.
    bits = u.view(np.int64)
    exponent = bits - _SQRT_HALF_BITS
    exponent >>= 52
    m = (bits - (exponent << 52)).view(np.float64)
    # ln m = 2 atanh(s) with s = (m - 1) / (m + 1), and |s| < 0.172.
    s = m - 1.0
    m += 1.0
    s /= m
    log = _series(_ATANH, s * s)
    log *= s
    log *= -4.0
    log -= exponent * (2.0 * _LN_2)
    return np.sqrt(log, out=log)


def _cos_sin(integers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and sine of 2 pi ((integer + 1/2) / 2**32 - 1/2), by series for a quarter of the angle, doubled
    twice.
    """
    x = integers.astype(np.float64)
    x += 0.5 - 2.0**31
    x *= 2.0**-32 * _HALF_PI
    square = x * x
    cos = _series(_COS, square)
    sin = _series(_SIN, square)
    sin *= x
    for _ in range(2):
        # cos 2x = 1 - 2 sin(x)**2,  sin 2x = 2 sin x cos x
        cos *= sin
        cos *= 2.0
        sin *= sin
        sin *= -2.0
        sin += 1.0
        cos, sin = sin, cos
    return cos, sin


def _series(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Evaluate a polynomial by Horner's rule, with one rounding for each multiplication and each addition."""
    result = x * coefficients[0]
    result += coefficients[1]
    for coefficient in coefficients[2:]:
        result *= x
        result += coefficient
    return result

"""Choosing users by what they are called, alike in every pass and on every machine."""

from __future__ import annotations

import zlib

import numpy as np


def shares(groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """A number in [0, 1) for each row, the same for all rows of a group, as if drawn uniformly.

    Args:
        groups: `[N]`, integers or strings.
        seed: another one gives each group another number.
    """
    distinct, place = np.unique(groups, return_inverse=True)
    found: np.ndarray = (hashes(distinct, seed) >> np.uint64(11))[place] / float(1 << 53)
    return found


def hashes(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """64 bits for each integer or string, of which none tells the next: SplitMix64's finalizer.

    Reference:
        Steele, Lea and Flood, 2014, https://doi.org/10.1145/2660193.2660195.
    """
    if values.dtype.kind in "iu":
        keys = values.astype(np.uint64)
    else:
        texts = (v if isinstance(v, bytes) else str(v).encode() for v in values.tolist())
        # Two checks of 32 bits: one alone would give many of a million strings the same bits.
        keys = np.array([zlib.crc32(t) << 32 | zlib.adler32(t) for t in texts], np.uint64)
    with np.errstate(over="ignore"):
        x = keys + np.uint64(0x9E3779B97F4A7C15) * np.uint64(1 + seed % (1 << 63))
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found: np.ndarray = x ^ (x >> np.uint64(31))
    return found

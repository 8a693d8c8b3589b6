"""The kinds of scaling, the memory each needs, and the test of whether another library gives the same pixels.

An interpolation method can compute in several ways, as in OpenCV; the kind that an image takes depends on its method,
its old and its new size.

Source: im2rec/images/reference.py, which the compiled code of taps.py and scale.py equals bit for bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.images.choices import AREA, BICUBIC, BILINEAR, LANCZOS, NEAREST
from im2rec.images.fixed_point import fixed_point, lanczos_weights

Array = npt.NDArray[Any]
Resize = Callable[[Array, int, int, int], Array]  # (image, width, height, interpolation) -> image

# Kinds: the nearest pixel; two pixels around a centre (bilinear), or across an edge (enlarging by area); means of
# blocks of whole pixels, or of areas with parts of pixels; four pixels (bicubic); eight (Lanczos). UNSCALED is none.
ONE_TAP, LINEAR, AREA_LINEAR, BLOCK_MEAN, AREA_MEAN, CUBIC, EIGHT_TAPS = range(7)
UNSCALED = -1
# By kind: taps of a new row or column, each with a position and a weight. See taps.py.
TAPS = (1, 2, 2, 2, 3, 4, 8)
WEIGHT_ONE = 2048  # the weight 1: weights have 11 bits of fraction
METHODS = (NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS)

# Sizes (old height, old width, new height, new width) that together take every path through the arithmetic. In the last
# one, 49 times as large, a new pixel comes a rounding error before an old one. Its distance from the one before rounds
# to 1, for which the Lanczos weights are NaN; OpenCV 5 corrects that, and MXNet did not.
_TRIAL_SIZES = (
    *((37, 53, 16, 24), (19, 23, 41, 64), (48, 64, 24, 32), (36, 60, 12, 20), (30, 44, 47, 21), (33, 20, 33, 31)),
    *((64, 64, 45, 45), (9, 70, 31, 35), (1, 7, 5, 3), (40, 3, 13, 9)),
    *((150, 200, 224, 224), (1, 3, 49, 147)),
)


def step_between(old: int, new: int) -> float:
    """Old pixels per new pixel, as OpenCV computes it: the reciprocal of a reciprocal, so 49 to 1 is not quite 49."""
    return 1 / (new / old)


def kind_of(method: int, old: tuple[int, int], new: tuple[int, int]) -> int:
    """The kind of scaling by interpolation *method* from *old* to *new*, both (height, width)."""
    if old == new:
        return UNSCALED
    down, across = step_between(old[0], new[0]), step_between(old[1], new[1])
    if method == BILINEAR:
        return BLOCK_MEAN if (across, down) == (2, 2) else LINEAR
    if method != AREA:
        return {NEAREST: ONE_TAP, BICUBIC: CUBIC, LANCZOS: EIGHT_TAPS}[method]
    if min(across, down) < 1:
        return AREA_LINEAR
    return BLOCK_MEAN if across == int(across) and down == int(down) else AREA_MEAN


def scratch_numbers(old_width: int, new: tuple[int, int]) -> int:
    """Size of the working memory of a resize in 32-bit numbers, enough for any kind: taps, then rows; see scale.py.

    Eight positions and weights for each new row and column; then, of three channels each, two old rows and nine new
    ones: eight in the ring buffer and their sum.
    """
    return 2 * TAPS[EIGHT_TAPS] * sum(new) + 6 * old_width + 3 * (TAPS[EIGHT_TAPS] + 1) * new[1] + 8


@functools.lru_cache(maxsize=256)
def _lanczos_weights(old: int, new: int) -> Array:
    """Weights (8, new) of the Lanczos kernel, int32.

    Computed here and not in the compiled code, as they need sine and cosine exactly as the C library gives them, to the
    last bit; compiled code may use others.
    """
    place = ((np.arange(new) + 0.5) * step_between(old, new) - 0.5).astype(np.float32)
    return fixed_point(lanczos_weights(place - np.floor(place)), WEIGHT_ONE).T


def write_lanczos_weights(numbers: Array, old: tuple[int, int], new: tuple[int, int], *, mirror: bool) -> None:
    """Write the weights of eight taps of columns and rows to *numbers*, where the layout of taps.py has them."""
    at, taps = 0, TAPS[EIGHT_TAPS]
    for old_size, new_size, is_mirrored in ((old[1], new[1], mirror), (old[0], new[0], False)):
        weights = _lanczos_weights(old_size, new_size)
        at += taps * new_size
        numbers[at : at + taps * new_size].reshape(taps, -1)[...] = weights[:, ::-1] if is_mirrored else weights
        at += taps * new_size


def trial_images() -> Iterator[tuple[Array, tuple[int, int]]]:
    """Yield images and new sizes (height, width), always the same ones: noise and smooth gradients in turn."""
    number: Array = np.arange(1 << 17, dtype=np.uint32)
    number = (number ^ number >> 7) * np.uint32(2654435761)  # a hash: no version of NumPy changes it
    noise = ((number ^ number >> 15) * np.uint32(2246822519) >> 24).astype(np.uint8)
    for trial, (height, width, *new) in enumerate(_TRIAL_SIZES):
        image: Array = noise[31 * trial :][: height * width * 3].reshape(height, width, 3)
        if trial % 2:
            slope = np.arange(height)[:, None, None] * 5 + np.arange(width)[None, :, None] * np.array([3, 1, 2])
            image = (slope + image // 32).clip(0, 255).astype(np.uint8)
        yield image, (new[0], new[1])


def methods_that_agree(ours: Resize, theirs: Resize) -> frozenset[int]:
    """The interpolations by which *ours* and *theirs* scale all trial images to the same pixels."""
    agree = set(METHODS)
    for image, (height, width) in trial_images():
        for method in sorted(agree):
            if not np.array_equal(ours(image, width, height, method), theirs(image, width, height, method)):
                agree.remove(method)
    return frozenset(agree)

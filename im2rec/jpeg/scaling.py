"""Kinds of scaling, what each needs, and whether another library scales to the same pixels.

An interpolation has several kinds of arithmetic: which one an image takes depends on its old and its new size.

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
Resize = Callable[[Array, int, int, int], Array]  # of an image to a width and a height by an interpolation

# Kinds: the nearest pixel; mixtures of two pixels around a centre, or across an edge; means of whole blocks, or of any
# stretches; mixtures of four and of eight pixels; and none, where the size stays.
SINGLE, CENTRED, GROWN, BLOCKS, STRETCHES, CUBIC, EIGHT = range(7)
SAME = -1
# Numbers by kind that say what a new row or column is made of: positions, and as many weights.
TAPS = (1, 2, 2, 2, 3, 4, 8)
ONE = 2048  # 11 bits for a weight
METHODS = (NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS)

# Heights and widths, old and new, of which each pair takes another way through the arithmetic. Of 49 times as many, one
# comes a hair before the first: its Lanczos weights are not a number, which OpenCV 5 puts right, and MXNet did not.
_TRIALS = (
    *((37, 53, 16, 24), (19, 23, 41, 64), (48, 64, 24, 32), (36, 60, 12, 20), (30, 44, 47, 21), (33, 20, 33, 31)),
    *((64, 64, 45, 45), (9, 70, 31, 35), (1, 7, 5, 3), (40, 3, 13, 9)),
    *((150, 200, 224, 224), (1, 3, 49, 147)),
)


def step_between(old: int, new: int) -> float:
    """Old pixels per new pixel; turned over twice, so 49 to 1 is not quite 49."""
    return 1 / (new / old)


def kind_of(method: int, old: tuple[int, int], new: tuple[int, int]) -> int:
    """The kind of scaling by interpolation *method* from *old* to *new*, both height and width."""
    if old == new:
        return SAME
    down, across = step_between(old[0], new[0]), step_between(old[1], new[1])
    if method == BILINEAR:
        return BLOCKS if (across, down) == (2, 2) else CENTRED
    if method != AREA:
        return {NEAREST: SINGLE, BICUBIC: CUBIC, LANCZOS: EIGHT}[method]
    if min(across, down) < 1:
        return GROWN
    return BLOCKS if across == int(across) and down == int(down) else STRETCHES


def room_for(old_width: int, new: tuple[int, int]) -> int:
    """Numbers of 32 bits that scaling needs in between, whatever its kind: first the taps, then rows; see scale.py."""
    return 2 * TAPS[EIGHT] * sum(new) + 6 * old_width + 3 * (TAPS[EIGHT] + 1) * new[1] + 8


@functools.lru_cache(maxsize=256)
def _eight_weights(old: int, new: int) -> Array:
    """Weights (8, new) of the Lanczos kernel, int32.

    They are computed here as they need sine and cosine to the last bit, as the C library has them.
    """
    place = ((np.arange(new) + 0.5) * step_between(old, new) - 0.5).astype(np.float32)
    return fixed_point(lanczos_weights(place - np.floor(place)), ONE).T


def put_eight_weights(numbers: Array, old: tuple[int, int], new: tuple[int, int], *, mirror: bool) -> None:
    """Write the weights of the eight taps of columns and rows where taps.py leaves room for them."""
    at, taps = 0, TAPS[EIGHT]
    for old_size, new_size, is_mirrored in ((old[1], new[1], mirror), (old[0], new[0], False)):
        weights = _eight_weights(old_size, new_size)
        at += taps * new_size
        numbers[at : at + taps * new_size].reshape(taps, -1)[...] = weights[:, ::-1] if is_mirrored else weights
        at += taps * new_size


def trials() -> Iterator[tuple[Array, tuple[int, int]]]:
    """Images and new sizes (height, width), always the same: half of them noise, half with smooth slopes."""
    number: Array = np.arange(1 << 17, dtype=np.uint32)
    number = (number ^ number >> 7) * np.uint32(2654435761)  # a hash, in 32 bits
    noise = ((number ^ number >> 15) * np.uint32(2246822519) >> 24).astype(np.uint8)
    for at, (height, width, *new) in enumerate(_TRIALS):
        image: Array = noise[31 * at :][: height * width * 3].reshape(height, width, 3)
        if at % 2:
            slope = np.arange(height)[:, None, None] * 5 + np.arange(width)[None, :, None] * np.array([3, 1, 2])
            image = (slope + image // 32).clip(0, 255).astype(np.uint8)
        yield image, (new[0], new[1])


def agreeing(ours: Resize, theirs: Resize) -> frozenset[int]:
    """The interpolations by which both callables (image, width, height, method) scale all trials to the same pixels."""
    agree = set(METHODS)
    for image, (height, width) in trials():
        for method in sorted(agree):
            if not np.array_equal(ours(image, width, height, method), theirs(image, width, height, method)):
                agree.remove(method)
    return frozenset(agree)

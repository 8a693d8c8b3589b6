"""The engines compute the images that MXNet's iterators were recorded to compute."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import im2rec
from im2rec.images.choices import AUTO, BICUBIC
from im2rec.images.codec import COLOR, GREY, decode
from im2rec.images.engine import Resampler, auto_interpolation, load_resampler, resized_short

Pixels = np.ndarray[Any, Any]

ITERATORS = Path(__file__).parent / "iterators"
METHODS = (0, 1, 2, 3, 4, 9)
RESIZE_CASES = [
    *(f"resize_{way}_i{method}" for way in ("down", "up") for method in METHODS),
    *("resize_half_i1", "identity_png", "center_crop", "png_gray", "mixed_to_3", "mixed_to_1"),
]
ROTATE_CASES = [*(f"rotate_{angle}" for angle in (1, 10, 45, 90, 180, 359)), *(f"rotate_10_i{n}" for n in (2, 3, 4, 9))]
SCALE_CASES = ["scale_0p5", "scale_1p3", "aspect_0p5", "aspect_1p5"]


def case_of(name: str) -> tuple[dict[str, Any], Pixels]:
    """The parameters of a recorded case, and its images, (n, h, w, c) uint8."""
    params = json.loads((ITERATORS / "cases" / f"{name}.json").read_text(encoding="utf-8"))["params"]
    with np.load(ITERATORS / "cases" / f"{name}.npz") as recorded:
        rows = [data[:valid] for data, valid in zip(recorded["data"], recorded["valid"], strict=True)]
        return params, np.concatenate(rows).transpose(0, 2, 3, 1)


def images_of(params: dict[str, Any]) -> list[Pixels]:
    with im2rec.open(ITERATORS / params["path_imgrec"]) as records:
        return [decode(record.content, COLOR if params["data_shape"][0] == 3 else GREY).pixels for record in records]


def augmented(engine: Resampler, params: dict[str, Any], image: Pixels) -> Pixels:
    """*image* after resize, warp and centre crop by fixed parameters, as documented for ImageRecordIter."""
    _, height, width = params["data_shape"]
    method = params.get("inter_method", 1)
    size = image.shape[1], image.shape[0]
    if "resize" in params:
        new = resized_short(*size, params["resize"])
        image, size = engine.resize(image, *new, auto_interpolation(size, new) if method == AUTO else method), new
    if {"rotate", "max_random_scale", "max_aspect_ratio"} & params.keys():
        matrix, new = warp_of(size, params)
        chosen = auto_interpolation(size, new) if method == AUTO else method
        image, size = engine.warp(image, matrix, *new, chosen, params.get("fill_value", 255)), new
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return image[top : top + height, left : left + width]


def warp_of(size: tuple[int, int], params: dict[str, Any]) -> tuple[Pixels, tuple[int, int]]:
    """The matrix and the new size for fixed rotation, scale and aspect, in 32-bit floats as MXNet computes them."""
    width, height = map(np.float32, size)
    angle = params.get("rotate", 0) * math.pi / 180
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    scale, ratio = (np.float32(params.get(name, 1)) for name in ("max_random_scale", "max_aspect_ratio"))
    down = np.float32(2) * scale / (np.float32(1) + ratio)
    across = ratio * down
    new = scale * width, scale * height
    (a, b), (c, d) = turn = (down * cosine, down * sine), (-sine * across, cosine * across)
    shifts = (new[0] - (a * width + b * height)) / np.float32(2), (new[1] - (c * width + d * height)) / np.float32(2)
    return np.array([[*turn[0], shifts[0]], [*turn[1], shifts[1]]], np.float32), (int(new[0]), int(new[1]))


def largest_difference(engine: str, name: str) -> int:
    """The largest difference, in levels, between a value computed by *engine* and the recorded one."""
    params, expected = case_of(name)
    found = np.stack([augmented(load_resampler(engine), params, image) for image in images_of(params)])
    return int(np.abs(expected[: len(found)].astype(int) - found.astype(int)).max())


@pytest.mark.parametrize("name", [*RESIZE_CASES, *ROTATE_CASES, *SCALE_CASES])
def test_the_reference_engine_computes_the_images_of_mxnet_bit_for_bit(name: str) -> None:
    assert 0 == largest_difference("reference", name)


@pytest.mark.parametrize("name", [*RESIZE_CASES, *ROTATE_CASES, *SCALE_CASES])
def test_opencv_computes_them_exactly_and_bicubic_ones_within_a_level(name: str) -> None:
    pytest.importorskip("cv2")
    params, _ = case_of(name)

    assert largest_difference("opencv", name) <= (params.get("inter_method") in (BICUBIC, AUTO))


# Noise of many sizes. The digests are those of the results of MXNet 1.9.1 for the same images: ``mx.image.imresize``
# for the resizes, and for the rest ImageRecordIter over PNGs (dtype uint8, one thread), with scale and aspect ranges
# of one value. It warps by nearest pixels only at random: row 1 of a batch of eight with inter_method=10.

RESIZED = ("ec0baeac3dc5947b", "34171cfa4f648409", "8af39de009d22cf8", "a4f60ddcb3036e6a", "da01a3c842f33894")
WARPED = ("0bc9af35b225a548", "344e59587cf32038", "2269661e157a9fc4", "344e59587cf32038", "77a2ffa7105c9aec")
SHIFTED = {  # hue, lightness, saturation: the first three draws of random_h=36, random_l=50, random_s=50
    (0, 0, 0): "b8b60756f64e3118",
    (-20, 27, -22): "8a1a54f27c31f76a",
    (-7, -30, -13): "47245915f75e07b8",
    (1, 11, 6): "923e8ce45c1d6d2f",
}


def noise(rng: np.random.RandomState, height: int, width: int, number: int) -> Pixels:
    """An image of one, three or four channels in turn. RandomState gives the same numbers in every NumPy version."""
    return rng.randint(0, 256, (height, width, (1, 3, 4)[number % 3])).astype(np.uint8)


def resizes() -> Iterator[tuple[Pixels, int, int]]:
    rng = np.random.RandomState(8)
    for number in range(60):
        height, width, new_height, new_width = (int(size) for size in rng.randint(1, 61, 4))
        yield noise(rng, height, width, number), new_width, new_height


def warps() -> Iterator[tuple[Pixels, dict[str, Any]]]:
    rng = np.random.RandomState(9)
    for number in range(24):
        height, width = (int(size) for size in rng.randint(9, 41, 2))
        params: dict[str, Any] = {"rotate": int(rng.randint(1, 360)), "fill_value": int(rng.randint(0, 256))}
        params["max_random_scale"], params["max_aspect_ratio"] = map(float, np.float32(rng.uniform(0.5, 1.6, 2)))
        yield noise(rng, height, width, number), params


def warped(engine: Resampler, image: Pixels, params: dict[str, Any], method: int) -> Pixels:
    matrix, canvas = warp_of((image.shape[1], image.shape[0]), params)
    return engine.warp(image, matrix, *canvas, method, params["fill_value"])


def colors() -> Pixels:
    """Every fifth level of red with every fifth of green and of blue."""
    level = np.arange(0, 256, 5, dtype=np.uint8)
    return np.stack(np.meshgrid(level, level, level, indexing="ij"), axis=-1).reshape(52, 52 * 52, 3)


def digest(images: Iterable[Pixels]) -> str:
    found = hashlib.sha256()
    for image in images:
        found.update(np.ascontiguousarray(image).tobytes())
    return found.hexdigest()[:16]


@pytest.mark.parametrize("method", range(5))
def test_noise_of_many_sizes_is_resized_as_by_mxnet_bit_for_bit(method: int) -> None:
    engine = load_resampler("reference")

    assert RESIZED[method] == digest(engine.resize(*resize, method) for resize in resizes())


@pytest.mark.parametrize("method", range(5))
def test_noise_is_rotated_and_scaled_as_by_mxnet_bit_for_bit(method: int) -> None:
    engine = load_resampler("reference")

    assert WARPED[method] == digest(warped(engine, *warp, method) for warp in warps())


def test_colours_are_shifted_as_by_mxnet_bit_for_bit() -> None:
    engine = load_resampler("reference")

    assert SHIFTED == {shifts: digest([engine.shift_hls(colors(), *shifts)]) for shifts in SHIFTED}

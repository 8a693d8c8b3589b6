"""The augmenter: plans are carried out in order, and rows are the same whether a decoder makes them or pixels do."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from augment_helpers import REFERENCE_ENGINE, FixedDraws, Pixels
from image_helpers import encoded, texture

from im2rec.augment.augmenter import AugmentationPlan, Augmenter
from im2rec.augment.color import Brightness
from im2rec.augment.draws import Float
from im2rec.augment.geometry import Crop, Resize, Size
from im2rec.augment.normalize import Normalization
from im2rec.augment.params import NCHW, NHWC, AugmentationParams
from im2rec.errors import ImageError
from im2rec.images.codec import COLOR, decode
from im2rec.images.engine import Resampler, load_resampler
from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import load

SHAPE = (3, 16, 20)
JPEG = encoded(texture(40, 56))
SIZE = Size(56, 40)
PLAIN = Normalization(False, Float(1), Float(0))


@functools.cache
def pixels() -> Pixels:
    """The JPEG as libjpeg decodes it."""
    return decode(JPEG, COLOR).pixels


def augmenter(
    *, engine: Resampler = REFERENCE_ENGINE, dtype: str = "float32", layout: str = NCHW, mean: Any = None, **params: Any
) -> Augmenter:
    return Augmenter(AugmentationParams(**params), SHAPE, engine, dtype=dtype, layout=layout, mean=mean)


def empty_row(dtype: str = "float32", layout: str = NCHW) -> Pixels:
    return np.full(SHAPE if layout == NCHW else (*SHAPE[1:], SHAPE[0]), 77, dtype)


class RecordingKernel:
    """A decoder that writes nothing but zeros, and keeps the arguments of each call."""

    def __init__(self, reason: str = "", methods: frozenset[int] = frozenset(range(5))) -> None:
        self._reason = reason
        self._methods = methods
        self.calls: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = []
        self.trials = 0

    def scales_like(self, resize: Any) -> frozenset[int]:
        assert resize == REFERENCE_ENGINE.resize
        self.trials += 1
        return self._methods

    def decode_into(self, content: bytes, crop: Any, out: Pixels, **options: Any) -> str:
        assert content == JPEG
        self.calls.append((tuple(crop), out.shape, options))
        out[...] = 0
        return self._reason


# Without the compiled decoder.


def test_a_plan_has_the_steps_of_geometry_then_colour_and_the_normalisation() -> None:
    draws = FixedDraws({"mirror": True, "crop_y": 3, "crop_x": 4, "brightness": 0.75})
    plan = augmenter(rand_crop=True, rand_mirror=True, brightness=0.4).plan(SIZE, draws)

    assert Crop(3, 4, 16, 20) == plan.steps[0]
    assert Brightness(Float(1.2)) in plan.steps[1:]
    assert Normalization(True, Float(1), Float(0)) == plan.normalization
    assert ["crop_y", "crop_x", "brightness"] == draws.names[:3]


def test_a_plan_without_colour_has_the_geometry_alone() -> None:
    assert (Crop(12, 18, 16, 20),) == augmenter().plan(SIZE, FixedDraws()).steps


def test_an_image_that_is_too_small_is_refused_while_planning() -> None:
    with pytest.raises(ImageError, match="too few for max_crop_size=50"):
        augmenter(min_crop_size=50, max_crop_size=50).plan(SIZE, FixedDraws())


def test_the_steps_of_a_plan_are_applied_in_order_and_the_flip_is_not() -> None:
    steps = (Resize(28, 20, 0), Crop(2, 3, 16, 20), Brightness(Float(0.5)))
    image = augmenter().augment(pixels(), AugmentationPlan(steps, Normalization(True, Float(9), Float(9))))

    expected = pixels()[::2, ::2][2:18, 3:23]  # nearest, at half the size
    assert np.array_equal(np.rint(expected * Float(0.5)), image)
    assert np.uint8 == image.dtype


def test_a_row_is_the_augmented_image_normalised_and_flipped() -> None:
    row = empty_row()
    plan = AugmentationPlan((Crop(1, 2, 16, 20),), Normalization(True, Float(2), Float(0)))
    augmenter(mean_g=10, scale=2).write(pixels(), plan, row)

    expected = (pixels()[1:17, 2:22].astype(float) - [0, 10, 0]) * 2
    assert np.array_equal(expected[:, ::-1].transpose(2, 0, 1), row)
    image = augmenter(mean_g=10, scale=2).row_to_image(row)
    assert np.array_equal(pixels()[1:17, 2:22][:, ::-1], image)


def test_the_decoder_suits_images_that_are_cropped_or_scaled_first_but_not_by_pillow() -> None:
    pillow = load_resampler("pillow")

    for engine in (REFERENCE_ENGINE, pillow):
        assert augmenter(engine=engine).suits_kernel is True
        assert augmenter(engine=engine, random_resized_crop=True, min_random_area=0.5).suits_kernel is True
        assert augmenter(engine=engine, max_rotate_angle=9).suits_kernel is False
        assert augmenter(engine=engine, pad=4).suits_kernel is False
    assert augmenter(resize=30).suits_kernel is True
    assert augmenter(resize=30, engine=pillow).suits_kernel is False
    assert augmenter(resize=30, max_rotate_angle=9).suits_kernel is True


def test_the_decoder_does_nearly_all_only_without_warp_and_colour_and_if_linear() -> None:
    mean = np.zeros(SHAPE, np.float32)

    assert augmenter(rand_crop=True, rand_mirror=True, mean_r=9, max_random_contrast=0.5).is_done_by_kernel is True
    assert augmenter(resize=30).is_done_by_kernel is True
    assert augmenter(dtype="uint8", max_random_illumination=9).is_done_by_kernel is True
    assert augmenter(resize=30, engine=load_resampler("pillow")).is_done_by_kernel is False
    assert augmenter(resize=30, max_rotate_angle=9).is_done_by_kernel is False
    assert augmenter(brightness=0.4).is_done_by_kernel is False
    assert augmenter(max_random_illumination=9).is_done_by_kernel is False
    assert augmenter(mean=mean).is_done_by_kernel is False
    assert augmenter(dtype="float16").is_done_by_kernel is False


# What the decoder is called with.


def decoded(made: Augmenter, plan: AugmentationPlan, kernel: Any, row: Pixels) -> str:
    return made.decode_and_write(kernel, JPEG, SIZE, plan, row)


@pytest.mark.parametrize("layout", [NCHW, NHWC])
def test_a_crop_and_a_linear_normalisation_are_decoded_straight_into_the_row(layout: str) -> None:
    kernel, row = RecordingKernel(), empty_row(layout=layout)
    plan = AugmentationPlan((Crop(3, 4, 16, 20),), Normalization(True, Float(4), Float(0)))
    reason = decoded(augmenter(layout=layout, mean_r=9, std_b=2, scale=4), plan, kernel, row)

    ((crop, shape, options),) = kernel.calls
    assert "" == reason
    assert (3, 4, 16, 20) == crop
    assert row.shape == shape
    assert options.pop("mean").tolist() == [9, 0, 0]
    assert options.pop("factor").tolist() == [4, 4, 2]
    assert {"inter_method": None, "mirror": True, "planes": layout == NCHW} == options
    assert kernel.trials == 0


def test_a_resize_after_the_crop_is_done_by_the_decoder_too() -> None:
    kernel, made = RecordingKernel(), augmenter(dtype="uint8")
    steps = (Crop(3, 4, 30, 40), Resize(20, 16, 3))
    assert "" == decoded(made, AugmentationPlan(steps, PLAIN), kernel, empty_row("uint8"))
    assert "" == decoded(made, AugmentationPlan(steps[1:], PLAIN), kernel, empty_row("uint8"))

    (cropped, shape, options), (whole, _, _) = kernel.calls
    assert (3, 4, 30, 40) == cropped
    assert SHAPE == shape  # straight into the row
    assert 3 == options["inter_method"]
    assert (0, 0, SIZE.height, SIZE.width) == whole
    assert 1 == kernel.trials  # what the decoder scales as the engine does is found out once


def test_a_resize_whose_pixels_would_differ_is_left_to_the_engine() -> None:
    kernel = RecordingKernel(methods=frozenset({0, 2}))
    steps = (Crop(3, 4, 30, 40), Resize(20, 16, 3))
    assert "" == decoded(augmenter(), AugmentationPlan(steps, PLAIN), kernel, empty_row())

    ((crop, shape, options),) = kernel.calls
    assert (3, 4, 30, 40) == crop
    assert (30, 40, 3) == shape
    assert {"inter_method": None, "planes": False} == options


def test_further_steps_are_applied_to_what_the_decoder_cropped() -> None:
    kernel, row = RecordingKernel(), empty_row()
    steps = (Crop(3, 4, 30, 40), Resize(20, 16, 1), Brightness(Float(2)))
    assert "" == decoded(augmenter(mean_r=5), AugmentationPlan(steps, PLAIN), kernel, row)

    ((_, shape, options),) = kernel.calls
    assert (16, 20, 3) == shape
    assert {"inter_method": 1, "planes": False} == options
    assert [-5, 0, 0] == row.reshape(3, -1).mean(axis=1).tolist()


def test_a_whole_image_that_the_decoder_cannot_write_is_left_to_libjpeg() -> None:
    kernel, row = RecordingKernel(), empty_row()
    whole, part = Crop(0, 0, *SIZE[::-1]), Crop(0, 0, 40, 55)

    for steps in ((), (whole,), (whole, Brightness(Float(1)))):
        plan = AugmentationPlan(steps, PLAIN._replace(illumination=Float(1)))
        assert "not cropped first" == decoded(augmenter(), plan, kernel, row)
    assert [] == kernel.calls
    decoded(augmenter(), AugmentationPlan((part, Resize(20, 16, 1), Brightness(Float(1))), PLAIN), kernel, row)
    decoded(augmenter(), AugmentationPlan((whole, Resize(20, 16, 1), Brightness(Float(1))), PLAIN), kernel, row)
    assert 2 == len(kernel.calls)


def test_an_image_that_the_decoder_declines_is_not_written() -> None:
    kernel, row = RecordingKernel("cut short"), empty_row()
    plan = AugmentationPlan((Crop(3, 4, 16, 20), Brightness(Float(2))), PLAIN)

    assert "cut short" == decoded(augmenter(), plan, kernel, row)
    assert {77} == {*row.reshape(-1).tolist()}
    assert "cut short" == decoded(augmenter(), AugmentationPlan(plan.steps[:1], PLAIN), kernel, row)


# With the compiled decoder.


@pytest.fixture
def kernel() -> Kernel:
    pytest.importorskip("numba")
    kernel = load().kernel
    assert kernel is not None
    return kernel


WAYS: dict[str, dict[str, Any]] = {
    "crop": {"rand_crop": True},
    "normalised": {"mean_r": 120.5, "mean_b": 99.1, "std_g": 57.1, "scale": 0.3, "rand_mirror": True},
    "contrast": {"max_random_contrast": 0.4, "std_r": 3.0},
    "illumination": {"max_random_illumination": 9.0, "rand_mirror": True},
    "random area": {"random_resized_crop": True, "min_random_area": 0.3, "max_aspect_ratio": 0.25, "inter_method": 2},
    "resized": {"resize": 24, "inter_method": 9},
    "resized to the row": {"resize": 20, "rand_crop": True, "inter_method": 1},
    "square": {"min_crop_size": 15, "max_crop_size": 30, "rand_crop": True},
    "colours": {"brightness": 0.4, "random_h": 20, "rand_crop": True},
    "uint8": {"dtype": "uint8", "rand_crop": True, "rand_mirror": True},
    "int8": {"dtype": "int8", "mean_r": 100.0, "rand_mirror": True},
    "float16": {"dtype": "float16", "std_r": 7.0},
    "mean image": {"mean": np.arange(960, dtype=np.float32).reshape(SHAPE) / 9, "rand_mirror": True},
}


@pytest.mark.parametrize("layout", [NCHW, NHWC])
@pytest.mark.parametrize("way", WAYS)
def test_rows_by_the_compiled_decoder_are_those_of_the_decoded_image(kernel: Kernel, way: str, layout: str) -> None:
    made = augmenter(layout=layout, **WAYS[way])
    dtype = WAYS[way].get("dtype", "float32")
    for unit in (0.1, 0.6):
        plan = made.plan(SIZE, FixedDraws({"mirror": unit < 0.5}, unit=unit))
        expected, row = empty_row(dtype, layout), empty_row(dtype, layout)
        made.write(pixels(), plan, expected)

        assert "" == made.decode_and_write(kernel, JPEG, SIZE, plan, row)
        assert np.array_equal(expected, row)


def test_a_file_that_the_compiled_decoder_declines_has_a_reason(kernel: Kernel) -> None:
    plan = AugmentationPlan((Crop(3, 4, 16, 20),), PLAIN)

    assert "no end marker" == augmenter().decode_and_write(kernel, JPEG[:-100], SIZE, plan, empty_row())

"""Changes of one image, in words: the steps of its augmentation that changed it, and the numbers drawn for each.

A plan lists all steps that the parameters ask for, and draws numbers for all of them as the reference does. Many change
nothing: a brightness of 0, a resize to the size that the image has. Whether a step changed the image is decided by the
image itself, before and after it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.augment.augmenter import AugmentationPlan
from im2rec.augment.color import Brightness, Contrast, PCANoise, Saturation, ShiftHLS
from im2rec.augment.draws import Draws, Float
from im2rec.augment.geometry import Crop, Pad, Resize, Size, Step, Warp
from im2rec.augment.normalize import Normalization
from im2rec.augment.params import OFF
from im2rec.errors import counted
from im2rec.images.choices import INTERPOLATIONS
from im2rec.images.codec import Image
from im2rec.images.engine import Resampler
from im2rec.params import typed_words
from im2rec.pipeline.params import ImageRecordParams

_METHODS = dict(zip(INTERPOLATIONS, ("nearest", "bilinear", "bicubic", "area", "Lanczos"), strict=False))
_JITTERS: dict[type[Any], str] = {Brightness: "brightness", Contrast: "contrast", Saturation: "saturation"}
_ORDER_OF_JITTERS = ("jitter_order_1", "jitter_order_2")
_NORMALIZING = ("mean_img", "mean_r", "mean_g", "mean_b", "mean_a", "std_r", "std_g", "std_b", "std_a", "scale")
MIRROR = "mirror"
SHORT_LETTERS = 21  # of a line of short words, which fits below an image of 128 pixels
_HALF_TURN = 180  # degrees
_DEGREES_OF_HUE = 2  # for each unit of the step
Corner = tuple[float, float]


class RecordedDraws(Draws):
    """Random numbers of *draws*, recorded by name in ``values``."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self.is_sequential = draws.is_sequential
        self.values: dict[str, float] = {}

    def _record(self, name: str, attempt: int, value: Any) -> Any:
        self.values[f"{name}, try {attempt + 1}" if attempt else name] = float(value)
        return value

    def unit(self, name: str, attempt: int = 0) -> Float:
        """Return a number uniform in [0, 1)."""
        unit: Float = self._record(name, attempt, self._draws.unit(name, attempt))
        return unit

    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        """Return an integer from *low* to *high*, both included."""
        return int(self._record(name, attempt, self._draws.integer(name, low, high, attempt)))

    def coin(self, name: str) -> bool:
        """Return True with a probability of one half."""
        return bool(self._record(name, 0, self._draws.coin(name)))

    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        """Return one normal number for each of *names*."""
        values = self._draws.normals(names, deviation)
        return tuple(self._record(name, 0, value) for name, value in zip(names, values, strict=True))


class Change(NamedTuple):
    """A step that changed an image, in *words*, and in the few of *short*, each of which fits below a small image.

    *drawn* are the names of the random numbers that decided it; there are none for a step that is the same for every
    draw.
    """

    words: str
    short: tuple[str, ...]
    drawn: tuple[str, ...]


def changes_of(
    image: Image, plan: AugmentationPlan, drawn: Mapping[str, float], params: ImageRecordParams, engine: Resampler
) -> list[Change]:
    """Return the changes that *plan* makes to *image*, in their order.

    *image* is uint8 (height, width, channels), as stored; *drawn* are the values of the :class:`RecordedDraws` that the
    plan was made with. A step that changes no pixel of this image is left out: a saturation on grey, a flip of an image
    that is its own mirror image.
    """
    used = _DrawsOfSteps(params, drawn)
    changes, jitters = [], 0
    for number, step in enumerate(plan.steps):
        made = step.apply(image, engine)
        if _differ(image, made):
            names = used.of(step, is_first=number == 0)
            if type(step) in _JITTERS:
                # The order of two of them shows; there is none of one alone.
                jitters += 1
                names += _ORDER_OF_JITTERS if jitters == 2 else ()
            words, *short = _words_of(step, Size.of(image))
            changes.append(Change(words, tuple(short), names))
        image = made
    return [*changes, *_last_changes(image, plan.normalization, params)]


def _differ(image: Image, made: Image) -> bool:
    return image.shape != made.shape or bool((image != made).any())


class _DrawsOfSteps:
    """The names in *drawn* of the numbers that decide a step with *params*.

    Others are drawn as well, and have no effect: those of a range of 0, and of tries that did not fit.
    """

    def __init__(self, params: ImageRecordParams, drawn: Mapping[str, float]) -> None:
        self._params = params
        self._drawn = drawn

    def of(self, step: Step, *, is_first: bool) -> tuple[str, ...]:
        """Return the names for *step*; *is_first* is True for the first step of its plan."""
        if isinstance(step, Resize):
            return self._present(
                "resize_interpolation" if is_first and self._params.resize != OFF else "crop_interpolation"
            )
        if isinstance(step, Warp):
            return self._present(*self._of_warp(), "warp_interpolation")
        if isinstance(step, Crop):
            return self._present(*self._of_area(), "crop_size", "crop_y", "crop_x")
        if isinstance(step, ShiftHLS):
            params = self._params
            limits = {"hue": params.random_h, "lightness": params.random_l, "saturation_shift": params.random_s}
            return tuple(f"{name}_{number}" for name, limit in limits.items() if limit for number in (1, 2))
        if isinstance(step, PCANoise):
            return ("pca_r", "pca_g", "pca_b")
        return (_JITTERS[type(step)],) if type(step) in _JITTERS else ()

    def _present(self, *names: str) -> tuple[str, ...]:
        return tuple(name for name in names if name in self._drawn)

    def _of_warp(self) -> Iterator[str]:
        params = self._params
        if params.max_shear_ratio:
            yield "shear"
        if params.rotate_list:
            yield "rotate_list"
        elif params.max_rotate_angle and params.rotate <= 0:
            yield "angle"
        if params.scales:
            yield "scale"
        if params.aspect_range != (1, 1):
            yield "ratio"  # drawn only without random_resized_crop, which has another number for it

    def _of_area(self) -> list[str]:
        """Return the numbers of the try that fitted; without one the crop is in the centre."""
        if not self._params.random_resized_crop or "crop_y" not in self._drawn:
            return []
        last = [
            [name for name in self._drawn if name.split(",")[0] == value][-1:] for value in ("area", "aspect", "swap")
        ]
        return [name for names in last for name in names]


def _words_of(step: Any, size: Size) -> list[str]:
    """Return the words for *step* of an image of *size*, and after them its short words."""
    if type(step) in _JITTERS:
        return [f"{_JITTERS[type(step)]} x {_factor_text(step.factor)}"] * 2
    return _WORDS[type(step)](step, size)


def _factor_text(factor: float) -> str:
    """Return *factor* in three digits, or in five if it would read as 1, which changes nothing."""
    return short if (short := f"{factor:.3g}") != "1" else f"{factor:.5g}"


def _words_of_resize(step: Resize, _: Size) -> list[str]:
    method = _METHODS[step.inter_method]
    return [f"resize to {step.width} x {step.height} ({method})", method]


def _words_of_crop(step: Crop, size: Size) -> list[str]:
    corner, shape = f"crop {step.x},{step.y}", f"{step.width} x {step.height}"
    short = [f"{corner} {shape}"] if len(corner + shape) < SHORT_LETTERS else [corner, shape]
    return [f"crop x {step.x}, y {step.y}, {shape} of {size.width} x {size.height}", *short]


def _words_of_pad(step: Pad, _: Size) -> list[str]:
    return [f"pad by {counted(step.pixels, 'pixel')} on each side"]


def _words_of_shift(step: ShiftHLS, _: Size) -> list[str]:
    shifts = {"hue": step.hue * _DEGREES_OF_HUE, "lightness": step.lightness, "saturation": step.saturation}
    words = [f"{name} {shift:+d}{' degrees' if name == 'hue' else ''}" for name, shift in shifts.items() if shift]
    short = [f"{'light' if name == 'lightness' else name} {shift:+d}" for name, shift in shifts.items() if shift]
    # Shifts of 0 change colours too, as the engine documents.
    return [", ".join(words) or "colours rounded by a shift of 0", *short]


def _words_of_noise(step: PCANoise, _: Size) -> list[str]:
    noise = " ".join(f"{level:+.1f}" for level in step)
    return [f"noise of red, green, blue: {noise}", f"noise {noise}"]


def _words_of_warp(step: Warp, size: Size) -> list[str]:
    """Return the words for *step*, whose matrix is taken apart as :class:`Geometry` has put it together."""
    (a, b, _), (c, d, _) = step.matrix.astype(np.float64).tolist()
    stretch_y = math.hypot(c, d)
    sin, cos = -c / stretch_y, d / stretch_y
    stretch_x, shear = a * cos + b * sin, (b * cos - a * sin) / stretch_y
    angle = round(math.degrees(math.atan2(sin, cos)))
    words, short = [], []
    if angle:
        words.append(f"turn {abs(angle)} degrees {'counter-clockwise' if angle > 0 else 'clockwise'}")
        short.append(f"turn {abs(angle)}" + ("" if abs(angle) == _HALF_TURN else " left" if angle > 0 else " right"))
    if round(shear, 3):
        words.append(f"shear {shear:.3g}")
        short.append(f"shear {shear:.2g}")
    x, y = f"{stretch_x:.3g}", f"{stretch_y:.3g}"
    if {x, y} != {"1"}:
        words.append(f"scale x {x}" if x == y else f"scale width x {x}, height x {y}")
        short.append(f"scale x {x}" if x == y else f"scale {x} x {y}")
    if (step.width, step.height) != size:
        words.append(f"canvas {step.width} x {step.height}")
    # A matrix without any of these moves the image by a fraction of a pixel, or turns it fully around.
    return [f"{', '.join(words) or 'warp'} ({_METHODS[step.inter_method]})", *short]


_WORDS: dict[type[Any], Callable[[Any, Size], list[str]]] = {
    Resize: _words_of_resize,
    Warp: _words_of_warp,
    Pad: _words_of_pad,
    Crop: _words_of_crop,
    ShiftHLS: _words_of_shift,
    PCANoise: _words_of_noise,
}


def _last_changes(image: Image, last: Normalization, params: ImageRecordParams) -> Iterator[Change]:
    """Yield what the normalisation *last* does to *image*, which went through all steps before it."""
    if last.mirror and _differ(image, image[:, ::-1]):
        yield Change(MIRROR, ("mirrored",), () if params.mirror else ("mirror",))
    if params.data_dtype == "uint8":
        return
    last_names = [name for name in _NORMALIZING if params.data_dtype != "int8" or name.startswith("mean")]
    if words := set_words(params, last_names):
        yield Change(f"normalise by {' '.join(words)} (undone in the image)", (), ())
    if params.data_dtype == "int8" or not params.scale:
        return
    scale = Float(params.scale)
    if last.contrast != scale:
        factor = f"values x {_factor_text(float(last.contrast / scale))}"
        yield Change(f"{factor} (random contrast)", (factor,), ("contrast_factor",))
    if last.illumination:
        levels = f"values {last.illumination / scale:+.3g}"
        yield Change(f"{levels} (random illumination)", (levels,), ("illumination",))


def set_words(params: ImageRecordParams, names: Collection[str]) -> list[str]:
    """Return those of the parameters *names* that are not as by default, as ``KEY=VALUE``, in order of declaration."""
    return typed_words(params, without=[field.name for field in dataclasses.fields(params) if field.name not in names])


def step_text(step: Any) -> str:
    """Return the name and all values of *step*, or of a Normalization, as one line; one without effect too."""
    values = ", ".join(f"{name} {_number_text(value)}" for name, value in step._asdict().items())
    return f"{type(step).__name__}: {values}"


def _number_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return " ".join(f"{number:.4g}" for number in value.ravel())
    return str(value) if isinstance(value, (bool, int, np.integer)) else f"{value:.6g}"


def used_draws(changes: Iterable[Change], drawn: Mapping[str, float]) -> dict[str, float]:
    """Return those of the numbers *drawn* that decided *changes*, in the order in which they were drawn."""
    used = {name for change in changes for name in change.drawn}
    return {name: value for name, value in drawn.items() if name in used}


def region_of(steps: Iterable[Step], size: Size) -> list[Corner] | None:
    """Return the corners of that part of an image of *size* which *steps* leave; None if that is all of it.

    They are in pixels from the upper left corner of the image, in the order in which a pen would draw them. After a
    rotation the part is tilted, and a corner may be outside the image, as it is with a border.
    """
    to_made, made = np.eye(3), size
    for step in steps:
        move, made = _move_of(step, made)
        to_made = move @ to_made
    corners = np.array([[0, 0, 1], [made.width, 0, 1], [made.width, made.height, 1], [0, made.height, 1]], np.float64)
    stored = (np.linalg.inv(to_made) @ corners.T).T[:, :2]
    whole = corners[:, :2] / made * size
    return None if np.abs(stored - whole).max() < 1 / 2 else [(x, y) for x, y in stored.tolist()]


def _move_of(step: Step, size: Size) -> tuple[npt.NDArray[np.float64], Size]:
    """Return the matrix from places in an image of *size* to places after *step*, and the size that it has then."""
    move = np.eye(3)
    if isinstance(step, Resize):
        move[0, 0], move[1, 1] = step.width / size.width, step.height / size.height
        size = Size(step.width, step.height)
    elif isinstance(step, Pad):
        move[:2, 2] = step.pixels
        size = Size(size.width + 2 * step.pixels, size.height + 2 * step.pixels)
    elif isinstance(step, Crop):
        move[:2, 2] = -step.x, -step.y
        size = Size(step.width, step.height)
    elif isinstance(step, Warp):
        # Its matrix maps the numbers of pixels, and the middle of pixel 0 is half a pixel from the edge.
        half = np.eye(3)
        half[:2, 2] = 1 / 2
        move[:2] = step.matrix
        move = half @ move @ np.linalg.inv(half)
        size = Size(step.width, step.height)
    return move, size

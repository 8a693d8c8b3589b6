"""Statistics of every random option: its draws have the reference's distribution, and no pattern.

The distributions are those of golden/iterators/statistics.json, recorded from MXNet's own draws. All seeds are fixed,
so that a test passes always or never; limits are five standard errors.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import write_rec
from image_helpers import encoded
from iterator_golden_helpers import ITERATORS

from im2rec.augment.augmenter import AugmentationPlan, Augmenter
from im2rec.augment.color import Brightness, Contrast, PCANoise, Saturation, ShiftHLS
from im2rec.augment.draws import counter_draws
from im2rec.augment.geometry import Crop, Resize, Size, Warp
from im2rec.augment.params import AugmentationParams
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.hashing import hash64
from im2rec.images.engine import load_resampler
from im2rec.iterators.image_record import ImageRecordIter

Numbers = np.ndarray[Any, Any]

RECORDED = json.loads((ITERATORS / "statistics.json").read_text(encoding="utf-8"))
COUNT = 4000
MAX_ERRORS = 5  # standard errors
MAX_CHI_SQUARE_8 = 30  # with 8 degrees of freedom: chance exceeds it in 2 of 10,000 cases
SEED = 20
IMAGE, TARGET = Size(60, 40), (3, 32, 52)  # as recorded: nine rows and nine columns for a crop


def plans(
    size: Size = IMAGE, *, seed: int = SEED, epoch: int = 0, count: int = COUNT, **params: Any
) -> list[AugmentationPlan]:
    """The plans of the first *count* records of an epoch."""
    augmenter = Augmenter(
        AugmentationParams(**params), TARGET, load_resampler("reference"), dtype="float32", layout="NCHW"
    )
    return [augmenter.plan(size, draws) for draws in counter_draws([hash64(seed, epoch)] * count, range(count))]


def steps_of(kind: type, drawn: list[AugmentationPlan]) -> list[Any]:
    """The one step of *kind* in every plan."""
    return [step for plan in drawn for step in plan.steps if isinstance(step, kind)]


def chi_square(counts: Numbers) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


def assert_uniform(values: Numbers, low: float, high: float) -> None:
    """Values in the range, equally many in each ninth of it, with the mean and deviation of a uniform number."""
    assert low <= values.min()
    assert values.max() <= high
    assert chi_square(np.histogram(values, bins=9, range=(low, high))[0]) < MAX_CHI_SQUARE_8
    assert_moments(values, (low + high) / 2, (high - low) / math.sqrt(12))


def assert_moments(values: Numbers, mean: float, deviation: float) -> None:
    error = deviation / math.sqrt(len(values))
    assert abs(values.mean() - mean) < MAX_ERRORS * error
    assert abs(values.std() - deviation) < MAX_ERRORS * error  # an upper bound for all distributions here


def correlation(one: Numbers, other: Numbers) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def assert_independent(one: Numbers, other: Numbers) -> None:
    assert abs(correlation(one, other)) < MAX_ERRORS / math.sqrt(len(one))


# The recorded distributions.


def test_the_recorded_distributions_are_those_tested_here() -> None:
    named = "rand_crop rand_mirror random_h_20 random_l_20 random_s_20 brightness_0.4 pca_noise_0.1"
    assert {*named.split(), "max_random_contrast_0.3", "max_random_illumination_20"} == set(RECORDED)
    assert (RECORDED["rand_crop"]["image"], RECORDED["rand_crop"]["target"]) == ([*IMAGE][::-1], [*TARGET[1:]])
    assert {COUNT} == {recorded["n"] for recorded in RECORDED.values()}


def test_crops_are_uniform_with_independent_rows_and_columns() -> None:
    crops = steps_of(Crop, plans(rand_crop=True))
    rows, columns = np.array([crop.y for crop in crops]), np.array([crop.x for crop in crops])

    for places, name in ((rows, "y_counts"), (columns, "x_counts")):
        counts = np.bincount(places, minlength=9)
        assert 9 == len(counts)
        assert chi_square(counts) < MAX_CHI_SQUARE_8
        assert chi_square(np.array(RECORDED["rand_crop"][name])) < MAX_CHI_SQUARE_8
    assert_independent(rows, columns)


def test_half_of_the_images_are_flipped() -> None:
    flips = np.array([plan.normalization.mirror for plan in plans(rand_mirror=True)])
    error = 0.5 / math.sqrt(COUNT)

    assert abs(flips.mean() - 0.5) < MAX_ERRORS * error
    assert abs(RECORDED["rand_mirror"]["observed"] - 0.5) < MAX_ERRORS * error


def test_contrast_and_illumination_are_uniform() -> None:
    drawn = plans(max_random_contrast=0.3, max_random_illumination=20.0)
    contrast = np.array([plan.normalization.contrast for plan in drawn])
    illumination = np.array([plan.normalization.illumination for plan in drawn])

    assert_uniform(contrast, 0.7, 1.3)
    assert_uniform(illumination, -20, 20)
    assert_independent(contrast, illumination)
    for name, mean, width in (("max_random_contrast_0.3", 1, 0.6), ("max_random_illumination_20", 0, 40)):
        error = width / math.sqrt(12 * COUNT)
        assert abs(RECORDED[name]["mean"] - mean) < MAX_ERRORS * error
        assert abs(RECORDED[name]["std"] - width / math.sqrt(12)) < MAX_ERRORS * error


@pytest.mark.parametrize(
    ("name", "step"), [("brightness", Brightness), ("contrast", Contrast), ("saturation", Saturation)]
)
def test_brightness_contrast_and_saturation_are_uniform(name: str, step: type) -> None:
    assert_uniform(np.array([each.factor for each in steps_of(step, plans(**{name: 0.4}))]), 0.6, 1.4)


def test_the_order_of_the_three_jitters_is_uniform_and_independent_of_their_factors() -> None:
    drawn = plans(brightness=0.4, count=2 * COUNT)
    orders = ["".join(type(step).__name__[0] for step in plan.steps if not isinstance(step, Crop)) for plan in drawn]
    factors = np.array([[step.factor for step in steps_of(kind, drawn)] for kind in (Brightness, Contrast, Saturation)])

    kinds, counts = np.unique(orders, return_counts=True)
    assert ["BCS", "BSC", "CBS", "CSB", "SBC", "SCB"] == kinds.tolist()
    assert chi_square(counts) < MAX_CHI_SQUARE_8
    assert np.all(factors[1:] == 1)
    assert_independent(np.array([order.index("B") for order in orders]), factors[0])


def hls_shifts(name: str) -> Numbers:
    return np.array([getattr(step, name) for step in steps_of(ShiftHLS, plans(random_h=20, random_l=20, random_s=20))])


@pytest.mark.parametrize(
    ("name", "recorded"), [("hue", "random_h_20"), ("lightness", "random_l_20"), ("saturation", "random_s_20")]
)
def test_shifts_are_truncated_sums_of_two_uniform_numbers(name: str, recorded: str) -> None:
    shifts = hls_shifts(name)
    # All values of (u1 + 4 u2) / 5 on a fine grid, truncated as the shifts are.
    unit = (np.arange(1000) + 0.5) / 1000
    expected = np.trunc((unit[:, None] + 4 * unit[None, :]) / 5 * 40 - 20)

    assert (-19, 19) == (shifts.min(), shifts.max())
    assert_moments(shifts, 0, float(expected.std()))
    assert 9.1 < expected.std() < RECORDED[recorded]["std"] + 0.6
    edges = np.array([-19, -14, -10, -6, -2, 3, 7, 11, 15, 20])
    counts = np.histogram(shifts, edges)[0]
    expected_counts = np.histogram(expected, edges)[0] * (COUNT / expected.size)
    assert ((counts - expected_counts) ** 2 / expected_counts).sum() < MAX_CHI_SQUARE_8


def test_hue_lightness_and_saturation_shift_independently() -> None:
    shifts = [hls_shifts(name) for name in ("hue", "lightness", "saturation")]

    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert_independent(shifts[one], shifts[other])


def test_pca_noise_is_normal_along_the_principal_components() -> None:
    noise = np.array(steps_of(PCANoise, plans(pca_noise=0.1)))
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    along = np.linalg.solve(vectors * (55.46, 4.794, 1.148), noise.T)

    for values in along:
        assert_moments(values, 0, 0.1)
        inner = np.histogram(
            values, np.array([-9, -1.2206, -0.7647, -0.4307, -0.1397, 0.1397, 0.4307, 0.7647, 1.2206, 9]) / 10
        )[0]
        assert chi_square(inner) < MAX_CHI_SQUARE_8  # ninths of the normal distribution
    assert_independent(along[0], along[1])
    assert_independent(along[1], along[2])
    for channel, recorded in zip(noise.T, RECORDED["pca_noise_0.1"]["std_rgb"], strict=True):
        assert abs(channel.std() - recorded) < MAX_ERRORS * math.sqrt(2) * recorded / math.sqrt(COUNT)


# Distributions that the options state themselves.


def test_rotation_shear_scale_and_aspect_are_uniform() -> None:
    turned = np.array([step.matrix for step in steps_of(Warp, plans(max_rotate_angle=4))])
    angles = np.rint(np.degrees(np.arctan2(turned[:, 0, 1], turned[:, 0, 0]))).astype(int)
    assert chi_square(np.bincount(angles + 4, minlength=9)) < MAX_CHI_SQUARE_8

    sheared = np.array([step.matrix[0, 1] for step in steps_of(Warp, plans(max_shear_ratio=0.3))])
    assert_uniform(sheared, -0.3 - 1e-6, 0.3)

    scaled = steps_of(Warp, plans(min_random_scale=0.8, max_random_scale=1.5))
    assert_uniform(np.array([step.matrix[0, 0] for step in scaled]), 0.8, 1.5)

    stretched = np.array([step.matrix for step in steps_of(Warp, plans(max_aspect_ratio=0.25))])
    assert_uniform(stretched[:, 1, 1] / stretched[:, 0, 0], 0.75 - 1e-6, 1.25 + 1e-6)


def test_the_angles_of_a_list_are_equally_likely() -> None:
    drawn = steps_of(Warp, plans(rotate_list=tuple(range(0, 90, 10))))
    angles = np.rint(np.degrees([math.atan2(step.matrix[0, 1], step.matrix[0, 0]) for step in drawn]) / 10).astype(int)

    assert chi_square(np.bincount(angles, minlength=9)) < MAX_CHI_SQUARE_8


def test_crop_sizes_are_uniform_and_so_is_the_corner_of_the_square() -> None:
    crops = steps_of(Crop, plans(min_crop_size=20, max_crop_size=28, rand_crop=True))
    sides = np.array([crop.width for crop in crops])

    assert chi_square(np.bincount(sides - 20, minlength=9)) < MAX_CHI_SQUARE_8
    assert_uniform(np.array([(crop.x + 0.5) / (IMAGE.width - crop.width + 1) for crop in crops]), 0, 1)
    assert_independent(sides, np.array([crop.y / (IMAGE.height - crop.height) for crop in crops]))


def test_areas_of_random_resized_crops_are_uniform_and_independent_of_the_aspect() -> None:
    # Small areas of a large image: every first try fits.
    drawn = plans(
        Size(1200, 1200), random_resized_crop=True, min_random_area=0.1, max_random_area=0.4, min_aspect_ratio=0.75,
        max_aspect_ratio=4 / 3,
    )  # fmt: skip
    crops = np.array(steps_of(Crop, drawn)).astype(float)
    _, _, heights, widths = crops.T
    wide = widths > heights

    assert_uniform(heights * widths / 1200**2, 0.1 - 1e-3, 0.4 + 1e-3)
    assert abs(wide.mean() - 0.5) < MAX_ERRORS * 0.5 / math.sqrt(COUNT)  # sides change places in half of the cases
    assert_independent(heights * widths, widths / heights)
    assert {TARGET[1:]} == {(step.height, step.width) for step in steps_of(Resize, drawn)}


def test_the_five_interpolations_are_equally_likely() -> None:
    methods = [step.inter_method for step in steps_of(Resize, plans(resize=40 + 1, inter_method=10))]

    assert chi_square(np.bincount(methods, minlength=5)) < MAX_CHI_SQUARE_8


# No pattern from record to record, epoch to epoch, seed to seed.


def crop_rows(count: int = COUNT, *, seed: int = SEED, epoch: int = 0) -> Numbers:
    drawn = plans(seed=seed, epoch=epoch, rand_crop=True, rand_mirror=True, count=count)
    return np.array([crop.y for crop in steps_of(Crop, drawn)])


def test_records_near_each_other_have_independent_draws() -> None:
    drawn = plans(rand_crop=True, rand_mirror=True, max_random_contrast=0.3)
    crops = steps_of(Crop, drawn)
    for values in (
        np.array([crop.y for crop in crops]),
        np.array([crop.x for crop in crops]),
        np.array([plan.normalization.mirror for plan in drawn]),
        np.array([plan.normalization.contrast for plan in drawn]),
    ):
        for apart in (1, 2, 3, 32, 100):
            assert_independent(values[apart:], values[:-apart])


@pytest.mark.parametrize("other", [{"seed": SEED + 1}, {"epoch": 1}, {"seed": 0, "epoch": SEED}], ids=str)
def test_another_seed_or_epoch_has_independent_draws(other: dict[str, int]) -> None:
    here, there = crop_rows(), crop_rows(**other)

    assert_independent(here, there)
    same = float((here == there).mean())
    assert abs(same - 1 / 9) < MAX_ERRORS * math.sqrt(8 / 81 / COUNT)


def test_the_draws_of_one_option_do_not_depend_on_the_other_options() -> None:
    alone, together = (
        [crop[:2] for crop in steps_of(Crop, plans(count=50, rand_crop=True, **more))]
        for more in ({}, {"rand_mirror": True, "brightness": 0.4, "pca_noise": 0.1, "random_h": 9})
    )

    assert alone == together


# The distributions in batches.

POSITION = np.dstack([*np.meshgrid(np.arange(60), np.arange(40)), np.full((40, 60), 100)]).astype(np.uint8)


@pytest.fixture(scope="module")
def positions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of one image 2000 times; its red is x and its green is y, so that a pixel shows the corner of a crop."""
    content = encoded(POSITION, "PNG")
    payloads = [encode_image_record(IRHeader(0, float(n), n), content) for n in range(2000)]
    return write_rec(tmp_path_factory.mktemp("positions") / "p.rec", payloads)


def epochs(path: Path, count: int = 1, **params: Any) -> list[tuple[Numbers, Numbers]]:
    """Labels, and red and green of the upper corners, of *count* epochs."""
    options = {"data_shape": TARGET, "batch_size": 200, "dtype": "uint8", "engine": "pillow", "verbose": False}
    options |= {"rand_crop": True, "rand_mirror": True}
    with ImageRecordIter(path_imgrec=str(path), **options | params) as iterator:
        taken = [[(batch.label[0], batch.data[0][:, :2, 0, [0, -1]]) for batch in iterator] for _ in range(count)]
    return [tuple(map(np.concatenate, zip(*batches, strict=True))) for batches in taken]


def crops_of(corners: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Row and column of each crop, and True where it is flipped."""
    left, right = corners[:, 0, 0].astype(int), corners[:, 0, 1].astype(int)
    return corners[:, 1, 0].astype(int), np.minimum(left, right), left > right


@pytest.mark.parametrize("engine", ["pillow", "opencv", "reference"])
def test_crops_and_flips_in_a_batch_are_uniform_with_every_engine(positions: Path, engine: str) -> None:
    if engine == "opencv":
        pytest.importorskip("cv2")
    ((_, corners),) = epochs(positions, engine=engine, seed=3)
    rows, columns, flips = crops_of(corners)

    assert chi_square(np.bincount(rows, minlength=9)) < MAX_CHI_SQUARE_8
    assert chi_square(np.bincount(columns, minlength=9)) < MAX_CHI_SQUARE_8
    assert abs(flips.mean() - 0.5) < MAX_ERRORS * 0.5 / math.sqrt(len(flips))
    assert_independent(rows[1:], rows[:-1])


@pytest.mark.parametrize("engine", ["pillow", "opencv", "reference"])
def test_the_brightness_of_images_is_uniform_with_every_engine(positions: Path, engine: str) -> None:
    if engine == "opencv":
        pytest.importorskip("cv2")
    options = {"data_shape": (3, 8, 8), "batch_size": 500, "brightness": 0.4, "engine": engine, "verbose": False}
    with ImageRecordIter(path_imgrec=str(positions), **options) as iterator:
        blue = np.concatenate([batch.data[0][:, 2, 0, 0] for batch in iterator])

    assert_uniform(blue, 59.5, 140.5)


def test_epochs_and_seeds_differ_and_a_run_can_be_repeated(positions: Path) -> None:
    first, second = epochs(positions, 2, seed=3)
    again, _ = epochs(positions, 2, seed=3)
    ((_, other),) = epochs(positions, seed=4)

    assert np.array_equal(first[1], again[1])
    for corners in (second[1], other):
        rows = crops_of(first[1])[0], crops_of(corners)[0]
        assert abs((rows[0] == rows[1]).mean() - 1 / 9) < MAX_ERRORS * math.sqrt(8 / 81 / len(rows[0]))


def test_seed_aug_changes_the_images_and_not_the_order(positions: Path) -> None:
    options: dict[str, Any] = {"shuffle": True, "seed": 3}
    ((labels, corners),) = epochs(positions, **options)
    ((other_labels, other_corners),) = epochs(positions, **options, seed_aug=4)
    ((_, unshuffled),) = epochs(positions, seed=4)

    assert np.array_equal(labels, other_labels)
    assert not np.array_equal(corners, other_corners)
    assert np.array_equal(unshuffled[other_labels.astype(int)], other_corners)  # as seed=4 draws, record by record


def test_with_seed_aug_seed_changes_the_order_and_not_the_images(positions: Path) -> None:
    ((labels, corners),) = epochs(positions, shuffle=True, seed=3, seed_aug=9)
    ((other_labels, other_corners),) = epochs(positions, shuffle=True, seed=4, seed_aug=9)

    assert not np.array_equal(labels, other_labels)
    assert np.array_equal(corners[np.argsort(labels)], other_corners[np.argsort(other_labels)])

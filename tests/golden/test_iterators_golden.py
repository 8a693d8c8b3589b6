"""ImageRecordIter delivers the batches that were recorded from MXNet, except where it differs on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import message_of
from iterator_golden_helpers import ITERATORS, copy_data, epochs_of, ids_of, recorded_arrays, recorded_cases

import im2rec
from im2rec.format.ndarrayfile import decode_single
from im2rec.images.choices import BICUBIC, LANCZOS
from im2rec.iterators.batch import DataBatch
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.pipeline.params import ImageRecordParams

OURS = ("ImageRecordIter", "ImageRecordUInt8Iter", "ImageRecordInt8Iter")
CASES = recorded_cases()

# The _v1 iterators of MXNet compute these differently; ours follow the others.
V1_ARITHMETIC = ["mean_std_scale_v1", "replay_v1_normalise"]
# Of ImageDetRecordIter, which this package does not have.
DETECTION = [
    *(f"det_{name}" for name in ("basic", "degenerate", "fit_up", "gray", "imglist", "mirror", "normalise")),
    *(f"det_{name}" for name in ("pad_width", "round", "shrink")),
    *(f"replay_det_{name}" for name in ("contrast", "crop", "mirror", "pad")),
]
# Tested in test_mnist_golden.py and test_csv_libsvm_golden.py.
TESTED_ELSEWHERE = [name for name, case in CASES.items() if case["iterator"] in ("MNISTIter", "CSVIter", "LibSVMIter")]
# Ours differ on purpose and entirely; each has its own test below.
DIFFERENT = ["imglist_dup", "imglist_too_wide", "mean_img_created_with_scale"]
RUN = [
    name
    for name, case in CASES.items()
    if case["iterator"].removesuffix("_v1") in OURS and name not in (*V1_ARITHMETIC, *DIFFERENT)
]
FIXED = [name for name in RUN if CASES[name]["group"] in ("geometry", "decode", "batch", "label", "normalise")]
V1_RUN = ["imglist_v1_index", "v1_round_false_3epochs", "v1_round_true_3epochs"]

# Limits of the differences with the OpenCV engine, in levels.
RESIZED, WARPED, WARPED_FAR = 1, 4, 6
DECODED = 2
# Cases that resample, which Pillow does not do as MXNet; it does all else exactly.
RESAMPLED = ("resize_", "small_upscale_", "crop_size_", "rotate_", "scale_", "aspect_")


def test_every_recorded_case_is_run_or_listed_as_not_run() -> None:
    assert sorted(CASES) == sorted([*RUN, *DIFFERENT, *V1_ARITHMETIC, *DETECTION, *TESTED_ELSEWHERE])
    assert sorted(CASES) == sorted(case["name"] for case in listed_cases())
    assert V1_RUN == [name for name in RUN if CASES[name]["iterator"].endswith("_v1")]


def listed_cases() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((ITERATORS / "cases.json").read_text(encoding="utf-8"))
    return listed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_data(tmp_path_factory.mktemp("golden"))


@pytest.fixture(autouse=True)
def _data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to the folder with the data of the cases."""
    monkeypatch.chdir(folder)


def iterator_of(name: str, **more: Any) -> ImageRecordIter:
    """Return our iterator for a case; epochs roll over as in MXNet, and the file that it creates is removed before."""
    case = CASES[name]
    if "creates" in case:
        Path(case["creates"]).unlink(missing_ok=True)
    params = {"verbose": False, **case["params"]}
    if "round_batch" not in params:
        params["last_batch"] = "roll_over"
    if case["group"] == "random_replay":
        params["rng"] = "mxnet"
    iterator: ImageRecordIter = getattr(im2rec, case["iterator"].removesuffix("_v1"))(**params | more)
    return iterator


def expected_rows(name: str) -> list[tuple[int, list[int], int]]:
    """Epoch, ordinals of the records and pad of every batch, from passes over the file, which roll over or not."""
    case = CASES[name]
    count, size = len(ids_of(case["params"]["path_imgrec"])), case["params"]["batch_size"]
    rows, start = [], 0
    for epoch in range(case["epochs"]):
        if case["params"].get("round_batch") is False:
            batches = [list(range(first, min(first + size, count))) for first in range(0, count, size)]
            rows += [(epoch, batch, size - len(batch)) for batch in batches]
        while start < (epoch + 1) * count and case["params"].get("round_batch", True):
            batch = [place % count for place in range(start, start + size)]
            start += size
            rows.append((epoch, batch, max(0, start - (epoch + 1) * count)))
    return rows


def assert_as_recorded(name: str, iterator: ImageRecordIter, limit: float) -> None:
    """Compare data within *limit* and all else exactly, but no rows that MXNet left undefined."""
    case, recorded = CASES[name], recorded_arrays(name)
    assert case["provide_data"] == [list(desc.shape) for desc in iterator.provide_data]
    assert case["provide_label"] == [list(desc.shape) for desc in iterator.provide_label]
    assert case["data_dtype"] == np.dtype(iterator.provide_data[0].dtype).name
    taken = epochs_of(iterator, case["epochs"])
    assert recorded["epoch"].tolist() == [epoch for epoch, _ in taken]
    for number, (_, batch) in enumerate(taken):
        rows = defined_rows(name, batch, int(recorded["valid"][number]))
        data, label = batch.data[0][:rows], batch.label[0][:rows]
        expected = recorded["data"][number][:rows].astype(case["data_dtype"])
        assert expected.dtype == data.dtype
        assert expected.shape == data.shape
        assert np.abs(expected.astype(np.float64) - data).max() <= limit
        assert np.float32 == label.dtype
        assert recorded["label"][number][:rows].tolist() == label.tolist()


def defined_rows(name: str, batch: DataBatch, valid: int) -> int:
    """Return the number of rows that hold a record; after them, the _v1 iterators left rows of the batch before."""
    return len(batch.data[0]) - (batch.pad or 0) if name == "v1_round_false_3epochs" else valid


@pytest.mark.parametrize("name", RUN)
def test_batches_of_the_reference_engine_equal_the_recorded_ones(name: str) -> None:
    assert_as_recorded(name, iterator_of(name, engine="reference"), CASES[name]["tolerance"])


@pytest.mark.parametrize("name", FIXED)
def test_batches_of_the_opencv_engine_differ_within_its_limits(name: str) -> None:
    pytest.importorskip("cv2")
    assert_as_recorded(name, iterator_of(name, engine="opencv"), opencv_limit(name))


def opencv_limit(name: str) -> float:
    """The limit in levels times the factor of the normalisation; 0 if nothing is resampled and the payload lossless."""
    case = CASES[name]
    if case["tolerance"] == 255:
        return 255
    values = {"verbose": False, **case["params"]}
    params = ImageRecordParams(**values)
    levels = DECODED if name.startswith("jpeg_") else 0
    if params.warps:
        levels = WARPED_FAR if params.inter_method in (BICUBIC, LANCZOS) else WARPED
    elif name.startswith(RESAMPLED):
        levels = RESIZED
    return levels * params.scale / min(params.std_r, params.std_g, params.std_b, params.std_a)


@pytest.mark.parametrize("name", [name for name in FIXED if not name.startswith(RESAMPLED)])
def test_batches_of_the_pillow_engine_equal_the_recorded_ones_if_nothing_is_resampled(name: str) -> None:
    assert_as_recorded(name, iterator_of(name, engine="pillow"), CASES[name]["tolerance"])


def test_the_mean_image_is_written_as_mxnet_wrote_it() -> None:
    recorded = (ITERATORS / "data" / "art5_mean.bin").read_bytes()
    iterator_of("mean_img_created", engine="pillow").close()

    assert recorded == Path("data/art5_mean.bin").read_bytes()


# Where MXNet is wrong


@pytest.mark.parametrize("name", RUN)
def test_index_holds_the_ids_and_pad_counts_the_filler_rows(name: str) -> None:
    iterator, ids = iterator_of(name, engine="reference"), ids_of(CASES[name]["params"]["path_imgrec"])
    size = iterator.batch_size
    delivered = [
        (epoch, batch.index.tolist(), batch.pad) for epoch, batch in epochs_of(iterator, CASES[name]["epochs"])
    ]

    expected = [(epoch, [ids[ordinal] for ordinal in rows], pad) for epoch, rows, pad in expected_rows(name)]
    assert [(epoch, (index + [0] * size)[:size], pad) for epoch, index, pad in expected] == delivered


@pytest.mark.parametrize("name", V1_RUN)
def test_ids_and_pads_equal_those_of_the_v1_iterators_which_are_right(name: str) -> None:
    recorded = recorded_arrays(name)
    for (_, batch), index, pad in zip(
        epochs_of(iterator_of(name), CASES[name]["epochs"]), recorded["index"], recorded["pad"], strict=True
    ):
        rows = batch.index[: defined_rows(name, batch, len(index))]
        assert index.tolist()[: len(rows)] == rows.tolist()
        assert pad == batch.pad


@pytest.mark.parametrize("name", [name for name in RUN if CASES[name]["params"].get("round_batch") is False])
def test_round_batch_0_ends_with_rows_of_zeros_that_pad_counts(name: str) -> None:
    taken = epochs_of(iterator_of(name), 3)

    assert [0, 0, 2] * 3 == [batch.pad for _, batch in taken]
    for _, batch in taken[2::3]:
        for array in (batch.data[0], batch.label[0], batch.index):
            assert not array[1:].any()
    assert [0.0] * 3 == [float(batch.data[0][0, 2].min()) - 6 for _, batch in taken[2::3]]  # blue: the record


@pytest.mark.parametrize("name", ["round_true_3epochs", "idx_round_true_3epochs", "v1_round_true_3epochs"])
def test_with_last_batch_pad_every_epoch_holds_all_records_and_repeats_its_first_ones(name: str) -> None:
    taken = epochs_of(iterator_of(name, last_batch="pad"), 3)
    ids = ids_of("data/pos7.rec")

    assert [(epoch, pad) for epoch in range(3) for pad in (0, 0, 2)] == [(epoch, batch.pad) for epoch, batch in taken]
    assert (ids + ids[:2]) * 3 == np.concatenate([batch.index for _, batch in taken]).tolist()


def test_the_pad_of_a_batch_does_not_depend_on_batches_before_it() -> None:
    pads = [batch.pad for _, batch in epochs_of(iterator_of("stale_pad_prefetch1"), 4)]

    assert [0, 0, 2, 0, 1, 0, 0, 0, 0, 2] == pads
    assert pads != recorded_arrays("stale_pad_prefetch1")["pad"].tolist()


def test_a_label_width_above_the_labels_of_a_line_is_an_error_not_the_path_as_a_number() -> None:
    assert "data/ids5_w3.lst, line 1: expected a number as label, found 'p3.png' (id 3)" == message_of(
        iterator_of, "imglist_too_wide"
    )


def test_a_list_with_two_labels_for_one_id_is_an_error_where_mxnet_takes_the_last_line() -> None:
    problem = "data/ids5_dup.lst, line 8: gives id 10 another label than line 7 (keep one line for each id)"
    assert problem == message_of(iterator_of, "imglist_dup")


def test_a_mean_image_is_computed_from_images_that_are_not_normalised() -> None:
    iterator_of("mean_img_created_with_scale", engine="pillow").close()
    written = decode_single(Path("data/art5_mean_scaled.bin").read_bytes()).array

    assert (ITERATORS / "data" / "art5_mean.bin").read_bytes() == Path("data/art5_mean_scaled.bin").read_bytes()
    assert (3, 24, 32) == written.shape


def test_the_computed_mean_image_is_subtracted_before_scaling() -> None:
    taken = epochs_of(iterator_of("mean_img_created_with_scale", engine="pillow"))
    mean = decode_single((ITERATORS / "data" / "art5_mean.bin").read_bytes()).array
    factor = np.float32(0.5) / np.array([1, 2, 1], np.float32)[:, None, None]
    (plain,) = [batch for _, batch in epochs_of(iterator_of("identity_png", engine="pillow"))]

    assert np.array_equal((plain.data[0] - mean) * factor, taken[0][1].data[0])


def test_a_cut_jpeg_is_decoded_as_far_as_it_goes_and_listed() -> None:
    with iterator_of("jpeg_truncated_80", engine="pillow") as iterator:
        (batch,) = iterator
        recorded = recorded_arrays("jpeg_truncated_80")["data"][0]
        whole = 14  # rows; below them, MXNet's decoder repeats the last one, where ours decodes more
        assert np.abs(recorded[:, :, :whole].astype(np.float64) - batch.data[0][:, :, :whole]).max() <= DECODED
        assert ["data/jpgtrunc.rec, record 0, id 0, byte 0: the image data ends early"] == [
            str(error) for error in iterator.truncated
        ]


def test_the_alpha_of_a_border_is_0_as_in_mxnet() -> None:
    ((_, batch),) = epochs_of(iterator_of("pad_rgba", engine="pillow"))
    expected = recorded_arrays("pad_rgba")["data"][0]

    assert np.array_equal(expected, batch.data[0])
    assert [33.0] == np.unique(batch.data[0][:, :3, :2]).tolist()
    assert [0.0] == np.unique(batch.data[0][:, 3, :2]).tolist()

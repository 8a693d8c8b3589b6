"""The mean picture of ``mean_img``: read, or computed of all records and written.

Source: mxnet src/io/iter_normalize.h. Differs on purpose: the mean is that of plain pictures of the whole data, not of
already normalised, flipped and cropped ones of one part.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.augment.default import Augmenter
from im2rec.augment.normalize import Plane
from im2rec.augment.params import OFF
from im2rec.errors import InputError
from im2rec.format.ndarrayfile import NamedArray, decode_single, encode_arrays
from im2rec.images.engine import Resampler
from im2rec.iterators.labels import Labels
from im2rec.iterators.loader import Loader, Wanted, new_arrays
from im2rec.iterators.params import RAISE, ImageRecordParams
from im2rec.iterators.pipeline import in_order
from im2rec.iterators.records import Records
from im2rec.storage.paths import AsideFile, read_file, reading, with_path

NAME = "mean_img"
_PIECE = 32  # pictures decoded by one thread at a time
_LOG = logging.getLogger(__name__)


def mean_picture(records: Records, labels: Labels, params: ImageRecordParams, engine: Resampler) -> Plane | None:
    """The mean picture, float32 of data_shape; None where the parameters name none.

    Raises InputError for a file that holds none, or one of another shape; and what reading the records raises.
    """
    if not params.mean_img or params.dtype == "uint8":
        return None
    path = Path(params.mean_img)
    if not path.exists():
        _LOG.info("computing the mean picture of %d records: %s", len(records), path)
        mean = _computed(records, labels, params, engine)
        with AsideFile(path, force=True) as file:  # other processes may make the same one
            file.write(encode_arrays([NamedArray(NAME, mean)]))
        return mean
    try:
        with reading(path):
            mean = np.asarray(decode_single(read_file(path)).array, np.float32)
    except InputError as error:
        raise with_path(error, path) from None
    if mean.shape != params.shape:
        shapes = [",".join(map(str, shape)) for shape in (mean.shape, params.shape)]
        hint = "remove the file to have it made again"
        raise InputError(f"{path}: its mean picture is {shapes[0]}, data_shape is {shapes[1]}", hint=hint)
    return mean


def plain(params: ImageRecordParams) -> ImageRecordParams:
    """*params* with everything taken out that is random, flips or normalises; pictures come as uint8."""
    fixed_scale = params.min_random_scale == params.max_random_scale
    changes: dict[str, Any] = dict.fromkeys(
        ("rand_crop", "random_resized_crop", "rand_mirror", "mirror", "max_rotate_angle", "max_shear_ratio"), False
    )
    changes |= dict.fromkeys(
        ("brightness", "contrast", "saturation", "pca_noise", "random_h", "random_s", "random_l", "max_aspect_ratio"), 0
    )
    changes |= {"rotate_list": (), "min_aspect_ratio": None, "min_crop_size": OFF, "max_crop_size": OFF}
    if not fixed_scale:
        changes |= {"min_random_scale": 1, "max_random_scale": 1}
    if params.inter_method == 10:
        changes["inter_method"] = 1
    return dataclasses.replace(params, **changes, dtype="uint8", layout="NCHW", mean_img="")


def _computed(records: Records, labels: Labels, params: ImageRecordParams, engine: Resampler) -> Plane:
    """Sums in 64 bits, which are exact, so that no number of threads changes them; then as the reference divides."""
    as_is = plain(params)
    augmenter = Augmenter(as_is, params.shape, engine, dtype="uint8", layout="NCHW")
    loader = Loader(records, labels, augmenter, as_is)
    total, count = np.zeros(params.shape, np.int64), 0
    with concurrent.futures.ThreadPoolExecutor(params.preprocess_threads, "im2rec-mean") as pool:
        jobs = _jobs(records)
        summed = in_order(pool, lambda _, piece: _sum(loader, params, piece), jobs, ahead=4 * params.preprocess_threads)
        for _, pieces in summed:
            for picture_sum, pictures in pieces:
                total += picture_sum
                count += pictures
    if not count:
        raise InputError(f"{params.path_imgrec}: holds no picture to make {params.mean_img} of")
    return total.astype(np.float32) * np.float32(1 / count)


def _jobs(records: Records) -> Iterator[tuple[int, list[list[int]]]]:
    for start in range(0, len(records), _PIECE):
        positions = np.arange(start, min(start + _PIECE, len(records)))
        yield start, [records.ordinals(positions).tolist()]


def _sum(loader: Loader, params: ImageRecordParams, ordinals: list[int]) -> tuple[npt.NDArray[np.int64], int]:
    rows = len(ordinals)
    arrays = new_arrays(rows, params.shape, "uint8", loader.label_width)
    flaws = loader.load(arrays, [Wanted(row, ordinal, 0) for row, ordinal in enumerate(ordinals)])
    bad = [flaw for flaw in flaws if not flaw.kept]
    if bad and params.on_error == RAISE:
        raise bad[0].error
    good = np.ones(rows, bool)
    good[[flaw.row for flaw in bad]] = False
    return arrays.data[good].sum(axis=0, dtype=np.int64), int(good.sum())

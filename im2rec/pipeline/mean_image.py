"""The mean image of ``mean_img``: read, or computed of all records and written.

Source: mxnet src/io/iter_normalize.h. Differs on purpose: the mean is that of plain images of the whole data, not of
already normalised, flipped and cropped ones of one part.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from im2rec.augment.augmenter import Augmenter
from im2rec.augment.normalize import Plane
from im2rec.augment.params import OFF
from im2rec.errors import InputError, ParameterError
from im2rec.format.ndarrayfile import NamedArray, decode_single, encode_arrays
from im2rec.images.choices import BILINEAR, RANDOM
from im2rec.images.engine import Resampler
from im2rec.parallel import ordered_map
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout
from im2rec.pipeline.labels import Labels
from im2rec.pipeline.loader import Loader
from im2rec.pipeline.order import BatchRequest
from im2rec.pipeline.params import MXNET, OURS, RAISE, ImageRecordParams
from im2rec.pipeline.records import Records
from im2rec.storage.files import AtomicFile, read_file, reading, refuse_existing

NAME = "mean_img"
_OFF = (
    "rand_crop",
    "random_resized_crop",
    "rand_mirror",
    "mirror",
    "max_rotate_angle",
    "max_shear_ratio",
    "brightness",
    "contrast",
    "saturation",
    "pca_noise",
    "random_h",
    "random_s",
    "random_l",
)
_PIECE = 32  # images decoded by one thread at a time
_LOG = logging.getLogger(__name__)


def load_mean_image(records: Records, labels: Labels, params: ImageRecordParams, engine: Resampler) -> Plane | None:
    """The mean image, float32 of data_shape; None where the parameters name none.

    Raises InputError for a file that holds none, or one of another shape; and what reading the records raises.
    """
    if not params.mean_img or params.dtype == "uint8":
        return None
    path = Path(params.mean_img)
    if not path.exists():
        if params.rng == MXNET:
            problem = f"mean_img={path} must exist with rng={MXNET}: MXNet draws numbers while it makes one"
            raise ParameterError(problem, hint=f"make it with rng={OURS} first")
        refuse_existing([path], force=True)
        _LOG.info("computing the mean image of %d records: %s", len(records), path)
        mean = _computed(records, labels, params, engine)
        with AtomicFile(path, force=True) as file:  # other processes may make the same one
            file.write(encode_arrays([NamedArray(NAME, mean)]))
        return mean
    with reading(path):
        data = read_file(path)
    try:
        mean = np.asarray(decode_single(data).array, np.float32)
    except InputError as error:
        raise InputError(f"{path}: {error.problem}", hint=error.hint) from None
    if mean.shape != params.shape:
        shapes = [",".join(map(str, shape)) for shape in (mean.shape, params.shape)]
        hint = "remove the file to have it made again"
        raise InputError(f"{path}: its mean image is {shapes[0]}, data_shape is {shapes[1]}", hint=hint)
    return mean


def without_randomness(params: ImageRecordParams) -> ImageRecordParams:
    """*params* for uint8, without anything that is random, flips or normalises; what is fixed stays."""
    changes: dict[str, Any] = dict.fromkeys(_OFF, 0)
    if len(set(params.rotate_list)) > 1:
        changes["rotate_list"] = ()
    if params.min_random_scale != params.max_random_scale:
        changes |= {"min_random_scale": 1, "max_random_scale": 1}
    if params.aspect_range[0] != params.aspect_range[1]:
        changes |= {"min_aspect_ratio": None, "max_aspect_ratio": 0}
    if params.min_crop_size != params.max_crop_size:
        changes |= {"min_crop_size": OFF, "max_crop_size": OFF}
    if params.inter_method == RANDOM:
        changes["inter_method"] = BILINEAR
    return dataclasses.replace(params, **changes, dtype="uint8", layout="NCHW", mean_img="")


def _computed(records: Records, labels: Labels, params: ImageRecordParams, engine: Resampler) -> Plane:
    """Sums in 64 bits, which are exact, so that no number of threads changes them; then as the reference divides."""
    as_is = without_randomness(params)
    augmenter = Augmenter(as_is, params.shape, engine, dtype="uint8", layout="NCHW")
    loader = Loader(records, labels, augmenter, as_is)
    total, count = np.zeros(params.shape, np.int64), 0
    with concurrent.futures.ThreadPoolExecutor(params.preprocess_threads, "im2rec-mean") as pool:
        jobs = _jobs(records)
        threads = params.preprocess_threads
        work = functools.partial(_sum, loader, params)
        summed = ordered_map(pool, work, jobs, workers=threads, ahead=4 * threads)
        for _, pieces in summed:
            for image_sum, images in pieces:
                total += image_sum
                count += images
    if not count:
        raise InputError(f"{params.path_imgrec}: holds no image to make {params.mean_img} of")
    return total.astype(np.float32) * np.float32(1 / count)


def _jobs(records: Records) -> Iterator[tuple[int, list[list[int]]]]:
    for start in range(0, len(records), _PIECE):
        positions = np.arange(start, min(start + _PIECE, len(records)))
        yield start, [records.ordinals(positions).tolist()]


def _sum(loader: Loader, params: ImageRecordParams, _: int, ordinals: list[int]) -> tuple[npt.NDArray[np.int64], int]:
    rows = len(ordinals)
    buffer = BatchBuffer.new(BatchLayout((rows, *params.shape), "uint8", loader.label_width))
    bad = [problem for problem in loader.load(buffer, BatchRequest(ordinals, [0] * rows)) if not problem.kept]
    if bad and params.on_error == RAISE:
        raise bad[0].error
    good = np.ones(rows, bool)
    good[[problem.row for problem in bad]] = False
    return buffer.data[good].sum(axis=0, dtype=np.int64), int(good.sum())

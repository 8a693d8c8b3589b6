"""The mean image of ``mean_img``: read from its file, or computed over all records and written to it.

Source: mxnet src/io/iter_normalize.h. Differs on purpose: the mean is that of plain images of the whole data, not of
already normalised, flipped and cropped ones of one part.
"""

from __future__ import annotations

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
from im2rec.parallel import WorkerThreads, forks_wait, ordered_map
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout
from im2rec.pipeline.labels import Labels
from im2rec.pipeline.loader import Loader, with_skip_hint
from im2rec.pipeline.order import BatchRequest
from im2rec.pipeline.params import MXNET, OURS, RAISE, ImageRecordParams
from im2rec.pipeline.records import Records
from im2rec.storage.files import read_file, reading, with_path
from im2rec.storage.output import AtomicFile, refuse_existing

NAME = "mean_img"  # of the array in the file, as MXNet writes it
_TURNED_OFF = (
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
_IMAGES_PER_PIECE = 32  # decoded by one thread in a row
_LOG = logging.getLogger(__name__)


def load_mean_image(records: Records, labels: Labels, params: ImageRecordParams, engine: Resampler) -> Plane | None:
    """Return the mean image, float32 of data_shape; None where *params* name none, or where data is uint8.

    A file that does not exist is computed and written. Raises InputError for a file that does not hold one array, or
    one of another shape, ParameterError for a file that does not exist with ``rng=mxnet``, and what reading the records
    raises.
    """
    if not params.mean_img or params.dtype == "uint8":
        return None
    path = Path(params.mean_img)
    if not path.exists():
        if params.rng == MXNET:
            problem = f"mean_img={path} must exist with rng={MXNET}: MXNet draws numbers while it makes one"
            raise ParameterError(problem, hint=f"make it with rng={OURS} first")
        refuse_existing([path], force=True)  # a folder that is missing is reported now, not after all the work
        _LOG.info("computing the mean image of %d records: %s", len(records), path)
        mean = _compute_mean(records, labels, params, engine)
        with AtomicFile(path, force=True, wait=True) as file:  # another process may make the same one
            file.write(encode_arrays([NamedArray(NAME, mean)]))
        return mean
    with reading(path):
        data = read_file(path)
    try:
        mean = np.asarray(decode_single(data).array, np.float32)
    except InputError as error:
        raise with_path(error, path) from None
    if mean.shape != params.shape:
        shapes = [",".join(map(str, shape)) for shape in (mean.shape, params.shape)]
        hint = "remove the file to have it made again"
        raise InputError(f"its mean image is {shapes[0]}, data_shape is {shapes[1]}", path=path, hint=hint)
    return mean


def without_randomness(params: ImageRecordParams) -> ImageRecordParams:
    """Return *params* for uint8 data without what is random, flips or normalises; fixed steps stay."""
    changes: dict[str, Any] = dict.fromkeys(_TURNED_OFF, 0)
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


def _compute_mean(records: Records, labels: Labels, params: ImageRecordParams, engine: Resampler) -> Plane:
    """Return the mean over all records. Sums are 64-bit integers: exact, so any number of threads gives the same mean.

    The division is that of the reference: float32, by a factor of 1 / count.
    """
    plain = without_randomness(params)
    augmenter = Augmenter(plain, params.shape, engine, dtype="uint8", layout="NCHW")
    loader = Loader(records, labels, augmenter, plain)
    total, count = np.zeros(params.shape, np.int64), 0
    threads = params.preprocess_threads
    with WorkerThreads(threads, "im2rec-mean") as pool:
        work = functools.partial(_sum_images, loader, params)
        summed = ordered_map(pool, work, _jobs(records), ahead=4 * threads)
        for _, pieces in summed:
            for image_sum, images in pieces:
                total += image_sum
                count += images
    if not count:
        raise InputError(f"holds no image to make {params.mean_img} of", path=params.path_imgrec)
    return total.astype(np.float32) * np.float32(1 / count)


def _jobs(records: Records) -> Iterator[tuple[None, list[list[int]]]]:
    """Yield jobs of one piece each: the ordinals of some records in a row."""
    for start in range(0, len(records), _IMAGES_PER_PIECE):
        positions = np.arange(start, min(start + _IMAGES_PER_PIECE, len(records)))
        yield None, [records.ordinals(positions).tolist()]


def _sum_images(
    loader: Loader, params: ImageRecordParams, _: None, ordinals: list[int]
) -> tuple[npt.NDArray[np.int64], int]:
    """Return the sum and number of the images of *ordinals*. Raises BadRecordError unless ``on_error=skip``."""
    rows = len(ordinals)
    buffer = BatchBuffer.new(BatchLayout((rows, *params.shape), "uint8", loader.label_width))
    with forks_wait():
        problems = loader.load(buffer, BatchRequest(ordinals, [0] * rows))
    bad = [problem for problem in problems if not problem.row_is_valid]
    if bad and params.on_error == RAISE:
        raise with_skip_hint(bad[0].error)
    is_good = np.ones(rows, bool)
    is_good[[problem.row for problem in bad]] = False
    return buffer.data[is_good].sum(axis=0, dtype=np.int64), int(is_good.sum())

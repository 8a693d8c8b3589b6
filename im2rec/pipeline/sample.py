"""Sizes of some images of the records, and a warning where ``data_shape`` crops most of them away."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np

from im2rec.augment.geometry import Size, crops_plainly
from im2rec.errors import BadRecordError, ImageError
from im2rec.images.codec import image_info
from im2rec.pipeline.params import ImageRecordParams
from im2rec.pipeline.records import Records

_CROP_SAMPLE = 9  # images; each is read whole
_SMALL_SHARE = 0.25  # of an image's area: below it, a crop hardly shows what the image is of
_RESIZE = 8 / 7  # of the longer edge of data_shape: 256 for 224, as is usual


def sampled_sizes(records: Records, count: int) -> Iterator[Size]:
    """Yield the sizes of up to *count* images, evenly spread over *records*; those that cannot be read are left out."""
    if not len(records):
        return
    positions = np.unique(np.linspace(0, len(records) - 1, count).astype(np.int64))
    for ordinal in records.ordinals(positions).tolist():
        record = records.read(ordinal)
        if isinstance(record, BadRecordError):
            continue
        try:
            _, height, width, _ = image_info(record.content)
        except ImageError:
            continue
        yield Size(width, height)


def crop_warning(records: Records, params: ImageRecordParams) -> str:
    """Return a warning if the crop shows less than a quarter of a typical image, as nothing scales it first; else "".

    Typical is the median of a few images.
    """
    if not crops_plainly(params):
        return ""
    _, height, width = params.shape
    shares = [(_shown_share(size, Size(width, height)), size) for size in sampled_sizes(records, _CROP_SAMPLE)]
    if not shares:
        return ""
    share, size = statistics.median_low(shares)
    if share >= _SMALL_SHARE:
        return ""
    shape, resize = ",".join(map(str, params.shape)), round(max(height, width) * _RESIZE)
    return (
        f"data_shape={shape} crops, and shows {share:.1%} of a typical image of {size.width} x {size.height};"
        f" to scale the shorter edge first, set resize={resize}"
    )


def _shown_share(size: Size, target: Size) -> float:
    """Return the share of an image of *size* that a crop to *target* shows; a smaller image is scaled up first."""
    scale = max(1.0, target.height / size.height, target.width / size.width)
    return target.height * target.width / (size.height * size.width * scale**2)

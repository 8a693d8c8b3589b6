"""ImageRecordIter: batches from ``.rec`` files, decoded in parallel, augmented and prefetched.

Parameters that have no effect, alone or beside others, are named in a warning.
"""

from __future__ import annotations

import dataclasses
import logging
import weakref
import zlib
from collections.abc import Generator
from typing import Any

import numpy as np

from im2rec.augment.augmenter import Augmenter
from im2rec.augment.normalize import Plane
from im2rec.augment.params import NCHW
from im2rec.errors import BadRecordError
from im2rec.images.engine import load_resampler
from im2rec.iterators.base import OrderedIterator
from im2rec.iterators.batch import DataBatch, DataDesc
from im2rec.params import changed
from im2rec.pipeline import state
from im2rec.pipeline.buffers import label_shape
from im2rec.pipeline.labels import load_labels
from im2rec.pipeline.loader import Flaw, Loader
from im2rec.pipeline.mean_image import mean_picture
from im2rec.pipeline.params import KEEP, MXNET, RAISE, ROLL_OVER, ImageRecordParams
from im2rec.pipeline.permutation import mixing
from im2rec.pipeline.prefetch import Feed, Made, close_up
from im2rec.pipeline.records import Records

_COLORS = ("brightness", "contrast", "saturation", "pca_noise", "random_h", "random_s", "random_l")
_SCALES = ("std_r", "std_g", "std_b", "std_a", "scale", "max_random_contrast", "max_random_illumination")
_MEANS = ("mean_r", "mean_g", "mean_b", "mean_a", "mean_img")


def notices(params: ImageRecordParams) -> list[str]:
    """One line for each group of parameters that were given and have no effect."""
    found = [f"{name} has no effect here" for name in changed(params, ("ctx", "device_id"))]
    if params.dtype in ("uint8", "int8"):
        ignored = changed(params, _SCALES if params.dtype == "int8" else (*_MEANS, *_SCALES))
        found += [f"dtype={params.dtype} is not normalised: {', '.join(ignored)} has no effect"] if ignored else []
    if params.shape[0] == 1 and (ignored := changed(params, _COLORS)):
        found.append(f"pictures of one channel have no colours: {', '.join(ignored)} has no effect")
    if params.mean_img and (ignored := changed(params, _MEANS[:-1])):
        found.append(f"mean_img takes the place of {', '.join(ignored)}")
    if not params.shuffle and params.rng != MXNET and (ignored := changed(params, ("shuffle_chunk_size",))):
        found.append(f"{ignored[0]} has no effect without shuffle")
    return found


_LOG = logging.getLogger(__name__)

# What may differ where a state is gone on with: the files' places (their content is compared), and how work is done.
_FREE = (
    "path_imgrec",
    "path_imgidx",
    "path_imglist",
    "mean_img",
    "preprocess_threads",
    "reuse_buffers",
    "backend",
    "verbose",
)


class ImageRecordIter(OrderedIterator[Made]):
    """Batches of the pictures in ``.rec`` files, with the parameters of MXNet's iterator of that name; all by keyword.

    ::

        it = ImageRecordIter(path_imgrec="train.rec", data_shape=(3, 224, 224), batch_size=100, shuffle=True)
        for batch in it:  # one epoch; a for loop again is the next one
            batch.data[0], batch.label[0], batch.index, batch.pad

    ``data[0]`` is float32 (batch_size, channels, height, width), or as ``dtype`` and ``layout`` say, colours in RGB
    order; ``label[0]`` float32 (batch_size,), or (batch_size, label_width); ``index`` the records' ids, uint64. The
    arrays are the caller's to keep, unless ``reuse_buffers``. Values may be text, as in MXNet.

    What a record looks like is a pure function of (seed, epoch, ordinal of the record in the joined files): any number
    of threads, processes or parts gives the same. ``skipped`` and ``truncated`` list, as BadRecordError, the records
    that were left out and those that were cut short, each once.

    Raises ParameterError, InputError, CorruptRecordError when it is made; BadRecordError (path, record, id, byte) in
    the place of a batch that holds a bad record, and goes on behind it.

    Source: mxnet src/io/iter_image_recordio_2.cc; docs/parameters.md lists the parameters, docs/differences.md what is
    better on purpose.
    """

    _dtype: str | None = None

    def __init__(self, *args: object, **params: Any) -> None:
        self._params = self._read(self._given(ImageRecordParams, args, params))
        self.skipped: list[BadRecordError] = []
        self.truncated: list[BadRecordError] = []
        self._seen_bad: set[tuple[str, int | None]] = set()
        self._records = Records(self._params)
        try:
            self._open()
        except BaseException:
            self._records.close()
            raise

    @property
    def params(self) -> ImageRecordParams:
        """The parameters, as they were read."""
        return self._params

    @property
    def engine(self) -> str:
        """The engine that resizes and warps; ``auto`` was settled."""
        return self._engine.name

    @property
    def backend(self) -> str:
        """What decodes, ``threads`` or ``processes``; ``auto`` was settled."""
        return self._feed.backend

    @property
    def records(self) -> Records:
        """The records that are iterated over."""
        return self._records

    @property
    def loader(self) -> Loader:
        """What makes rows of records."""
        return self._loader

    @property
    def augmenter(self) -> Augmenter:
        """What makes pictures of pictures."""
        return self._augmenter

    def _read(self, params: ImageRecordParams) -> ImageRecordParams:
        if self._dtype is not None:
            if params.dtype not in (None, self._dtype):
                _LOG.warning("%s: dtype=%s has no effect", type(self).__name__, params.dtype)
            params = dataclasses.replace(params, dtype=self._dtype)
        for notice in notices(params):
            _LOG.warning(notice)
        return params

    def _open(self) -> None:
        params, records = self._params, self._records
        self._engine = load_resampler(params.engine)
        self._labels = load_labels(records, params)
        mean = mean_picture(records, self._labels, params, self._engine)
        self._augmenter = Augmenter(
            params, params.shape, self._engine, dtype=params.data_dtype, layout=params.layout, mean=mean
        )
        self._loader = Loader(records, self._labels, self._augmenter, params)
        self._feed = Feed(records, self._loader, params, self._row_shape())
        # Nobody may ever call close(): the threads end with the iterator, and do not keep it alive.
        self._ended = weakref.finalize(self, self._feed.shut_down, wait=False)
        self._lent: Made | None = None
        super().__init__(self._feed.order, self._fingerprint_of(mean))
        if params.verbose:
            self._log_opened()

    def _fingerprint_of(self, mean: Plane | None) -> state.Fingerprint:
        params = self._params
        deciding = state.deciding(params, _FREE) | {
            "engine": self.engine,
            "label_width": self._labels.width,
            "dtype": params.data_dtype,
            "shuffle_scope": params.scope,
        }
        sizes = [file.size for file in self._records.files]
        checksums = {"path_imglist": self._labels.digest(), "mean_img": _checksum(mean)}
        return state.Fingerprint("path_imgrec", deciding, len(self._records), sizes, checksums)

    def _log_opened(self) -> None:
        params, records = self._params, self._records
        names = ", ".join(str(file.path) for file in records.files)
        crew = f"{params.preprocess_threads} {self.backend}"
        _LOG.info("%s: %d records, %s, engine %s", names, len(records), crew, self.engine)
        if len(records.left_out):
            _LOG.info("left out, as they hold labels and no picture: %d", len(records.left_out))
        if self._feed.blocks:
            here, full = mixing(self._feed.blocks, params.batch_size)
            _LOG.info("a batch draws from %.0f of %d blocks; a full shuffle from %.0f", here, self._feed.blocks, full)

    @property
    def provide_data(self) -> list[DataDesc]:
        """Name, shape, dtype and layout of ``data``."""
        params = self._params
        shape = (params.batch_size, *self._row_shape())
        return [DataDesc(params.data_name, shape, np.dtype(params.data_dtype).type, params.layout)]

    @property
    def provide_label(self) -> list[DataDesc]:
        """Name, shape and dtype of ``label``."""
        return [DataDesc(self._params.label_name, label_shape(self._params.batch_size, self._labels.width))]

    def _row_shape(self) -> tuple[int, int, int]:
        channels, height, width = self._params.shape
        return (channels, height, width) if self._params.layout == NCHW else (height, width, channels)

    # One batch after the other

    def _batches(self, epoch: int) -> int:
        return self._feed.replayed.batches(epoch) if self._feed.replayed else super()._batches(epoch)

    def _run(self, epoch: int, batch: int) -> Generator[Made, None, None]:
        return self._feed.run(epoch, batch, self._splits)

    def _batch(self, made: Made) -> DataBatch:
        if self._params.reuse_buffers:
            self._feed.take_back(self._lent)
            self._lent = made
        bad = [flaw for flaw in made.flaws if not flaw.kept]
        # Filler was an error in its own place already; rows that rolled over have no other one.
        own = self.batch_size - (made.job.pad if self._order.params.policy != ROLL_OVER else 0)
        if self._params.on_error == RAISE and (told := [flaw for flaw in bad if flaw.row < own]):
            del made  # as in next()
            raise told[0].error
        for flaw in made.flaws:
            self._count(flaw)
        pad = made.job.pad + close_up(made, [flaw.row for flaw in bad], zeros=self._order.params.policy == KEEP)
        data, label, ids = self._feed.taken(made)
        return DataBatch([data], [label], pad, ids)

    def _count(self, flaw: Flaw) -> None:
        where = (str(flaw.error.path), flaw.error.record)
        if where in self._seen_bad:
            return
        self._seen_bad.add(where)
        found = self.truncated if flaw.kept else self.skipped
        found.append(flaw.error)
        if len(found) == 1:
            what = "decoded as far as it goes" if flaw.kept else "skipped"
            _LOG.warning("%s: %s; further ones are only counted", flaw.error, what)

    def _close(self) -> None:
        self._ended.detach()
        self._feed.shut_down(wait=True)
        self._records.close()


class ImageRecordUInt8Iter(ImageRecordIter):
    """ImageRecordIter with data as uint8: cropped and flipped, not normalised."""

    _dtype = "uint8"


class ImageRecordInt8Iter(ImageRecordIter):
    """ImageRecordIter with data as int8: less the rounded mean, clipped to -128..127, not scaled."""

    _dtype = "int8"


def _checksum(mean: Plane | None) -> int:
    return zlib.crc32(mean.tobytes()) if mean is not None else 0

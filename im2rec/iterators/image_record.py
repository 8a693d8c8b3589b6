"""ImageRecordIter: batches from ``.rec`` files, decoded in parallel, augmented and prefetched."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import weakref
import zlib
from collections.abc import Generator
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from im2rec.augment.augmenter import Augmenter
from im2rec.augment.normalize import Plane
from im2rec.augment.params import NCHW
from im2rec.errors import BadRecordError, CorruptRecordError, InputError, ParameterError
from im2rec.images.engine import load_resampler, opencv_problem
from im2rec.iterators.batch import DataBatch, DataDesc
from im2rec.iterators.ordered import OrderedIterator
from im2rec.iterators.signatures import shows_parameters
from im2rec.jpeg import background
from im2rec.params import changed
from im2rec.pipeline import state
from im2rec.pipeline.buffers import BatchBuffer, label_shape
from im2rec.pipeline.labels import labels_from_params
from im2rec.pipeline.loader import Loader, RowProblem, with_skip_hint
from im2rec.pipeline.mean_image import load_mean_image
from im2rec.pipeline.order import Stride
from im2rec.pipeline.params import AUTO, EVEN, KEEP, MXNET, RAISE, ROLL_OVER, SKIP, ImageRecordParams
from im2rec.pipeline.permutation import blocks_per_batch
from im2rec.pipeline.prefetch import FinishedBatch, Prefetcher, drop_bad_rows, replace_bad_rows
from im2rec.pipeline.records import Records
from im2rec.pipeline.sample import crop_warning
from im2rec.storage.damaged_range import MAX_LISTED
from im2rec.storage.files import INSPECT

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from im2rec.iterators.keywords import ImageRecordKeywords

_COLORS = ("brightness", "contrast", "saturation", "pca_noise", "random_h", "random_s", "random_l")
_SCALES = ("std_r", "std_g", "std_b", "std_a", "scale", "max_random_contrast", "max_random_illumination")
_MEANS = ("mean_r", "mean_g", "mean_b", "mean_a", "mean_img")


def ignored_parameters(params: ImageRecordParams) -> list[str]:
    """Return a warning for each group of parameters that were given and have no effect, alone or beside others."""
    warnings = [f"{name} has no effect here" for name in changed(params, ("ctx", "device_id"))]
    if params.dtype in ("uint8", "int8"):
        ignored = changed(params, _SCALES if params.dtype == "int8" else (*_MEANS, *_SCALES))
        warnings += [f"dtype={params.dtype} is not normalised: {', '.join(ignored)} has no effect"] if ignored else []
    if params.shape[0] == 1 and (ignored := changed(params, _COLORS)):
        warnings.append(f"images of one channel have no colours: {', '.join(ignored)} has no effect")
    if params.mean_img and (ignored := changed(params, _MEANS[:-1])):
        warnings.append(f"mean_img takes the place of {', '.join(ignored)}")
    if not params.shuffle and params.rng != MXNET and (ignored := changed(params, ("shuffle_chunk_size",))):
        warnings.append(f"{ignored[0]} has no effect without shuffle")
    return warnings


_LOG = logging.getLogger(__name__)

# May differ when a state is loaded: where the files are (their sizes and checksums are compared), and how work is done.
_MAY_DIFFER = (
    "path_imgrec",
    "path_imgidx",
    "path_imglist",
    "mean_img",
    "preprocess_threads",
    "reuse_buffers",
    "backend",
    "verbose",
    "max_pixels",
)


class ImageRecordIter(OrderedIterator[FinishedBatch]):
    """An iterator over batches of the images in ``.rec`` files, with the parameters of MXNet's ImageRecordIter.

    >>> with im2rec.ImageRecordIter(
    ...     path_imgrec="photos_train.rec", data_shape=(3, 112, 112), batch_size=16, shuffle=True, rand_mirror=True
    ... ) as it:
    ...     for batch in it:  # one epoch; the next loop is the next epoch
    ...         print(batch.data[0].shape, batch.label[0][:3], batch.index[:3], batch.pad)
    (16, 3, 112, 112) [2. 4. 2.] [17 32 15] 0
    (16, 3, 112, 112) [1. 2. 3.] [14 20 28] 0

    ``data[0]`` is an array of shape (batch_size, channels, height, width), float32, with colours in RGB order;
    ``dtype`` and ``layout`` change type and axis order. ``label[0]`` is float32 of shape (batch_size,), or
    (batch_size, label_width) if there are several labels; ``index`` holds the ids of the records, uint64. The arrays
    are the caller's to keep, unless ``reuse_buffers`` is set.

    All parameters are keywords, and every value may also be text, as in MXNet: ``batch_size="100"``.

    The pixels and labels of a record are a pure function of (seed, epoch, ordinal of the record in the joined files),
    so any number of threads, processes or parts gives the same. ``skipped`` and ``truncated`` are lists of
    BadRecordError: the records that were left out (``on_error=skip``), and the JPEGs that end early, each once. Of a
    damaged file ``skipped`` has from the start the records that are lost, by its index, or without one the damaged
    ranges; the first 10,000 of either.

    The constructor raises ParameterError, InputError (also for files without an image) or CorruptRecordError.
    :meth:`next` raises BadRecordError (with path, record, id and offset) in place of a batch with a bad record; the
    next call returns the batch after.

    Source: mxnet src/io/iter_image_recordio_2.cc. ``__init__`` and docs/parameters.md list the parameters,
    docs/differences.md all that differs on purpose.
    """

    _for_data_loader = "; give a DataLoader an im2rec.torch.RecordIterDataset"
    _dtype: str | None = None  # of a subclass whose dtype is fixed; None: the parameter decides

    @shows_parameters(ImageRecordParams)
    def __init__(self, *args: NoReturn, **params: Unpack[ImageRecordKeywords]) -> None:
        self._params = self._complete_params(self._read_params(ImageRecordParams, args, params))
        self.skipped: list[BadRecordError] = []
        self.truncated: list[BadRecordError] = []
        self._lost_count = 0
        self._seen_bad: set[tuple[str, int | None]] = set()
        self._may_warn_of_labels = not self._params.path_imglist  # reading a list warns of its labels
        with contextlib.ExitStack() as stack:
            self._records = Records(self._params)
            stack.callback(self._records.close)
            if not len(self._records):
                raise self._nothing_to_read()
            for unlisted in filter(None, (file.unlisted for file in self._records.files)):
                _LOG.warning(unlisted)
            self._open()
            stack.pop_all()
        if self._params.on_error == SKIP:
            self.skipped += itertools.islice(self._records.lost_errors(), MAX_LISTED)
            # With rng=mxnet the lost records come up in the order too, and are not listed again.
            self._seen_bad.update((str(error.path), error.record) for error in self.skipped if error.record is not None)
            self._lost_count = len(self.skipped)
            if self.skipped:
                _LOG.warning("%s: skipped; further ones are only counted", self.skipped[0])

    def _nothing_to_read(self) -> InputError | CorruptRecordError:
        """Return the error of data without a record to iterate over."""
        damaged = next((file for file in self._records.files if file.damaged_ranges), None)
        if damaged is None:
            return InputError("holds no images", path=self._params.path_imgrec, hint=INSPECT)
        error = CorruptRecordError("holds no whole images", offset=damaged.damage[0].start, hint=INSPECT)
        error.path = damaged.path
        return error

    @property
    def params(self) -> ImageRecordParams:
        """The parameters after conversion: of their declared types, with defaults filled in."""
        return self._params

    @property
    def engine(self) -> str:
        """Name of the engine that resizes and warps; the one that was chosen if the parameter was ``auto``."""
        return self._engine.name

    @property
    def backend(self) -> str:
        """``threads`` or ``processes``, which decode; the choice that was made if the parameter was ``auto``."""
        return self._prefetcher.backend

    @property
    def kernel(self) -> str:
        """The compiled JPEG decoder in use, such as ``numba 0.68.1``, or ``none: `` and why there is none so far."""
        return self._prefetcher.kernel

    @property
    def part_count(self) -> int:
        """Number of records that this part iterates over in an epoch."""
        order = self._prefetcher.mxnet_order
        return order.count if order else super().part_count

    def _complete_params(self, params: ImageRecordParams) -> ImageRecordParams:
        """Return *params* with the dtype of the class, and log those that have no effect."""
        if self._dtype is not None:
            if params.dtype not in (None, self._dtype):
                _LOG.warning("%s: dtype=%s has no effect", type(self).__name__, params.dtype)
            params = dataclasses.replace(params, dtype=self._dtype)
        for warning in ignored_parameters(params):
            _LOG.warning(warning)
        return params

    def _open(self) -> None:
        params, records = self._params, self._records
        if warning := crop_warning(records, params):
            _LOG.warning(warning)
        self._engine = load_resampler(params.engine)
        if params.engine == AUTO and self.engine == "pillow" and (problem := opencv_problem()):
            _LOG.warning(problem)
        self._labels = labels_from_params(records, params)
        mean = load_mean_image(records, self._labels, params, self._engine)
        augmenter = Augmenter(
            params, params.shape, self._engine, dtype=params.data_dtype, layout=params.layout, mean=mean
        )
        self._loader = Loader(records, self._labels, augmenter, params)
        self._prefetcher = Prefetcher(records, self._loader, params, self._row_shape())
        # For programs that never call close(): the threads end when the iterator is freed. They are not waited for, as
        # one of them may be the thread that frees it.
        self._finalizer = weakref.finalize(self, self._prefetcher.shut_down, wait=False)
        self._finalizer.atexit = False  # see end_with_program()
        super().__init__(self._prefetcher.order, self._fingerprint_of(mean))
        if params.verbose:
            self._log_opened()

    def _fingerprint_of(self, mean: Plane | None) -> state.Fingerprint:
        params = self._params
        parameters = state.deciding(params, _MAY_DIFFER) | {
            "engine": self.engine,
            "label_width": self._labels.width,
            "dtype": params.data_dtype,
            "shuffle_scope": params.scope,
        }
        sizes = [file.size for file in self._records.files]
        checksums = {
            "path_imglist": self._labels.digest(),
            "mean_img": zlib.crc32(mean.tobytes()) if mean is not None else 0,
        }
        return state.Fingerprint("path_imgrec", parameters, len(self._records), sizes, checksums)

    def _log_opened(self) -> None:
        params, records = self._params, self._records
        names = ", ".join(str(file.path) for file in records.files)
        workers = f"{params.preprocess_threads} {self.backend}"
        width = self._labels.width
        labels = f" of {width} labels" if width > 1 else ""
        _LOG.info("%s: %d records%s, %s, engine %s", names, len(records), labels, workers, self.engine)
        if records.without_image:
            _LOG.info("left out, as they hold labels and no image: %d", records.without_image)
        if blocks := self._prefetcher.blocks:
            drawn_from, ideal = blocks_per_batch(blocks, params.batch_size)
            _LOG.info("a batch draws from %.0f of %d blocks; a full shuffle from %.0f", drawn_from, blocks, ideal)

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

    def _count_batches(self, epoch: int) -> int:
        order = self._prefetcher.mxnet_order
        return order.batches(epoch) if order else super()._count_batches(epoch)

    def _open_stream(self, epoch: int, batch: int) -> Generator[FinishedBatch, None, None]:
        return self._prefetcher.run(epoch, batch, self._deliveries, self._stride)

    def take_turns(self, turn: int, turns: int) -> None:
        """Deliver only one of every *turns* batches from now on, so that several iterators can share the batches.

        The first is the one *turn* batches after the next one; in later epochs it is batch number *turn*. So *turns*
        iterators, each with a *turn* of its own from 0, deliver each batch once: one batch each, in turn. Their
        ``len()`` is the number of their own batches, and their states count all batches before their next one as
        delivered. Raises ParameterError if *turn* is not below *turns*.
        """
        if not 0 <= turn < turns:
            raise ParameterError(f"turn={turn} must be 0 to {turns - 1} with turns={turns}")
        self._check_open()
        with self._lock:
            self._check_open()
            self._close_stream()
            self._position += turn
            self._stride = Stride(turn, turns)

    def _make_batch(self, item: FinishedBatch) -> DataBatch:
        buffer, pieces = item
        problems = [problem for piece in pieces for problem in piece]
        bad = [problem for problem in problems if not problem.row_is_valid]
        policy = self._order.params.policy
        # Filler repeats rows of batches whose errors were raised already. Rows that rolled over are new.
        first_filler = self.batch_size - (buffer.pad if policy != ROLL_OVER else 0)
        if self._params.on_error == RAISE and (new := [problem for problem in bad if problem.row < first_filler]):
            buffer.release()
            raise with_skip_hint(new[0].error)
        for problem in problems:
            self._report(problem)
        if bad and policy == EVEN and self._params.num_parts > 1:
            replace_bad_rows(buffer, [problem.row for problem in bad])
        elif bad:
            drop_bad_rows(buffer, [problem.row for problem in bad], zeros=policy in (KEEP, EVEN))
        if self._may_warn_of_labels:
            self._check_labels(buffer)
        if self._loader.can_use_kernel:
            background.count_delivered(self.batch_size)  # after some thousand images it compiles the decoder
        data, label, ids = self._prefetcher.buffers.deliver(buffer)
        return DataBatch([data], [label], buffer.pad, ids)

    def _check_labels(self, buffer: BatchBuffer) -> None:
        """Warn of the first record with a label that is not a finite number."""
        rows = buffer.label.reshape(len(buffer.label), -1)
        odd = np.argwhere(~np.isfinite(rows))
        if not len(odd):
            return
        self._may_warn_of_labels = False
        row, column = odd[0]
        problem = f"has the label {rows[row, column]:g}, which is not a finite number"
        found = f"{self._params.path_imgrec}: the record with id {buffer.ids[row]} {problem}"
        _LOG.warning("%s; others are not named ('im2rec inspect' counts them)", found)

    def _report(self, problem: RowProblem) -> None:
        """List a problem, unless it was met in an earlier epoch, and log the first one of each list."""
        record = (str(problem.error.path), problem.error.record)
        if record in self._seen_bad:
            return
        self._seen_bad.add(record)
        listed = self.truncated if problem.row_is_valid else self.skipped
        listed.append(problem.error)
        if len(listed) == 1:
            outcome = "decoded as far as it goes" if problem.row_is_valid else "skipped"
            _LOG.warning("%s: %s; further ones are only counted", problem.error, outcome)

    def _stop(self) -> None:
        self._prefetcher.shut_down(wait=False)

    def _release(self) -> None:
        self._finalizer.detach()
        self._prefetcher.shut_down(wait=True)
        self._records.close()


class ImageRecordUInt8Iter(ImageRecordIter):
    """An :class:`ImageRecordIter` whose data is uint8: augmented, but not normalised.

    >>> given = {"path_imgrec": "photos_train.rec", "data_shape": (3, 112, 112), "batch_size": 8}
    >>> with im2rec.ImageRecordUInt8Iter(**given) as it:
    ...     it.next().data[0].dtype
    dtype('uint8')
    """

    _dtype = "uint8"


class ImageRecordInt8Iter(ImageRecordIter):
    """An :class:`ImageRecordIter` whose data is int8: the rounded mean subtracted, clipped to -128..127, not scaled.

    >>> given = {"path_imgrec": "photos_train.rec", "data_shape": (3, 112, 112), "batch_size": 8}
    >>> with im2rec.ImageRecordInt8Iter(**given, mean_r=124, mean_g=117, mean_b=104) as it:
    ...     it.next().data[0].dtype
    dtype('int8')
    """

    _dtype = "int8"


def loader_of(it: ImageRecordIter) -> Loader:
    """Return the loader of *it*, with its records and augmenter; ``bench`` and ``runs`` time and show its work."""
    return it._loader  # noqa: SLF001 - private to users, not to the package


def lost_count(it: ImageRecordIter) -> int:
    """Return how many errors at the start of ``it.skipped`` are those of lost records or damaged ranges."""
    return it._lost_count  # noqa: SLF001 - as above

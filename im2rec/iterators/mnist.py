"""MNISTIter: batches from the IDX files of MNIST, Fashion-MNIST and the like."""

from __future__ import annotations

import dataclasses
import logging
import zlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from im2rec.augment.mxnet_draws import Mersenne
from im2rec.errors import InputError, ParameterError
from im2rec.format.mnistfile import read_images, read_labels
from im2rec.iterators.batch import DataBatch, DataDesc
from im2rec.iterators.ordered import OrderedIterator
from im2rec.iterators.signatures import shows_parameters
from im2rec.params import check, param
from im2rec.pipeline import state
from im2rec.pipeline.order import BatchRequest, Order
from im2rec.pipeline.params import DISCARD, MXNET, OURS, OrderParams, check_part, policy_of, shared
from im2rec.storage.files import read_parsed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from im2rec.iterators.keywords import MNISTKeywords

DTYPES = ("float32", "float16")
_SCALE = np.float32(1 / 256)
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MNISTParams:
    """All parameters of MNISTIter, in the groups and the order of MXNet's manual."""

    image: str = param("./train-images-idx3-ubyte", doc="The IDX file of images, gzipped or not.")
    label: str = param("./train-labels-idx1-ubyte", doc="The IDX file of labels, gzipped or not.")
    num_parts: int = shared("num_parts")
    part_index: int = shared("part_index")
    data_name: str = shared("data_name")
    label_name: str = shared("label_name")
    batch_size: int = shared("batch_size", default=128)
    round_batch: bool | None = shared("round_batch", unset="not set", reference="ours")
    last_batch: str | None = shared("last_batch", unset=DISCARD, reference="ours; discard is what the reference does")
    equal_batches: bool = shared("equal_batches")
    dtype: str | None = param(
        None, doc="Type of the data.", choices=DTYPES, unset="float32", reference="as the reference, and float16"
    )
    shuffle: bool = param(True, doc="A new order every epoch.", reference="differs: one order for all epochs there")
    flat: bool = param(False, doc="Rows of pixels instead of images.")
    seed: int = param(0, doc="Seed of the order.")
    prefetch_buffer: int = shared("prefetch_buffer", doc="Has no effect here: all is in memory.", reference="no effect")
    ctx: str | None = shared("ctx")
    rng: str = param(
        OURS, doc="mxnet: the one order, and the parts, of an MXNet run.", choices=(OURS, MXNET), reference="ours"
    )
    silent: bool = param(False, doc="Do not log what was opened.", reference="as the reference, by logging")

    def __post_init__(self) -> None:
        check(self)
        check_part(self)
        if self.policy != DISCARD and self.rng == MXNET:
            raise ParameterError(f"last_batch={self.policy} must be {DISCARD} with rng={MXNET}")

    @property
    def policy(self) -> str:
        """Treatment of an incomplete last batch: PAD, ROLL_OVER, KEEP, EVEN or DISCARD, the default, as in MXNet."""
        return policy_of(self.last_batch, self.round_batch, DISCARD)


class MNISTIter(OrderedIterator[BatchRequest]):
    """An iterator over batches of the images in IDX files, with the parameters of MXNet's MNISTIter, all keywords.

    >>> import struct
    >>> from pathlib import Path
    >>> size = Path("images").write_bytes(struct.pack(">4I", 2051, 2, 28, 28) + bytes([0, 128] * 784))
    >>> size = Path("labels").write_bytes(struct.pack(">2I", 2049, 2) + bytes([7, 3]))
    >>> with im2rec.MNISTIter(image="images", label="labels", batch_size=2, shuffle=False) as it:
    ...     for batch in it:
    ...         print(batch.data[0].shape, batch.label[0], batch.index)
    (2, 1, 28, 28) [7. 3.] [0 1]

    ``data[0]`` is float32 of shape (batch_size, 1, height, width), or (batch_size, height * width) with ``flat``: the
    levels divided by 256. ``label[0]`` is float32 of shape (batch_size,); ``index`` holds the numbers of the images in
    their file, from 0, uint64. Files may be gzipped. They are read into memory: MNIST has 55 MB.

    The constructor raises ParameterError, InputError or IdxFormatError: for files of another kind, files that are cut
    short, different numbers of images and labels, and a part of less than one whole batch.

    Source: mxnet src/io/iter_mnist.cc. ``__init__`` and docs/parameters.md list the parameters.
    """

    _source = "image"

    @shows_parameters(MNISTParams)
    def __init__(self, *args: NoReturn, **params: Unpack[MNISTKeywords]) -> None:
        self._params = self._read_params(MNISTParams, args, params)
        self._images = read_parsed(self._params.image, read_images)
        self._labels = read_parsed(self._params.label, read_labels)
        self._check_counts()
        count = len(self._images)
        self._mxnet_order = _mxnet_order(count, self._params) if self._params.rng == MXNET else None
        super().__init__(Order(count, OrderParams.of(self._params)), self._fingerprint_of())
        if not len(self) and self._params.policy == DISCARD:
            problem = f"batch_size={self.batch_size} leaves no whole batch of {count} images"
            if self._params.num_parts > 1:
                problem += f" in part {self._params.part_index} of {self._params.num_parts}"
            raise ParameterError(problem, hint="lower it, or set last_batch=pad")
        if not self._params.silent:
            shape, shuffle = list(self.provide_data[0].shape), int(self._params.shuffle)
            _LOG.info("%s: %d images, shuffle=%d, shape=%s", self._params.image, count, shuffle, shape)

    @property
    def params(self) -> MNISTParams:
        """The parameters after conversion: of their declared types, with defaults filled in."""
        return self._params

    def _check_counts(self) -> None:
        images, labels = len(self._images), len(self._labels)
        if images != labels:
            problem = f"holds {labels} labels, and {self._params.image} {images} images"
            raise InputError(problem, path=self._params.label, hint="name two files of one set")
        if not images:
            raise InputError("holds no images", path=self._params.image, hint="name another file")

    def _fingerprint_of(self) -> state.Fingerprint:
        checksums = {"image": zlib.crc32(self._images.data), "label": zlib.crc32(self._labels.data)}
        parameters = state.deciding(self._params, ("image", "label", "silent")) | {"dtype": self._dtype.name}
        return state.Fingerprint("image", parameters, len(self._images), [self._images.nbytes], checksums)

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(self._params.dtype or "float32")

    @property
    def provide_data(self) -> list[DataDesc]:
        """Name, shape, dtype and layout of ``data``."""
        _, height, width = self._images.shape
        row = (height * width,) if self._params.flat else (1, height, width)
        layout = "NC" if self._params.flat else "NCHW"
        return [DataDesc(self._params.data_name, (self.batch_size, *row), self._dtype.type, layout)]

    @property
    def provide_label(self) -> list[DataDesc]:
        """Name, shape and dtype of ``label``."""
        return [DataDesc(self._params.label_name, (self.batch_size,))]

    def _count_batches(self, epoch: int) -> int:
        if self._mxnet_order is not None:
            return len(self._mxnet_order) // self.batch_size
        return super()._count_batches(epoch)

    def _open_stream(self, epoch: int, batch: int) -> Generator[BatchRequest, None, None]:
        if self._mxnet_order is not None:
            return _repeat(self._mxnet_order, self.batch_size, batch)
        return self._order.requests(epoch, batch, self._deliveries)

    def _make_batch(self, item: BatchRequest) -> DataBatch:
        records, filled = item.records, len(item.records)
        (data_desc,), (label_desc,) = self.provide_data, self.provide_label
        data, label = np.zeros(data_desc.shape, data_desc.dtype), np.zeros(label_desc.shape, np.float32)
        index = np.zeros(self.batch_size, np.uint64)
        data[:filled] = (self._images[records] * _SCALE).reshape(data[:filled].shape)
        label[:filled] = self._labels[records]
        index[:filled] = records
        return DataBatch([data], [label], item.pad, index)

    def _release(self) -> None:
        self._images, self._labels = self._images[:0], self._labels[:0]


def _mxnet_order(count: int, params: MNISTParams) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the images of the part in the one order that MXNet uses for all epochs, shuffled by std::shuffle.

    Source: mxnet src/io/iter_mnist.cc, ``GetPart`` and ``Shuffle``.
    """
    share = count / params.num_parts
    part = list(range(int(share * params.part_index), int(share * (params.part_index + 1))))
    if params.shuffle:
        Mersenne(params.seed).shuffle(part)
    return np.array(part, np.int64)


def _repeat(order: np.ndarray[Any, Any], size: int, batch: int) -> Generator[BatchRequest, None, None]:
    """Yield the batches of *order* from number *batch* on, then all of them again and again."""
    while True:
        for start in range(batch * size, len(order) - size + 1, size):  # an incomplete last batch is discarded
            yield BatchRequest(order[start : start + size].tolist(), [0] * size)
        batch = 0

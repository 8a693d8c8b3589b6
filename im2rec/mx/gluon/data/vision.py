"""Datasets of images, by the names of ``mxnet.gluon.data.vision``.

Source: mxnet python/mxnet/gluon/data/vision/datasets.py.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from im2rec.errors import ImageError
from im2rec.mx import image
from im2rec.mx.gluon.data.dataset import RecordFileDataset
from im2rec.mx.labels import LabelVector
from im2rec.mx.missing import missing
from im2rec.pipeline.loader import bad_image_error
from im2rec.storage.files import PathLike

__path__: list[str] = []  # so that `from mxnet.gluon.data.vision import x` asks the finders, which say what is there
datasets = sys.modules[__name__]  # MXNet's module of this name within its package
__all__ = ["ImageRecordDataset"]


class ImageRecordDataset(RecordFileDataset):
    """A dataset over the images of the ``.rec`` *filename*: pairs of an NDArray and a label.

    ::

        dataset = ImageRecordDataset("train.rec").transform_first(lambda pixels: pixels.astype("float32") / 255)

    The image is uint8 (height, width, channels), RGB with *flag* 1, grey with 0. The label is a float, or an array of
    float32 of a record that has several. *transform* is called with both, and what it returns is the item.

    As :class:`~im2rec.mx.gluon.data.dataset.RecordFileDataset`, and ``[]`` raises BadRecordError, with path, record and
    id, for a record without an image that can be decoded, as the first and the last ones of face sets are.
    """

    def __init__(self, filename: PathLike, flag: int = 1, transform: Callable[[Any, Any], Any] | None = None) -> None:
        super().__init__(filename)
        self._flag = flag
        self._transform = transform

    def __getitem__(self, idx: Any) -> Any:
        header, content = self._file[operator.index(idx)]
        try:
            pixels = image.imdecode(content, self._flag)
        except ImageError as error:
            bad = bad_image_error(error)
            bad.path, bad.record, bad.id = self.filename, range(len(self))[idx], header.id
            raise bad from None
        label = header.label.view(LabelVector) if header.flag else header.label
        return (pixels, label) if self._transform is None else self._transform(pixels, label)


def __getattr__(name: str) -> NoReturn:
    reason = ""
    if name == "transforms":
        reason = "torchvision.transforms has the same ones"
    elif name == "ImageFolderDataset":
        reason = "torchvision.datasets.ImageFolder does it"
    elif name in ("MNIST", "FashionMNIST", "CIFAR10", "CIFAR100"):
        reason = "'im2rec import' makes a .rec of it, mx.io.MNISTIter reads its files"
    raise missing("mx.gluon.data.vision", name, __all__, reason)

"""A ``.rec`` file as a map-style dataset of PyTorch, with the face of ``torchvision.datasets.ImageFolder``."""

from __future__ import annotations

import contextlib
import functools
import logging
import operator
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from im2rec.errors import BadRecordError, ImageError, InputError, ParameterError
from im2rec.format.irheader import ImageRecord
from im2rec.images.codec import COLOR, Image
from im2rec.pipeline.loader import bad_image_error, truncation_error
from im2rec.pipeline.params import IMAGES, NO_INDEX, ImageRecordParams
from im2rec.pipeline.records import Records, short_records
from im2rec.storage.classes import find_classes, read_classes
from im2rec.storage.files import INSPECT, Closeable, PathLike
from im2rec.storage.reader import RecordFile
from im2rec.torch.forms import FORMS, check_options, own_pixels
from im2rec.torch.labels import AUTO, StoredLabels, Target, depends_on_labels, target_of, targets_of, whole

_LOG = logging.getLogger(__name__)
_MAX_CLASSES = 1 << 24  # float32 does not tell larger whole numbers from their neighbours


class _Files(Records):
    """The records of a dataset; messages name its parameters.

    With *labels_first* the records without an image are found by the labels of all records, which the cache has, and
    not by the headers of short records: the same ones, sooner where a set has many.
    """

    _parameters = ("path", "index")

    def __init__(self, params: ImageRecordParams, *, labels_first: bool) -> None:
        self._labels_first = labels_first
        super().__init__(params)

    def _without_image(self, file: RecordFile) -> Iterable[int]:
        if not self._labels_first:
            return super()._without_image(file)
        empty = file.labels.without_content
        numbers: list[int] = short_records(file, empty[file.labels.flags[empty] > 0]).tolist()
        return numbers

    def _open(self, path: Path, index: PathLike | bool | None) -> RecordFile:
        return RecordFile(path, index=index)


class RecordDataset(Dataset[Any], Closeable):
    """The images of a ``.rec`` file with their labels: ``(image, label)`` by position, as ``ImageFolder`` gives them.

    >>> from im2rec.torch import RecordDataset
    >>> from torch.utils.data import DataLoader
    >>> ds = RecordDataset("photos_train.rec", lambda image: image[:, :112, :112] / 255)
    >>> image, label = ds[5]
    >>> len(ds), image.shape, label, ds.classes[label]
    (32, torch.Size([3, 112, 112]), 2, 'dunes')
    >>> for images, labels in DataLoader(ds, batch_size=16, shuffle=True):
    ...     print(images.shape, labels.shape)
    torch.Size([16, 3, 112, 112]) torch.Size([16])
    torch.Size([16, 3, 112, 112]) torch.Size([16])

    *path* is a ``.rec``, several joined by ``;``, a folder of them, or a pattern. *index* is the index; by default the
    one beside the file, False scans. *records* ``images`` leaves out the header and identity records of face sets, as
    ImageRecordIter does; ``all`` keeps every record. *transform* is called with the image, *target_transform* with the
    label.

    *decode* says what an image is: ``tensor``, uint8 (channels, height, width), whose memory is in the order (height,
    width, channels), as that of torchvision's own decoders; ``array``, uint8 (height, width, channels); ``pil``, an
    image of Pillow; None, the bytes. *color* is 1 for RGB, 0 for one channel of grey, both turned upright by their EXIF
    orientation, which ImageFolder does not do; -1 for the channels that are stored, not turned. Of 16 bits the high
    byte is taken. A JPEG whose data ends early is decoded as far as it goes, and the first one logged as a warning.

    *label* ``auto`` decides once for all images. Numbers are ints if all of them are whole, else floats. In an
    InsightFace set, known by its header record, the label is the int of the first number. Other vectors, of which some
    image has one, are float32 tensors (k,). ``first`` is the first number, ``vector`` all of them, ``id`` the id of the
    image; a function is called with the :class:`~im2rec.format.irheader.IRHeader`.

    *classes* are the names of the labels from 0 on, or the path of a ``.classes.txt``; by default the one beside the
    file, else the numbers.

    Workers of a DataLoader may be forked or spawned: a pickled dataset opens its files again. A record that is damaged
    or gives no image raises BadRecordError with path, record, id and byte. Opening raises what
    :class:`~im2rec.storage.reader.RecordFile` raises, CorruptRecordError for a damaged head where labels are read,
    InputError where there are no images, and ParameterError.
    """

    def __init__(
        self,
        path: PathLike,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        *,
        index: PathLike | bool | None = None,
        records: str = IMAGES,
        label: str | Target = AUTO,
        decode: str | None = "tensor",
        color: int = COLOR,
        classes: PathLike | Sequence[str] | None = None,
    ) -> None:
        check_options(decode, color)
        self.root = os.fspath(path)
        self.transform, self.target_transform = transform, target_transform
        self.decode, self.color = decode, color
        self._given_classes = None if classes is None else _names(classes)
        self._records = _Files(_params(self.root, index, records), labels_first=depends_on_labels(label))
        self._has_warned = False
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            if not len(self._records):
                raise InputError("holds no images", path=self.root, hint=INSPECT)
            self._target = target_of(label, self._records)
            stack.pop_all()  # no error: the files stay open

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: SupportsIndex) -> tuple[Any, Any]:
        (ordinal,) = self._records.ordinals(np.array([self._position(index)])).tolist()
        return self._item(ordinal, self._records.read(ordinal))

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[tuple[Any, Any]]:
        """Return the items at *indices*: the way in which a DataLoader asks for a batch."""
        if type(self).__getitem__ is not RecordDataset.__getitem__:  # a subclass: its own items
            return [self[index] for index in indices]
        positions = np.array([self._position(index) for index in indices], np.int64)
        ordinals = self._records.ordinals(positions).tolist()
        return list(map(self._item, ordinals, self._records.read_many(ordinals)))

    def _position(self, index: SupportsIndex) -> int:
        """Return *index* as a position from 0; negative ones count from the end. Raises IndexError, TypeError."""
        try:
            position = operator.index(index)
        except TypeError:
            problem = f"an index is a whole number, not {type(index).__name__}; torch.utils.data.Subset takes several"
            raise TypeError(problem) from None
        count = len(self._records)
        if not -count <= position < count:
            raise IndexError(f"image {position} is not in {self.root}, which has {count}")
        return position % count

    def _item(self, ordinal: int, record: ImageRecord | BadRecordError) -> tuple[Any, Any]:
        if isinstance(record, BadRecordError):
            raise record
        header, content = record
        form = FORMS[self.decode]
        image = content if form is None else form(self._pixels(ordinal, record))
        label = self._target(header)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def _pixels(self, ordinal: int, record: ImageRecord) -> Image:
        """Return the pixels of *record*, uint8 (height, width, channels), as an array of their own that is writable."""
        try:
            pixels, is_cut = own_pixels(record.content, self.color)
        except ImageError as error:
            raise self._records.locate(ordinal).fill_in(bad_image_error(error), record.header.id) from None
        if is_cut and not self._has_warned:
            self._has_warned = True
            cut = self._records.locate(ordinal).fill_in(truncation_error(), record.header.id)
            _LOG.warning("%s: decoded as far as it goes; further ones are not named", cut)
        return pixels

    # All labels, from the headers: no image is decoded, and no content read.

    @functools.cached_property
    def targets(self) -> Any:
        """The label of each image, before *target_transform*, as one array, which is made when it is first asked for.

        int64 (n,) or float32 (n,) of numbers, float32 (n, k) of vectors, uint64 (n,) of ids; a list of n arrays for
        vectors of different lengths. An array, not the list of ImageFolder: it takes 8 bytes an image, and
        ``np.bincount(ds.targets)``, ``weights[ds.targets]`` and ``Counter(ds.targets)`` take both. A *label* that is a
        function has none: AttributeError.
        """
        return targets_of(self._target, self._records)

    @property
    def labels(self) -> Any:
        """The labels as they are stored: a new float32 array (n,), (n, k) of vectors, or a list of n arrays."""
        return StoredLabels(self._records).stored()

    @property
    def ids(self) -> npt.NDArray[np.uint64]:
        """The id of each image: a new uint64 array (n,)."""
        return StoredLabels(self._records).ids

    @functools.cached_property
    def classes(self) -> list[str]:
        """The name of each class, by its label: those given or found, else the numbers from 0 to the largest label.

        Raises ParameterError where labels are not whole numbers and no names are known, InputError for fewer names than
        classes.
        """
        names, path = self._names_found
        if names is not None and self._target is not whole:
            return names  # of the numbers of a vector, for example
        count = self._largest_label + 1
        if names is None:
            if count > _MAX_CLASSES:
                raise ParameterError(f"labels up to {count - 1} are no numbers of classes", hint="give classes")
            return list(map(str, range(count)))
        if len(names) < count:
            problem = f"names {len(names)} classes, but labels go up to {count - 1}"
            raise InputError(problem, path=path, hint="give the names of all labels from 0 on as classes")
        return names

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each class, by its name."""
        return {name: label for label, name in enumerate(self.classes)}

    @property
    def num_classes(self) -> int:
        """Number of classes: that of the names, and without any the largest label plus 1, also where some are missing.

        Raises what :attr:`classes` raises.

        Source: insightface common/rec_builder.py, which counts so in its property file.
        """
        names, _ = self._names_found
        return self._largest_label + 1 if names is None else len(self.classes)

    @property
    def _largest_label(self) -> int:
        if self._target is not whole:
            problem = "labels that are not whole numbers have no classes"
            raise ParameterError(problem, hint="with label='first' the first of several numbers is the class")
        return int(self.targets.max())

    @functools.cached_property
    def _names_found(self) -> tuple[list[str] | None, Path | None]:
        """The names of the classes and the file that has them; None where there is none."""
        if self._given_classes is not None:
            return self._given_classes
        found = [path for file in self._records.files if (path := find_classes(file.path)) is not None]
        if not found:
            return None, None
        names = read_classes(found[0])
        for other in found[1:]:
            if read_classes(other) != names:
                raise InputError(f"names other classes than {found[0]}", path=other, hint="give classes")
        return names, found[0]

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without what is computed of all labels; a copy computes it when it is asked for."""
        computed = {"targets", "classes", "_names_found"}
        return {name: value for name, value in self.__dict__.items() if name not in computed}

    def close(self) -> None:
        """Close the files. Closing twice is allowed."""
        self._records.close()

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"Number of datapoints: {len(self)}", f"Root location: {self.root}"]
        transforms = (("Transform", self.transform), ("Target transform", self.target_transform))
        lines += [f"{name}: {value!r}" for name, value in transforms if value is not None]
        return "\n    ".join(lines)


def _params(path: str, index: PathLike | bool | None, records: str) -> ImageRecordParams:
    """Return the parameters of an iterator that reads the same records; its shapes have no effect."""
    if index is True:
        raise ParameterError("index=True must be the path of an index, None to find it, or False to scan")
    index_words = NO_INDEX if index is False else "" if index is None else os.fspath(index)
    return ImageRecordParams(
        path_imgrec=path, path_imgidx=index_words, records=records, data_shape=(3, 1, 1), batch_size=1
    )


def _names(classes: PathLike | Sequence[str]) -> tuple[list[str], Path | None]:
    """Return the names of the classes, and the file that has them, if it is one. Raises InputError, ParameterError."""
    if isinstance(classes, (str, os.PathLike)):
        return read_classes(classes), Path(classes)
    names = list(classes)
    for name in names:
        if not isinstance(name, str):
            raise ParameterError(f"classes={name!r}: a name must be a text")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ParameterError(f"classes: {twice!r} is there twice", hint="each label has a name of its own")
    return names, None

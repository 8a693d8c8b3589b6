"""The base class of datasets, datasets over sequences in memory, and over the records of a ``.rec`` file.

Source: mxnet python/mxnet/gluon/data/dataset.py; measured on MXNet 1.9.1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from im2rec.errors import ParameterError
from im2rec.mx.arrays import NDArray
from im2rec.mx.missing import missing
from im2rec.storage.files import PathLike
from im2rec.storage.reader import RecordFile

__path__: list[str] = []  # so that `from mxnet.gluon.data.dataset import x` asks the finders, which say what is there
__all__ = ["ArrayDataset", "Dataset", "RecordFileDataset", "SimpleDataset"]


class Dataset:
    """Base class of datasets, for programs to derive theirs from: such a class defines ``[]`` and ``len()``.

    A dataset is a sequence, so torch's DataLoader takes it. What its methods return are datasets too; they read
    items when these are asked for.
    """

    def __getitem__(self, idx: Any) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def transform(self, fn: Callable[..., Any], lazy: bool = True) -> Dataset:
        """Return the dataset of ``fn(item)``, or of ``fn(*item)`` where an item is a tuple.

        Without *lazy* all items are computed now and kept.
        """
        transformed = _Transformed(self, fn)
        return transformed if lazy else SimpleDataset(list(transformed))  # type: ignore[call-overload]

    def transform_first(self, fn: Callable[[Any], Any], lazy: bool = True) -> Dataset:
        """Return the dataset of items with ``fn`` of their first part in its place, as of the image beside a label."""
        return self.transform(_OfFirst(fn), lazy)

    def filter(self, fn: Callable[[Any], bool]) -> Dataset:
        """Return the dataset of the items for which *fn* is true; all items are read now."""
        return _Chosen(self, [number for number in range(len(self)) if fn(self[number])])

    def shard(self, num_shards: int, index: int) -> Dataset:
        """Return part *index*, from 0, of *num_shards* parts in a row, the first of which may have one item more.

        Raises ParameterError for an *index* that is not below *num_shards*.
        """
        if not 0 <= index < num_shards:
            raise ParameterError(f"index={index} must be 0 to {num_shards - 1}, below num_shards={num_shards}")
        share, rest = divmod(len(self), num_shards)
        start = share * index + min(index, rest)
        return _Chosen(self, range(start, start + share + (index < rest)))

    def take(self, count: int | None) -> Dataset:
        """Return the dataset of the first *count* items; of all, if it is None or larger than their number."""
        return _Chosen(self, range(len(self) if count is None else min(count, len(self))))

    def sample(self, sampler: Iterable[int]) -> Dataset:
        """Return the dataset of the items whose numbers *sampler* gives, in its order."""
        return _Chosen(self, list(sampler))


class SimpleDataset(Dataset):
    """A dataset over *data*, anything with ``[]`` and ``len()``."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __getitem__(self, idx: Any) -> Any:
        return self._data[idx]

    def __len__(self) -> int:
        return len(self._data)


class ArrayDataset(Dataset):
    """A dataset over several sequences: item i is the tuple of their items i, or with a single one its item i.

    The numbers of an NDArray with one axis are given as scalars of NumPy. Raises ParameterError for sequences of
    different lengths, and for none.
    """

    def __init__(self, *args: Any) -> None:
        if not args:
            raise ParameterError("ArrayDataset() needs a sequence or more")
        if len(lengths := {len(data) for data in args}) > 1:
            raise ParameterError(f"the sequences have different lengths: {', '.join(str(len(data)) for data in args)}")
        (self._length,) = lengths
        self._data = [data.asnumpy() if isinstance(data, NDArray) and data.ndim == 1 else data for data in args]

    def __getitem__(self, idx: Any) -> Any:
        items = tuple(data[idx] for data in self._data)
        return items if len(items) > 1 else items[0]

    def __len__(self) -> int:
        return self._length


class RecordFileDataset(Dataset):
    """A dataset over the records of the ``.rec`` *filename*, as bytes, in the order of the file.

    The index beside it is used if there is one, and then the records that it lists; else the file is scanned. Threads
    may share it, so may forked processes, and a pickled copy opens the file again. Raises InputError for a file that
    cannot be read, and from ``[]`` CorruptRecordError for a damaged record.
    """

    def __init__(self, filename: PathLike) -> None:
        self.filename = os.fspath(filename)
        self._file = RecordFile(filename)
        self.idx_file = None if self._file.index_path is None else os.fspath(self._file.index_path)

    def __getitem__(self, idx: Any) -> Any:
        return self._file.payload(idx)

    def __len__(self) -> int:
        return self._file.total

    def close(self) -> None:
        """Close the file. Calling it twice is allowed."""
        self._file.close()


class _Transformed(Dataset):
    """The dataset of ``fn(item)``."""

    def __init__(self, data: Dataset, fn: Callable[..., Any]) -> None:
        self._data, self._fn = data, fn

    def __getitem__(self, idx: Any) -> Any:
        item = self._data[idx]
        return self._fn(*item) if isinstance(item, tuple) else self._fn(item)

    def __len__(self) -> int:
        return len(self._data)


class _OfFirst:
    """Calls a function with the first of its arguments, and returns the others as they are; pickled with it."""

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        self._fn = fn

    def __call__(self, first: Any, *others: Any) -> Any:
        return (self._fn(first), *others) if others else self._fn(first)


class _Chosen(Dataset):
    """The items of *data* with the given numbers."""

    def __init__(self, data: Dataset, numbers: Sequence[int]) -> None:
        self._data, self._numbers = data, numbers

    def __getitem__(self, idx: Any) -> Any:
        return self._data[self._numbers[idx]]

    def __len__(self) -> int:
        return len(self._numbers)


def __getattr__(name: str) -> NoReturn:
    raise missing("mx.gluon.data.dataset", name, __all__)

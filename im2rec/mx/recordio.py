"""Read and write RecordIO files by the classes and functions of ``mxnet.recordio``.

::

    record = recordio.MXIndexedRecordIO("train.idx", "train.rec", "r")
    header, content = recordio.unpack(record.read_idx(record.keys[0]))

Source: mxnet 1.9.1, python/mxnet/recordio.py; docs/mxnet.md lists the differences.
"""

from __future__ import annotations

import functools
import numbers
import operator
import os
import struct
import weakref
from collections.abc import Callable
from multiprocessing import util
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from im2rec.errors import InputError, ParameterError
from im2rec.format.irheader import IRHeader, decode_image_record, encode_image_record
from im2rec.mx.bgr import decode_bgr, encode_bgr
from im2rec.mx.keys import KeyedRecords, Place
from im2rec.mx.labels import LabelVector
from im2rec.mx.missing import missing
from im2rec.mx.output import RecordOutput
from im2rec.mx.sequential import SequentialReader
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.foreign import check_kind
from im2rec.storage.opening import open_rec

__path__: list[str] = []  # so that `from mxnet.recordio import x` asks the finders, which say what is there
__all__ = ["IRHeader", "MXIndexedRecordIO", "MXRecordIO", "pack", "pack_img", "struct", "unpack", "unpack_img"]

_IR_FORMAT = "IfQQ"
_IR_SIZE = struct.calcsize(_IR_FORMAT)
# The last writer of each file, by process too: a forked child has no share in the files of its parent.
_WRITERS: weakref.WeakValueDictionary[tuple[int, str], MXRecordIO] = weakref.WeakValueDictionary()
_RUNTIME = ("_file", "_reader", "_output", "_records", "fidx", "keys", "idx")  # what a pickled copy opens for itself


class MXRecordIO:
    """Reads the records of *uri* one after the other (*flag* ``r``), or writes them (``w``).

    ::

        record = MXRecordIO("train.rec", "r")
        while (payload := record.read()) is not None:
            header, content = unpack(payload)

    A reader may be used by threads, which get each record once, and by forked processes, each of which continues on its
    own. A pickled reader stays open, and the copy opens the file itself and begins at its start.

    The files of a writer have their names when it is closed: by :meth:`close`, when it is dropped, and at the end of
    the program. A process that is killed leaves the files that were there before. A writer cannot be pickled.
    Another writer of the same file in this process closes it first.

    Raises InputError for a file that is missing or no RecordIO file, OutputError, and ParameterError, which is a
    ValueError, for another *flag*.
    """

    def __init__(self, uri: PathLike, flag: str) -> None:
        self.uri = os.fspath(uri)
        self.flag = flag
        self.is_open = False
        self.open()

    def open(self) -> None:
        """Open the file, a reader at its start. Raises the same errors as the class."""
        if self.flag not in ("r", "w"):
            raise ParameterError(f"flag={self.flag!r} must be 'r' or 'w'")
        self.writable = self.flag == "w"
        if self.writable:
            self._output = self._new_output()
            weakref.finalize(self, _close, weakref.ref(self))  # behind those of the output, and so called before them
            # Forked workers of multiprocessing end without the exit functions of Python.
            util.Finalize(self, _close, args=(weakref.ref(self),), exitpriority=0)
        else:
            self._file = _opened(self.uri)
            self._reader = SequentialReader(self._file)
        self.is_open = True

    def _new_output(self) -> RecordOutput:
        """Return new files, after closing the writers of this process that have the same ones open, as MXNet allows."""
        index = self._index_path()
        paths = [os.path.abspath(path) for path in (self.uri, index) if path is not None]  # noqa: PTH100 - as text
        names = [(os.getpid(), os.path.normcase(path)) for path in paths]
        for name in names:
            earlier = _WRITERS.get(name)
            if earlier is not None:
                _close_unless_failed(earlier)
        output = RecordOutput(self.uri, index)
        _WRITERS.update((name, self) for name in names)
        return output

    def _index_path(self) -> PathLike | None:
        return None

    def close(self) -> None:
        """Close the file; that of a writer gets its name. Calling it twice is allowed. Raises OutputError."""
        if not self.is_open:
            return
        self.is_open = False
        if self.writable:
            self._output.close()
        else:
            self._file.close()

    def __del__(self) -> None:
        if self.__dict__.get("is_open"):
            _close_unless_failed(self)

    def __getstate__(self) -> dict[str, Any]:
        if self.is_open and self.writable:
            raise TypeError(f"a writer ({self.uri}) cannot be pickled: it belongs to one process; close it first")
        return {name: value for name, value in self.__dict__.items() if name not in _RUNTIME}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.is_open:
            self.is_open = False
            self.open()

    def reset(self) -> None:
        """Begin again at the first record; a closed reader is opened.

        Raises ParameterError for a writer that has written records or is closed, of which MXNet removes all records.
        """
        if self.writable:
            if self.is_open and not self._output.offset:
                return
            self._refuse("start again: its records would be lost", "close it, and open a new one")
        self.close()
        self.open()

    def write(self, buf: bytes) -> None:
        """Append the bytes *buf* as a record.

        Raises ParameterError for anything but bytes and for a reader, RecordTooLargeError, OutputError.
        """
        if not self.writable:
            self._refuse("write", "open it with flag 'w'")
        self._output.write(buf)

    def read(self) -> bytes | None:
        """Return the next record, or None at the end of the file.

        Raises CorruptRecordError, with path, record and byte, for a damaged one; the next call returns the first whole
        record behind it.
        """
        if self.writable:
            self._refuse("read", "open it with flag 'r'")
        if not self.is_open:
            raise InputError("is closed", path=self.uri, hint="reset() opens it again")
        return self._reader.next()

    def _refuse(self, what: str, hint: str) -> None:
        kind = "writer" if self.writable else "reader"
        raise ParameterError(f"{self.uri}: this {kind} cannot {what}", hint=hint)


class MXIndexedRecordIO(MXRecordIO):
    """Reads the records of *uri* by the keys of the index *idx_path* (*flag* ``r``), or writes both files (``w``).

    *key_type* makes a key of the text in the index. ``keys`` is the list of all keys in the order of the index, and
    ``idx`` the dictionary of their offsets in bytes, where the last of several lines with one key counts. Both are made
    when they are first used, as they need much more memory than reading does.

    An index may list some of the records, in any order. Otherwise as :class:`MXRecordIO`; also raises
    IndexFormatError, for lines that are no index and for an index of another file.
    """

    def __init__(self, idx_path: PathLike, uri: PathLike, flag: str, key_type: Callable[[Any], Any] = int) -> None:
        self.idx_path = os.fspath(idx_path)
        self.key_type = key_type
        self.fidx = None  # MXNet's file object; the index is read and written without one
        super().__init__(uri, flag)

    def open(self) -> None:
        """Open both files. Raises the same errors as the class."""
        super().open()
        self.__dict__.pop("keys", None)
        self.__dict__.pop("idx", None)
        if self.writable:
            self.keys, self.idx = [], {}
            return
        try:
            self._records = KeyedRecords(self._file, self.idx_path, self.key_type)
        except BaseException:
            super().close()
            raise

    def _index_path(self) -> PathLike | None:
        return self.idx_path

    @functools.cached_property
    def keys(self) -> list[Any]:
        """The keys of all lines of the index, in their order."""
        return self._records.keys()

    @functools.cached_property
    def idx(self) -> dict[Any, int]:
        """The offset in bytes of each key."""
        return self._records.offsets()

    def close(self) -> None:
        """Close both files; those of a writer get their names. Calling it twice is allowed. Raises OutputError."""
        if self.is_open and not self.writable:
            self._records.close()
        super().close()

    def seek(self, idx: Any) -> None:
        """Make the record with the key *idx* the next one to be read; a closed reader is opened.

        Raises KeyError for a key that the index does not have.
        """
        place = self._find(idx)
        self._reader.seek(*place)

    def tell(self) -> int:
        """Return the offset in bytes of the record that is written next. Raises ParameterError for a reader."""
        if not self.writable:
            self._refuse("tell where it writes", "open it with flag 'w'")
        self._output.check_open()
        return self._output.offset

    def read_idx(self, idx: Any) -> bytes:
        """Return the record with the key *idx*; :meth:`read` then continues behind it. A closed reader is opened.

        Safe in threads. Raises KeyError for a key that the index does not have, CorruptRecordError.
        """
        place = self._find(idx)
        self._reader.seek(*place, is_read=True)
        try:
            return self._records.payload(place)
        except BaseException:
            self._reader.skip(place.offset)
            raise

    def _find(self, key: Any) -> Place:
        if self.writable:
            self._refuse("read", "open it with flag 'r'")
        if not self.is_open:
            self.open()
        own = self.__dict__.get("idx")
        if own is not None and own is not self._records.made:  # the script has put its own in place of it
            return Place(own[key], None)
        try:
            return self._records.find(key)
        except KeyError:
            if own is None or key not in own:
                raise
            return Place(own[key], None)  # a key that the script has added

    def write_idx(self, idx: Any, buf: bytes) -> None:
        """Append the bytes *buf* as a record with the key ``key_type(idx)``.

        Raises ParameterError for a key that no line of an index can have, otherwise as :meth:`write`.
        """
        key = self.key_type(idx)
        text = str(key)
        if text != text.strip() or not text or len(text.splitlines()) > 1 or "\t" in text:
            raise ParameterError(f"key={text!r} must have no TAB and no line break, and no blanks at its ends")
        if not self.writable:
            self._refuse("write", "open it with flag 'w'")
        offset = self._output.write(buf)
        self._output.write_line(f"{text}\t{offset}\n".encode("utf-8", "surrogateescape"))
        self.idx[key] = offset
        self.keys.append(key)


def _opened(path: str) -> InputFile:
    """Open the ``.rec`` at *path*, which may be empty here. Raises InputError."""
    file = open_rec(path)
    try:
        if file.size:
            check_kind(file)
    except BaseException:
        file.close()
        raise
    return file


def _close(reference: weakref.ref[MXRecordIO]) -> None:
    record = reference()
    if record is not None:
        _close_unless_failed(record)


def _close_unless_failed(record: MXRecordIO) -> None:
    """Close *record*, but a writer whose error was raised already by the write that failed."""
    if not (record.writable and record._output.failed):  # noqa: SLF001 - of this module
        record.close()


def pack(header: IRHeader, s: bytes) -> bytes:
    """Return the record of the content *s* and *header*, of which the flag is replaced.

    A number as label gives flag 0. Anything else is made an array of float32 and flattened, with its size as the flag:
    a list, an array, also of one element, a numeric string; None is one NaN. Raises ParameterError for other labels,
    for ids outside 0 to 2**64 - 1, and for content that is not bytes.
    """
    _, label, id_, id2 = IRHeader(*header)
    if not isinstance(label, numbers.Number):
        label = _vector(label)
    return encode_image_record(IRHeader(0, label, _integer(id_), _integer(id2)), s)


def _vector(label: Any) -> npt.NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            return np.asarray(label, dtype=np.float32)
    except (TypeError, ValueError):
        raise ParameterError(f"label={label!r} must be a number or a sequence of numbers") from None


def _integer(value: Any) -> Any:
    """Return *value*, also an array of one integer, as an int; unchanged what is none, for the error of the encoder."""
    try:
        return operator.index(value)
    except TypeError:
        return value


def unpack(s: bytes) -> tuple[IRHeader, bytes]:
    """Return the header and the content of the record *s*.

    The label is a float with flag 0, else a :class:`LabelVector`, float32 (flag,), new and writable. Raises
    CorruptRecordError for a record that is too short, ParameterError for what is not bytes.
    """
    if s is None:
        raise ParameterError("a record must be bytes, not None", hint="read() gives None at the end of the file")
    header, content = decode_image_record(s)
    if header.flag:
        header = header._replace(label=header.label.view(LabelVector))
    return header, content


def unpack_img(s: bytes, iscolor: int = -1) -> tuple[IRHeader, npt.NDArray[Any] | None]:
    """Return the header and the pixels of the record *s*, as ``cv2.imdecode`` gives them: B, G, R; None for no image.

    *iscolor* is -1 for the image as it is stored, 0 for grey (height, width), 1 for colours (height, width, 3), both
    turned upright as the EXIF orientation says. Raises what :func:`unpack` raises, and ImageError for a record without
    content.
    """
    header, content = unpack(s)
    return header, decode_bgr(content, iscolor)


def pack_img(header: IRHeader, img: npt.NDArray[Any], quality: int = 95, img_fmt: str = ".jpg") -> bytes:
    """Return the record of the image *img* and *header*.

    *img* has the shape (height, width) or (height, width, channels), in the order B, G, R, A as of ``cv2.imread``.
    *img_fmt* is ``.jpg`` or ``.jpeg`` with a *quality* up to 100, ``.png`` with *quality* as the level of compression,
    of which all above 9 are 9, or with OpenCV any other that it knows. Raises ImageError, and what :func:`pack` raises.
    """
    return pack(header, encode_bgr(img, img_fmt, quality))


def __getattr__(name: str) -> NoReturn:
    raise missing("mx.recordio", name, __all__)

"""im2rec: build, inspect and read MXNet-compatible RecordIO image datasets, without MXNet.

This module re-exports the public names. Each is imported from its module on first use, so that ``import im2rec`` alone
loads neither NumPy nor an image library.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # importing typing takes longer than all else here, and Ctrl-C would print a traceback meanwhile
if TYPE_CHECKING:
    from typing import Any

    from im2rec.errors import BadRecordError as BadRecordError
    from im2rec.errors import CorruptRecordError as CorruptRecordError
    from im2rec.errors import IdxFormatError as IdxFormatError
    from im2rec.errors import Im2RecError as Im2RecError
    from im2rec.errors import ImageError as ImageError
    from im2rec.errors import IndexFormatError as IndexFormatError
    from im2rec.errors import InputError as InputError
    from im2rec.errors import ListFormatError as ListFormatError
    from im2rec.errors import OutputError as OutputError
    from im2rec.errors import ParameterError as ParameterError
    from im2rec.errors import RecordTooLargeError as RecordTooLargeError
    from im2rec.errors import TextFormatError as TextFormatError
    from im2rec.format.irheader import ImageRecord as ImageRecord
    from im2rec.format.irheader import IRHeader as IRHeader
    from im2rec.format.irheader import decode_image_record as decode_image_record
    from im2rec.format.irheader import encode_image_record as encode_image_record
    from im2rec.format.recordio import decode_record as decode_record
    from im2rec.format.recordio import encode_record as encode_record
    from im2rec.format.recordio import read_records as read_records
    from im2rec.images.codec import decode as decode
    from im2rec.iterators.batch import CSRArray as CSRArray
    from im2rec.iterators.batch import DataBatch as DataBatch
    from im2rec.iterators.batch import DataDesc as DataDesc
    from im2rec.iterators.image_record import ImageRecordInt8Iter as ImageRecordInt8Iter
    from im2rec.iterators.image_record import ImageRecordIter as ImageRecordIter
    from im2rec.iterators.image_record import ImageRecordUInt8Iter as ImageRecordUInt8Iter
    from im2rec.iterators.mnist import MNISTIter as MNISTIter
    from im2rec.iterators.text import CSVIter as CSVIter
    from im2rec.iterators.text import LibSVMIter as LibSVMIter
    from im2rec.storage.reader import RecordFile as RecordFile
    from im2rec.storage.writer import RecordWriter as RecordWriter
    from im2rec.verification.bin_file import Pair as Pair
    from im2rec.verification.bin_file import PairFile as PairFile
    from im2rec.verification.bin_file import open_bin as open_bin

    open = RecordFile  # noqa: A001 - im2rec.open reads like the builtin; assigned, as mypy takes no other import for exported

__version__ = "0.1.0"

_NAMES_BY_MODULE = {
    "im2rec.errors": (
        "BadRecordError",
        "CorruptRecordError",
        "Im2RecError",
        "ImageError",
        "IdxFormatError",
        "IndexFormatError",
        "InputError",
        "ListFormatError",
        "OutputError",
        "ParameterError",
        "RecordTooLargeError",
        "TextFormatError",
    ),
    "im2rec.format.irheader": ("IRHeader", "ImageRecord", "decode_image_record", "encode_image_record"),
    "im2rec.format.recordio": ("decode_record", "encode_record", "read_records"),
    "im2rec.images.codec": ("decode",),
    "im2rec.iterators.batch": ("CSRArray", "DataBatch", "DataDesc"),
    "im2rec.iterators.image_record": ("ImageRecordInt8Iter", "ImageRecordIter", "ImageRecordUInt8Iter"),
    "im2rec.iterators.text": ("CSVIter", "LibSVMIter"),
    "im2rec.iterators.mnist": ("MNISTIter",),
    "im2rec.storage.reader": ("RecordFile",),
    "im2rec.storage.writer": ("RecordWriter",),
    "im2rec.verification.bin_file": ("Pair", "PairFile", "open_bin"),
}
_PUBLIC = {name: (module, name) for module, names in _NAMES_BY_MODULE.items() for name in names}
_PUBLIC["open"] = ("im2rec.storage.reader", "RecordFile")

# Computed, so that there is no second list to keep in step. Without "open": `import *` must not hide the builtin.
__all__ = sorted(_PUBLIC.keys() - {"open"})  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'im2rec' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*_PUBLIC, "__version__", "__doc__"})

"""The part file beside each finished part of a pack with ``nsplit``: ``out.rec.part000.json`` for ``out.rec.part000``.

It has the identity of the pack and the place of the part in it, by which :mod:`im2rec.packing.part_set` finds out
whether parts belong together, and sizes and a hash that tie it to its very files. It is JSON::

    {
     "schema": 1,
     "nsplit": 4,
     "part": 0,
     "records": 12,
     "bad": {"missing": 1},
     "rec_bytes": 52428,
     "index_bytes": 131,
     "index_sha256": "ef2d127d...",
     "report_bytes": 118,
     "pack": {"list": "5891b5b5...", "root": "photos", "resize": 256}
    }
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from im2rec.errors import InputError
from im2rec.packing.report import report_path
from im2rec.storage.companions import index_to_write
from im2rec.storage.digest import hash_range
from im2rec.storage.files import InputFile, PathLike, read_file, reading
from im2rec.storage.output import AtomicFile

SUFFIX = ".json"
SCHEMA = 1  # counts up when a key is removed or changes its meaning
_MAX_BYTES = 1 << 20  # a part file has one kilobyte; an identity may hold long paths
_MAX_COUNT = 2**63 - 1
_SHA256_DIGITS = 64
_COUNTS = ("nsplit", "part", "records", "rec_bytes", "index_bytes", "report_bytes")
_AGAIN = "pack the part again"


@dataclasses.dataclass(frozen=True)
class PartInfo:
    """The content of a part file. *bad* counts the images that were left out, by reason.

    *identity* has, by name, whatever decides on the bytes of the whole pack. *report_bytes* is 0 where there is no
    report of bad images.
    """

    nsplit: int
    part: int
    records: int
    bad: Mapping[str, int]
    rec_bytes: int
    index_bytes: int
    index_sha256: str
    report_bytes: int
    identity: Mapping[str, Any]


def part_file_path(rec: PathLike) -> Path:
    """Return the path of the part file of the part at *rec*: ``out.rec.part000.json`` for ``out.rec.part000``."""
    rec = Path(rec)
    return rec.with_name(rec.name + SUFFIX)


def write_part_file(
    rec: PathLike, identity: Mapping[str, Any], *, nsplit: int, part: int, records: int, bad: Mapping[str, int]
) -> Path:
    """Write the part file of the part at *rec* and return its path; an older one is replaced.

    To be called when the ``.rec``, its index and its report of bad images have their names: their sizes, and the hash
    of the index, are taken from them. *identity* is a dict, by name, of numbers, texts, booleans and None, and of lists
    and dicts of these. Raises InputError, OutputError.
    """
    index, report = index_to_write(rec), report_path(Path(rec))
    index_bytes, index_sha256 = size_and_hash(index)
    info = PartInfo(
        nsplit=nsplit,
        part=part,
        records=records,
        bad={reason: count for reason, count in bad.items() if count},
        rec_bytes=size_of(rec),
        index_bytes=index_bytes,
        index_sha256=index_sha256,
        report_bytes=size_of(report) if any(bad.values()) else 0,
        identity=dict(identity),
    )
    path = part_file_path(rec)
    with AtomicFile(path, force=True) as file:
        file.write(encode_part_file(info))
    return path


def size_of(path: PathLike) -> int:
    """Return the size of the file *path* in bytes. Raises InputError."""
    with InputFile(path) as file:
        return file.size


def size_and_hash(path: PathLike) -> tuple[int, str]:
    """Return the size of the file *path* in bytes, and its SHA-256 in hexadecimal digits. Raises InputError."""
    with InputFile(path) as file:
        return file.size, hash_range(file, 0, file.size).hex()


def encode_part_file(info: PartInfo) -> bytes:
    """Return the bytes of a part file."""
    values = dataclasses.asdict(info)
    values["pack"] = values.pop("identity")
    return json.dumps({"schema": SCHEMA, **values}, indent=1, allow_nan=False).encode() + b"\n"


def read_part_file(path: PathLike) -> PartInfo:
    """Read the part file at *path*. Raises InputError for a file that is none, or that is of another version."""
    with reading(path):
        data = read_file(path, _MAX_BYTES)
    try:
        values = json.loads(data, parse_constant=_refuse_constant)
        return _parsed(values)
    # RecursionError: of lists in lists. KeyError: a key is missing. TypeError, too: it is no object.
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError("is no part file, or is damaged", path=path, hint=_AGAIN) from None
    except InputError as error:
        error.path = path
        raise


def _refuse_constant(word: str) -> None:
    raise ValueError(word)  # NaN equals nothing, and so would no pack be the same as this one


def _parsed(values: Any) -> PartInfo:
    """Return the values of a part file. Raises ValueError, KeyError, TypeError, and InputError for another schema."""
    if _count(values["schema"]) != SCHEMA:
        problem = f"is of another version: its schema is {values['schema']}, and this im2rec reads {SCHEMA}"
        raise InputError(problem, hint="join with the im2rec that packed the part")
    counts = {name: _count(values[name]) for name in _COUNTS}
    identity, index_sha256 = values["pack"], values["index_sha256"]
    is_typed = isinstance(identity, dict) and isinstance(index_sha256, str) and isinstance(values["bad"], dict)
    if not is_typed or len(index_sha256) != _SHA256_DIGITS or not all(map(_is_flat, identity.values())):
        raise TypeError
    bad = {reason: number for reason, count in values["bad"].items() if (number := _count(count))}
    if counts["part"] >= counts["nsplit"] or bool(counts["report_bytes"]) != bool(bad):
        raise ValueError
    if len({bool(counts[name]) for name in ("records", "rec_bytes", "index_bytes")}) != 1:
        raise ValueError
    return PartInfo(**counts, bad=bad, index_sha256=index_sha256, identity=identity)


def _is_flat(value: Any) -> bool:
    """True if *value* is no object or list, or one that holds none: others can be too deep to be written again."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not any(isinstance(item, (dict, list)) for item in inner)


def _count(value: Any) -> int:
    """Return *value*, a count of a part file. Raises ValueError, TypeError."""
    if type(value) is not int:
        raise TypeError(value)
    if not 0 <= value <= _MAX_COUNT:
        raise ValueError(value)
    return value

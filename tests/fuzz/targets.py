"""The table of all parsers: for each its valid inputs, the fields that it trusts, and the errors that it may raise.

A parser takes bytes that anyone may have written. Inputs are small and made by our own code: each mutation of one
hits something.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from fuzz import fields, parsers, seeds
from fuzz.mutations import Field, number_fields, with_another_value

from im2rec.datasets.pickles import load_pickle
from im2rec.errors import (
    CorruptRecordError,
    DigestFormatError,
    IdxFormatError,
    Im2RecError,
    ImageError,
    IndexFormatError,
    InputError,
    ListFormatError,
    OutputError,
    ParameterError,
    TextFormatError,
)
from im2rec.format.digestfile import parse_digest

_MIB = 1 << 20


class Target(NamedTuple):
    """A parser: *run* returns or raises one of *errors*, and nothing else, for any input.

    *make_seeds* returns valid inputs. *fields* finds what a parser trusts in one, *tokens* are words of its language.
    Memory is bounded by *constant* bytes and *factor* bytes for each byte of the input. *mend* corrects checksums,
    and *reshape* changes the structure of an input, so that it stays one of the language.
    """

    name: str
    make_seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], object]
    errors: tuple[type[Im2RecError], ...]
    fields: Callable[[bytes], list[Field]] = lambda _: []
    tokens: tuple[bytes, ...] = ()
    factor: int = 64
    constant: int = 16 * _MIB
    mend: Callable[[bytes], bytes] | None = None
    reshape: Callable[[random.Random, bytes], bytes] | None = None

    def most_memory(self, size: int) -> int:
        """Return the bytes that may be allocated for an input of *size* bytes."""
        return self.constant + self.factor * size


_NUMBERS = (b"nan", b"inf", b"1e999", b"\xff", b"\0", b"\t", b",", b":", b"#", b"\r", b"\n", b"\r\n", b"\xef\xbb\xbf")
_OF_LISTS = (InputError, ListFormatError)
_JSON = (b"{", b"}", b"[", b"]", b"[[", b":", b",", b"null", b"true", b"NaN", b"-Infinity", b'"a"', b"[" * 2000, b"{}")
_EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
_KEYS = tuple(f"{name}=".encode() for name in ("data_shape", "rotate_list", "max_pixels", "last_batch", "dtype", "rng"))

_IS_DIGEST: dict[str, Any] = {"mend": fields.with_end_line}
_IS_JSON: dict[str, Any] = {"reshape": with_another_value}
# Memory of an image is that of its pixels in several copies, and of what libraries allocate at once.
_IMAGE: dict[str, Any] = {"factor": 64, "constant": 64 * _MIB, "mend": fields.with_checksums}

TARGETS = {
    target.name: target
    for target in (
        Target(
            "frames",
            seeds.recs,
            parsers.frames,
            (CorruptRecordError,),
            fields.of_frames,
            (seeds.MAGIC, seeds.MAGIC * 2),
        ),
        Target("damaged", seeds.files_with_index, parsers.damaged, (), fields.of_pair, (seeds.MAGIC, seeds.MAGIC * 2)),
        Target(
            "files",
            seeds.files_with_index,
            parsers.files,
            parsers.ERRORS_OF_FILES,
            fields.of_pair,
            (seeds.MAGIC, b"\t", b"\n"),
            constant=48 * _MIB,  # the first 10,000 damaged ranges are kept, each with its error
        ),
        Target("index", seeds.indexes, parsers.index, (IndexFormatError,), number_fields, _NUMBERS),
        Target("header", seeds.payloads, parsers.header, (CorruptRecordError,), fields.of_header),
        Target("list", seeds.lists, parsers.lines, _OF_LISTS, number_fields, _NUMBERS, 400),
        Target("key lists", seeds.lists, parsers.key_lists, _OF_LISTS, number_fields, _NUMBERS, 400),
        Target(
            "selections",
            seeds.files_with_index,
            parsers.selections,
            parsers.ERRORS_OF_SELECTIONS,
            fields.of_pair,
            (seeds.MAGIC, b"\t", b"\n"),
            constant=48 * _MIB,  # as of files
        ),
        Target("pair lists", seeds.pair_lists, parsers.pair_lists, _OF_LISTS, number_fields, _NUMBERS, 400),
        Target("faces", seeds.face_lists, parsers.faces, (InputError, ListFormatError), number_fields, _NUMBERS, 400),
        Target("csv", seeds.rows_of_csv, parsers.csv, (InputError, TextFormatError), number_fields, _NUMBERS, 400),
        Target(
            "libsvm", seeds.rows_of_libsvm, parsers.libsvm, (InputError, TextFormatError), number_fields, _NUMBERS, 400
        ),
        Target("classes", seeds.class_files, parsers.classes, (InputError,), number_fields, _NUMBERS),
        Target(
            "words", seeds.words, parsers.words, (ParameterError,), number_fields, (*_NUMBERS, *_KEYS, b"none", b"auto")
        ),
        Target(
            "states",
            parsers.seeds_of_states,
            parsers.states,
            (ParameterError, InputError),
            number_fields,
            _JSON,
            400,
            **_IS_JSON,
        ),
        Target(
            "journals",
            lambda: seeds.journals(parsers.JOURNAL),
            parsers.journals,
            (OutputError,),
            number_fields,
            _JSON,
            400,
            **_IS_JSON,
        ),
        Target("parts", seeds.part_files, parsers.parts, (InputError,), number_fields, _JSON, 400, **_IS_JSON),
        Target("arrays", seeds.arrays, parsers.arrays, (InputError,), fields.of_arrays),
        Target("digests", seeds.digests, parse_digest, (DigestFormatError,), number_fields, _NUMBERS, **_IS_DIGEST),
        # gzip makes up to 1,032 bytes of one.
        Target("idx", seeds.idx_files, parsers.idx, (IdxFormatError,), fields.of_idx, factor=4 * 1032),
        Target("pickles", seeds.pickles, load_pickle, (InputError,), fields.of_pickle, seeds.PICKLE_TOKENS, 400),
        Target("bins", seeds.bins, parsers.bins, (InputError,), fields.of_pickle, seeds.PICKLE_TOKENS, 100),
        Target(
            "tars", seeds.tars, parsers.tars, (InputError,), fields.of_tar, factor=4 * 1032, mend=fields.with_checksums
        ),
        Target(
            "kinds",
            seeds.starts_of_other_files,
            parsers.kinds,
            (),
            number_fields,
            (b"\n", b"\t", b"<", b"{", seeds.MAGIC),
        ),
        Target(
            "jpegs",
            parsers.seeds_of_jpegs,
            parsers.jpegs,
            (ImageError,),
            fields.of_jpeg,
            (_EXIF, b"\xff\xda", b"\xff\xd9"),
            **_IMAGE,
        ),
        Target("tiffs", seeds.tiffs, parsers.images, (ImageError,), fields.of_tiff, (_EXIF[6:],), **_IMAGE),
        Target(
            "images", seeds.images, parsers.images, (ImageError,), fields.of_image, (b"acTL", b"ANMF", _EXIF), **_IMAGE
        ),
    )
}

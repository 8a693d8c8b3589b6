"""Name what is no image record: files of other formats given as a ``.rec``, and payloads without an image header."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import NamedTuple

from im2rec.errors import CorruptRecordError, InputError
from im2rec.format.heads import MAGIC
from im2rec.format.irheader import HEADER_BYTES
from im2rec.format.recordio import Source, measure, read_start
from im2rec.format.resync import RecordFinder
from im2rec.images.signatures import EMPTY, NOT_AN_IMAGE, OTHER_FILES, refusal, sniff
from im2rec.storage.files import InputFile, PathLike

_AGAIN = "make or fetch it again"
_BINARY = "fetch it again in binary mode"
_OTHER = "im2rec reads the RecordIO files of MXNet"
_MANGLED = "a .rec that went through text mode, in which"

# The first match counts: pattern of the first bytes of a file, what the file is, and what to do.
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (rb"\r\n#\xd7\xce", f"{_MANGLED} every line end 0A became 0D 0A", _BINARY),
    (rb"(\r|\n\r|\r\r\n)#\xd7\xce", f"{_MANGLED} every line end 0A was replaced", _BINARY),
    (rb"\n#(\xef\xbf\xbd|\xc3\x97|\?\?|W\x4e)", f"{_MANGLED} its bytes were converted as letters", _BINARY),
    (rb"CiPXz[g-j]", "base64 text, which encodes a .rec", "decode it first, with 'base64 -d < OLD > NEW.rec'"),
    (rb"\xce\xd7#\n", "a RecordIO file in the byte order of another machine", "pack it again on this one"),
    *OTHER_FILES,
    (rb"\x80[\x02-\x05][\x5d\x7d\x28\x63\x58\x8a\x95(]|\(*\((lp\d|\]q)",
     "a Python pickle, as InsightFace's verification files are", "run 'im2rec bin list' on it"),
    (rb"\x93NUMPY", "a NumPy array", _OTHER),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", _OTHER),
    (rb"(?s).{16}\xde\xc0\xef\xbe", "an LMDB database", _OTHER),
    (rb"(?s).{4}ftyp", "an MP4 or HEIF file", _OTHER),
    (rb"PAR1", "a Parquet file", _OTHER),
    (rb"SQLite format 3\0", "an SQLite database", _OTHER),
    (rb"%PDF-", "a PDF document", _OTHER),
    (rb"\x7fELF", "a program", _OTHER),
    (rb"\s*\d+[\t ]+\d+\s*(\n|\Z)", "an index (.idx)", "name the .rec beside it"),
    # Whether the path has a character that is no digit is looked at ahead: [^\t\n]* twice would take quadratic time.
    (rb"\s*\d+\t([-+.\deE]+\t)+(?=[^\t\n]*[^\t\n\d])[^\t\n]*(\n|\Z)", "a list (.lst)",
     "name the .rec, or make it with 'im2rec pack'"),
)  # fmt: skip
_TEXT = re.compile(rb"[^\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]*")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SHOWN = 4  # bytes of an unknown file in its error message

_KIND_BYTES = 1 << 16  # a magic in the first bytes of a file is enough to take it for a RecordIO file
_BLANK_PROBES, _BLANK_BYTES = 1024, 4096  # places at which a file that begins with zeros is looked at
_LINE_ENDS_BYTES = 1 << 20
_EXPECTED_LINE_ENDS = 12  # so many by chance, and none there, is a sign
_LOST_BYTES = 64  # at most, of one record in which every 0D 0A became 0A

_CRC32C = 0x82F63B78  # the polynomial, reversed
_CRC_MASK = 0xA282EAD8


class Foreign(NamedTuple):
    """The kind of a file that is not a RecordIO file, with its article, and the next step."""

    kind: str
    hint: str


def known_format(start: bytes) -> Foreign | None:
    """Return what the file is that begins with the bytes *start*, if they prove that it is not a RecordIO file."""
    if start.startswith(MAGIC):
        return None
    for pattern, kind, hint in _SIGNATURES:
        if re.match(pattern, start):
            return Foreign(kind, hint)
    if len(start) >= 12 and struct.unpack_from("<I", start, 8)[0] == _masked_crc(start[:8]):
        return Foreign("a TFRecord file of TensorFlow", _OTHER)
    return None


def likely_format(start: bytes) -> Foreign:
    """Return what a file is in which no record was found, by its first bytes *start*."""
    if (kind := _image_kind(start)) is not None:
        return Foreign(f"an image ({kind})", "pack images with 'im2rec pack'")
    if (kind := _text_kind(start)) is not None:
        return Foreign(f"a file of {kind}", _AGAIN)
    if not any(start):
        return Foreign("a file of zeros", "its download or copy is not complete: fetch it again")
    return Foreign(f"a file of an unknown kind, which starts with {start[:_SHOWN].hex(' ')}", _AGAIN)


def content_kind(start: bytes) -> str:
    """Return what content is that begins with the bytes *start* and has no signature of an image: "an HTML page"."""
    if name := refusal(start)[0]:
        return name
    if (foreign := known_format(start)) is not None:
        return foreign.kind
    return _text_kind(start) or f"unknown data, which starts with {start[:_SHOWN].hex(' ')}"


def _masked_crc(data: bytes) -> int:
    """Return the checksum that TFRecord files store after the length of each record."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC32C if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17 & 0xFFFFFFFF) + _CRC_MASK & 0xFFFFFFFF


def _image_kind(start: bytes) -> str | None:
    kind = sniff(start)
    return None if kind in (EMPTY, NOT_AN_IMAGE) else kind


def _text_kind(start: bytes) -> str | None:
    """Return ``JSON`` or ``text`` if *start*, which may end within a character, is that; else None."""
    if start.startswith(_UTF16):
        return "text (UTF-16)"
    if not start or not _TEXT.fullmatch(start):
        return None
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return None
        text = start[: error.start].decode()
    return "JSON" if text.lstrip()[:1] in ("{", "[") else "text"


# Payloads without an image header.

FIRST_RECORDS = 16  # of a file: if none of them has an image header, its records have none
START_BYTES = 4096  # of a payload, by which it is named
_MAX_LABELS = 1 << 16  # a larger flag may be the signature of an image


def headerless_error(path: PathLike, kind: str) -> InputError:
    """Return the error of the file at *path* whose payloads are *kind*, without image headers."""
    problem = f"its records have no image headers: their payloads are {kind}"
    return InputError(problem, path=path, hint="read them with payload() of im2rec.open()")


def headerless_kind(source: Source, offsets: Iterable[int]) -> str | None:
    """Return what the payloads are if the first records, which start at *offsets*, have no image headers; else None.

    One record with a possible header is enough for None. Damaged records do not count.
    """
    kinds: list[str] = []
    for offset, _ in zip(offsets, range(FIRST_RECORDS), strict=False):
        try:
            size = measure(source, offset).size
            kind = kind_without_header(read_start(source, offset, START_BYTES), size)
        except CorruptRecordError:
            continue
        if kind is None:
            return None
        kinds.append(kind)
    return max(kinds, key=kinds.count) if kinds else None


def kind_without_header(start: bytes, size: int) -> str | None:
    """Return what a payload of *size* bytes, which begins with *start*, holds instead of an image header.

    None if it has an image header, and if it looks like one of which the flag is damaged.
    """
    flag = int.from_bytes(start[:4], "little")
    has_room = size >= HEADER_BYTES + 4 * flag
    if has_room and flag < _MAX_LABELS:
        return None
    if (kind := _image_kind(start)) is not None:
        return kind
    is_likely_header = has_room or (size >= HEADER_BYTES and not any(start[16:HEADER_BYTES]))
    return _text_kind(start) or (None if is_likely_header else _binary_kind(start, size))


def _binary_kind(start: bytes, size: int) -> str:
    if known := known_format(start):
        return known.kind.partition(",")[0].partition(" ")[2]  # without the article
    if _is_protobuf(start, size):
        return "protobuf"
    return f"fewer than {HEADER_BYTES} bytes" if size < HEADER_BYTES else "binary data"


def _is_protobuf(start: bytes, size: int) -> bool:
    """True if a payload of *size* bytes, which begins with *start*, is a sequence of protobuf fields up to its end."""
    at = 0
    while at < min(len(start), size):
        tag, at = _varint(start, at)
        if at >= len(start) < size:
            return True  # all fields were right as far as they are known
        if not tag >> 3:
            return False
        if tag & 7 == 0:
            _, at = _varint(start, at)
        elif tag & 7 == 2:
            length, at = _varint(start, at)
            at += length
        elif tag & 7 in (1, 5):
            at += 8 if tag & 7 == 1 else 4
        else:
            return False
        if at > size:
            return False
    return size > 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that starts at *at*, seven bits in each byte, and the position after it."""
    number = shift = 0
    while at < len(data) and shift < 70:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            break
    return number, at


def check_kind(file: InputFile) -> None:
    """Raise InputError, which says what the file is, for an empty file and for one that is not a RecordIO file.

    A RecordIO file has a magic in its first 64 KiB, or a whole record anywhere.
    """
    if file.size == 0:
        raise InputError("is empty: it holds no records", path=file.path, hint="make or fetch it again")
    start = file.read_at(0, _KIND_BYTES)
    foreign = known_format(start)
    if (
        foreign is None
        and MAGIC not in start
        and (_is_blank(file, start) or RecordFinder(file).first(0, file.size, 0) is None)
    ):
        foreign = likely_format(start)
    if foreign is not None:
        raise InputError(f"is not a RecordIO file: it is {foreign.kind}", path=file.path, hint=foreign.hint)


def _is_blank(file: InputFile, start: bytes) -> bool:
    """True if a large file, which begins with *start*, holds zeros wherever it is looked at: a download that failed.

    To search all of a file of 30 GB for records would take a minute.
    """
    step = file.size // _BLANK_PROBES
    if any(start) or step < _KIND_BYTES:
        return False
    return not any(any(file.read_at(at, _BLANK_BYTES)) for at in range(step, file.size, step))


def check_line_ends(file: InputFile, offset: int) -> None:
    """Raise InputError if the damage at *offset* is that of a file in which every 0D 0A became 0A.

    Then the record before is a few bytes shorter than its length word says, and no 0D 0A is left.
    """
    before = max(0, offset - _LOST_BYTES)
    if MAGIC in file.read_at(before, offset - before + len(MAGIC) - 1) and lacks_line_ends(file):
        problem = "is a .rec that went through text mode, in which every line end 0D 0A became 0A"
        raise InputError(problem, path=file.path, hint="fetch it again in binary mode")


def lacks_line_ends(file: InputFile) -> bool:
    """True if 0D 0A is missing where it should be: in the signature of a PNG, or in the first MiB of compressed images.

    That MiB holds sixteen on average.
    """
    start = file.read_at(0, _LINE_ENDS_BYTES)
    has_many = start.count(b"\r") * start.count(b"\n") > _EXPECTED_LINE_ENDS * len(start)
    return b"\r\n" not in start and (has_many or b"\x89PNG\n\x1a\n" in start)

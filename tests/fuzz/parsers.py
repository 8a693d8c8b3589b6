"""Each parser called as the program calls it, by a function that takes the bytes of one input.

Those that read a file get one. Where an input can be read in several ways, all are tried.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from dataset_helpers import idx_images, idx_labels
from fuzz import seeds
from helpers import CountingSource

from im2rec.datasets.archives import read_members
from im2rec.datasets.cifar import read_cifar
from im2rec.errors import (
    CorruptRecordError,
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
from im2rec.extraction.resumable_folder import MARKER, ResumableFolder
from im2rec.format.binfile import decode_bin
from im2rec.format.face_list import form_of, parse_face_line
from im2rec.format.indexfile import read_index
from im2rec.format.irheader import decode_image_record, parse_header
from im2rec.format.listfile import ListEntry, parse_labels, parse_line, read_list
from im2rec.format.mnistfile import read_images, read_labels
from im2rec.format.ndarrayfile import decode_arrays, decode_single
from im2rec.format.pairlist import FORMS
from im2rec.format.recordio import BytesSource, decode_record, measure, read_records, read_start
from im2rec.images import jpeg
from im2rec.images.codec import AS_STORED, GREY, decode, image_info, is_transposed, orientation
from im2rec.images.opening import has_more_frames
from im2rec.images.signatures import refusal, sniff
from im2rec.images.tiff import read_header
from im2rec.iterators.mnist import MNISTIter
from im2rec.iterators.text_params import CSVParams, LibSVMParams
from im2rec.jpeg.loading import load
from im2rec.jpeg.verdict import verdict
from im2rec.packing.face_lines import FaceLines
from im2rec.packing.params import PackParams
from im2rec.packing.part_file import encode_part_file, read_part_file
from im2rec.params import from_words
from im2rec.pipeline.params import ImageRecordParams
from im2rec.rewriting.select import select
from im2rec.rewriting.selected_set import SelectOptions
from im2rec.selection.key_lists import read_keys
from im2rec.storage.blocks import Damage
from im2rec.storage.classes import read_classes
from im2rec.storage.foreign import kind_without_header, known_format, likely_format
from im2rec.storage.list_lines import list_lines, opened_list
from im2rec.storage.reader import RecordFile
from im2rec.storage.scan import scan_damaged
from im2rec.text.formats import CSVRows, LibSVMRows
from im2rec.text.rows import TextRows
from im2rec.verification.pair_list import read_pair_list

MAX_PIXELS = 1 << 16  # of images: whatever is larger is refused, so that memory is bounded by the size of the input
_MAX_READS = 64  # of a source, for each byte of it: a scan that is not linear has more


class Place:
    """The folder in which folders are made: one in memory where there is such, as a file is written there at once."""

    _IN_MEMORY = Path("/dev/shm")  # of Linux
    path = _IN_MEMORY if _IN_MEMORY.is_dir() else None


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed when it is dropped, but not if the process is killed."""
    return tempfile.TemporaryDirectory(prefix="im2rec-fuzz-", dir=Place.path)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return new_folder()


def folder() -> Path:
    """Return the folder for the files of this process."""
    return Path(_folder().name)


def file_of(data: bytes, name: str) -> Path:
    """Return the path of a file *name* that holds *data*."""
    path = folder() / name
    path.write_bytes(data)
    return path


def each(errors: type[Im2RecError] | tuple[type[Im2RecError], ...], *works: Callable[[], object]) -> None:
    """Call each of *works*, also after one of *errors* in one before; raise the first of them at the end."""
    first: Im2RecError | None = None
    for work in works:
        try:
            work()
        except errors as error:  # noqa: PERF203 - all are tried
            first = first or error
    if first is not None:
        raise first


exhaust = collections.deque[object](maxlen=0).extend  # keeps nothing: errors with their tracebacks take much memory


# Records.


def frames(data: bytes) -> None:
    source = BytesSource(data)
    each(
        CorruptRecordError,
        lambda: exhaust(read_records(io.BytesIO(data))),
        lambda: decode_record(data),
        lambda: measure(source, 0),
        lambda: read_start(source, 0, 100),
    )


def damaged(data: bytes) -> None:
    """Scan a damaged file, alone and with the offsets of an index; what is given out is where the scan says."""
    rec, index = seeds.split_pair(data)
    known: list[Any] = [None]
    with contextlib.suppress(IndexFormatError):
        known.append(np.unique(read_index(io.BytesIO(index))[1]))
    for listed, thorough, drop_doubtful in itertools.product(known, (False, True), (False, True)):
        source, last, spans = CountingSource(rec), -1, []
        for item in scan_damaged(source, listed=listed, thorough=thorough, drop_doubtful=drop_doubtful):
            if isinstance(item, Damage):
                assert 0 <= item.start < item.end <= len(rec), item
                spans.append((item.start, item.end))
            else:
                assert [last, *item.offsets] == sorted({last, *item.offsets})
                assert (item.ends <= len(rec)).all(), item.ends
                last = item.offsets[-1]
                spans += zip(item.offsets, item.ends.tolist(), strict=True)
        assert len(source.reads) <= 100 + _MAX_READS * len(rec), f"{len(source.reads)} reads for {len(rec)} bytes"
        if listed is None and not thorough and not drop_doubtful:  # every byte is in a record or damaged
            starts, ends = [start for start, _ in spans], [end for _, end in spans]
            assert [*starts, len(rec)] == [0, *ends], spans


def files(data: bytes) -> None:
    rec, index = seeds.split_pair(data)
    path = file_of(rec, "a.rec")
    file_of(index, "a.idx")
    options = itertools.product((True, False), ("raise", "skip"), ("keep", "drop"))
    each(ERRORS_OF_FILES, *(functools.partial(_read_file, path, *option) for option in options))


class _QuietFile(RecordFile):
    _logs_unlisted = False


def _read_file(path: Path, has_index: bool, damaged: str, doubtful: str) -> None:
    with _QuietFile(path, index=has_index, damaged=damaged, doubtful=doubtful) as rec:
        ordinals = rec.ordinals[:8].tolist()
        if damaged == "skip":  # what is lost was left out, so all others can be read
            assert len(rec) == len(rec.ordinals)
            for ordinal in ordinals:
                rec.payload(ordinal)
        each(
            (CorruptRecordError, InputError),
            *(functools.partial(rec.__getitem__, ordinal) for ordinal in ordinals),
            *(functools.partial(rec.payload, ordinal) for ordinal in ordinals),
            lambda: rec.read_many(reversed(ordinals)),
            lambda: rec[::2],
            lambda: exhaust(rec.record_infos(ordinals)),
            lambda: [rec.by_key(int(key)) for key in rec.keys[:1]],
            rec.check_headers,
        )


ERRORS_OF_FILES = (InputError, IndexFormatError, CorruptRecordError)


def index(data: bytes) -> None:
    each(
        IndexFormatError,
        lambda: read_index(io.BytesIO(data)),
        lambda: read_index(io.BytesIO(data), max_lines=len(data)),
    )


def header(data: bytes) -> None:
    each(CorruptRecordError, lambda: parse_header(data), lambda: decode_image_record(data))


# Lists and other text.


def lines(data: bytes) -> None:
    path = file_of(data, "a.lst")
    with opened_list(path) as stream:
        texts = [line.decode("utf-8", "surrogateescape") for line in list_lines(path, stream)]
    works: list[Callable[[], object]] = [
        lambda: exhaust(read_list(texts)),
        lambda: exhaust(read_list(texts, label_width=2)),
    ]
    for number, text in enumerate(texts[:1000], 1):
        works += [functools.partial(parse_labels, text, number, width) for width in (1, 3)]
        works.append(functools.partial(parse_line, text, number, exists=lambda path: len(path) % 2 == 0))
        works += [functools.partial(parse_face_line, text, number), functools.partial(form_of, text)]
    each(ListFormatError, *works)


def key_lists(data: bytes) -> None:
    keys = read_keys(file_of(data, "keys.txt"))
    assert (keys[1:] > keys[:-1]).all()


ERRORS_OF_SELECTIONS = (InputError, IndexFormatError, CorruptRecordError, ParameterError)


def selections(data: bytes) -> None:
    """Select from any file with any index: what is written is whole, and holds payloads of the file alone."""
    rec, index = seeds.split_pair(data)
    path, out = file_of(rec, "s.rec"), folder() / "selected.rec"
    file_of(index, "s.idx")
    changed = SelectOptions(relabel=True, renumber=True, shuffle=True)
    each(
        ERRORS_OF_SELECTIONS,
        *(functools.partial(_select, path, out, options) for options in (SelectOptions(), changed)),
    )


def _select(path: Path, out: Path, options: SelectOptions) -> None:
    summary = select(path, out, options, force=True)
    with _QuietFile(out) as written:
        assert written.total == summary.images + (1 + summary.classes if summary.header else 0)
        assert not written.damaged_ranges
        written.read_many(range(written.total))


def pair_lists(data: bytes) -> None:
    path = file_of(data, "pairs.txt")
    each((InputError, ListFormatError), *(functools.partial(read_pair_list, path, form) for form in (None, *FORMS)))


def faces(data: bytes) -> None:
    """Read a list class by class: each line once, in order of the labels."""
    path = file_of(data, "a.lst")
    for options in ({}, {"all_labels": True, "unaligned_as_is": True}):
        found = FaceLines(path, path.parent, **options)
        entries = list(found.entries())
        classes = [entry.labels[0] for entry in entries if isinstance(entry, ListEntry)]
        assert classes == sorted(classes)
        assert (len(classes), len({entry.line for entry in entries})) == (found.images, len(entries))


def csv(data: bytes) -> None:
    formats = [CSVRows(3, dtype, "data_shape") for dtype in ("float32", "float64", "int32", "int64")]
    _read_rows(file_of(data, "a.csv"), formats)


def libsvm(data: bytes) -> None:
    _read_rows(file_of(data, "a.libsvm"), [LibSVMRows(width, "data_shape") for width in (3, 2**63 - 1)])


def _read_rows(path: Path, formats: Iterable[Any]) -> None:
    def read(row_format: Any) -> None:
        rows: TextRows[Any] = TextRows([path], row_format)
        with contextlib.closing(rows):
            numbers = np.arange(len(rows))
            each(
                (InputError, TextFormatError),
                lambda: rows.read(numbers),
                *(functools.partial(rows.read, numbers[at : at + 1]) for at in range(min(4, len(rows)))),
            )

    each((InputError, TextFormatError), *(functools.partial(read, row_format) for row_format in formats))


def classes(data: bytes) -> None:
    read_classes(file_of(data, "a.classes.txt"))


def words(data: bytes) -> None:
    given = data.decode("utf-8", "surrogateescape").split("\n")
    kinds: list[type[Any]] = [ImageRecordParams, PackParams, CSVParams, LibSVMParams]
    each(ParameterError, *(functools.partial(from_words, kind, given) for kind in kinds))


# States, journals and part files.


@functools.cache
def iterators() -> list[Any]:
    """Return iterators that load states: shuffled, in parts, and in file order."""
    images = file_of(idx_images(np.zeros((7, 2, 2), np.uint8)), "images")
    labels = file_of(idx_labels(np.arange(7)), "labels")
    common: dict[str, Any] = {"image": images, "label": labels, "batch_size": 2, "silent": True}
    made = [{}, {"num_parts": 2, "part_index": 1, "last_batch": "pad"}, {"shuffle": False, "last_batch": "roll_over"}]
    return [MNISTIter(**common, **more) for more in made]


def states(data: bytes) -> None:
    try:
        state = json.loads(data)
    except (ValueError, RecursionError):
        return
    each((ParameterError, InputError), *(functools.partial(_resume, it, state) for it in iterators()))


def _resume(it: Any, state: Any) -> None:
    it.load_state_dict(state)
    for _ in range(3):
        it.iter_next()
    json.dumps(it.state_dict())
    it.reset()


JOURNAL = {"rec": "a.rec", "size": 4711, "layout": "id", "labels": [0, 1]}


def journals(data: bytes) -> None:
    partial = folder() / "out.im2rec-partial"
    partial.mkdir(exist_ok=True)
    (partial / MARKER).write_bytes(data)
    each(OutputError, *(functools.partial(ResumableFolder, folder() / "out", JOURNAL, force=f) for f in (False, True)))


def parts(data: bytes) -> None:
    info = read_part_file(file_of(data, "a.rec.part000.json"))
    assert info == read_part_file(file_of(encode_part_file(info), "b.rec.part000.json"))


# Files of sets and arrays.


def arrays(data: bytes) -> None:
    each(InputError, lambda: decode_arrays(data), lambda: decode_single(data))


def idx(data: bytes) -> None:
    each(IdxFormatError, lambda: read_images(data), lambda: read_labels(data))


def bins(data: bytes) -> None:
    source = BytesSource(data)
    found = decode_bin(source)
    assert len(found.contents) == 2 * len(found.same) > 0
    for content in found.contents[:100]:
        assert len(content) == len(content if isinstance(content, bytes) else content.read(source)) > 0


def tars(data: bytes) -> None:
    path = file_of(data, "a.tar")
    each(
        InputError,
        lambda: read_members(path, ["test_batch", "other"]),
        lambda: read_cifar("cifar10", path),
        lambda: read_cifar("cifar100", path),
    )


# Images and other files.


def kinds(data: bytes) -> None:
    known_format(data)
    likely_format(data)
    sniff(data)
    refusal(data)
    for size in (len(data), 2 * len(data)):
        kind_without_header(data, size)


def metadata(data: bytes) -> None:
    """Read all that is known of an image without its pixels; only two of the functions may raise an error."""
    orientation(data)
    is_transposed(data)
    has_more_frames(data)
    jpeg.estimated_quality(data)
    jpeg.exif(data)
    jpeg.is_baseline(data)
    jpeg.is_upright(data)
    jpeg.parse_orientation(data)
    each(ImageError, lambda: image_info(data), lambda: read_header(data))


def images(data: bytes) -> None:
    decoders = [functools.partial(decode, data, color, max_pixels=MAX_PIXELS) for color in (1, GREY, AS_STORED)]
    each(ImageError, lambda: metadata(data), *decoders)


def jpegs(data: bytes) -> None:
    kernel = load().kernel
    works: list[Callable[[], object]] = [lambda: metadata(data), lambda: verdict(data)]
    if kernel is not None and not (head := kernel.checked_header(data, MAX_PIXELS)).reason:
        crop = (head.height // 3, head.width // 4, head.height - head.height // 2, head.width - head.width // 3)
        part, scaled = np.empty((3, *crop[2:]), np.uint8), np.empty((3, 7, 5), np.float32)
        works += [
            lambda: kernel.decode(data),
            lambda: kernel.verdict(data),
            lambda: kernel.decode_into(data, crop, part, mirror=True),
            lambda: kernel.decode_into(data, crop, scaled, inter_method=len(data) % 5),
        ]
    options: list[dict[str, Any]] = [
        {},
        {"cut_ok": True},
        {"at_least": (2, 2), "cut_ok": True},
        {"color": GREY, "room": lambda size: np.empty(size, np.uint8)},
        {"color": AS_STORED, "verdict": verdict},
    ]
    works += [functools.partial(decode, data, max_pixels=MAX_PIXELS, **option) for option in options]
    each(ImageError, *works)


def seeds_of_states() -> list[bytes]:
    made = []
    for it in iterators():
        it.iter_next()
        made += seeds.states(it.state_dict())
    return made


def seeds_of_jpegs() -> list[bytes]:
    load()  # which may compile the decoder, for half a minute: not in the time and the memory of the first input
    return seeds.jpegs()

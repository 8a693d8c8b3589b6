"""Write the images of a verification file to a folder, with a list of the pairs from which it is made again."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from im2rec.errors import ImageError, OutputError, counted
from im2rec.images.codec import image_info
from im2rec.images.signatures import EXTENSIONS, NO_EXTENSION, sniff
from im2rec.progress import Progress
from im2rec.schema import DRY_RUN, FILES, INPUT, SECONDS, WARNINGS, described
from im2rec.storage import disk
from im2rec.storage.files import PathLike, read_file
from im2rec.storage.output_folder import NOT_EMPTY, OF_DESKTOPS, AsideFolder, destination
from im2rec.verification.bin_file import PairFile, open_bin
from im2rec.verification.doubles import content_digest

LIST_NAME = "pairs.txt"
MARKER = ".im2rec-bin-extract.json"  # only a folder with this file in it is ever replaced
_DIGITS = 6  # of the number of a pair in the name of a file, at least
_FILE = re.compile(r"\d{6,}_[12](" + "|".join(map(re.escape, (*EXTENSIONS.values(), NO_EXTENSION))) + ")")
_HINT = "nothing of this run is kept; the same command begins again"


@dataclasses.dataclass
class BinExtractSummary:
    """The result of :func:`extract_bin`, as ``--json`` prints it."""

    input: str = described(INPUT)
    out: str = described("The folder.")
    pairs: int = described("Pairs.")
    same: int = described("Pairs of one person.")
    different: int = described("Pairs of two persons.")
    images: int = described("Image files that were written, or would be: one for each content.")
    reused: int = described("Images with the content of an earlier one, which have no file of their own.")
    kinds: dict[str, int] = described("Image files by format.")
    damaged: int = described("Image files of which the header cannot be read; `im2rec bin make` refuses them.")
    first_damaged: str | None = described("The first of them.")
    bytes_out: int = described("Size of the image files in bytes.")
    pair_list: str = described("The list of the pairs, from which `im2rec bin make` makes the file again.")
    files: list[str] = described(FILES)
    warnings: list[str] = described(WARNINGS)
    seconds: float = described(SECONDS)
    dry_run: bool = described(DRY_RUN)


def extract_bin(
    path: PathLike, out: PathLike, *, force: bool = False, dry_run: bool = False, progress: Progress | None = None
) -> BinExtractSummary:
    """Write the images of the verification file *path* to the new folder *out*, byte for byte as they are stored.

    Pair 0, the first one, becomes ``000000_1.jpg`` and ``000000_2.jpg``, each with the suffix of its format, or
    ``.bin`` if that is unknown. A content that is there several times is written once, under the first of its names.
    ``pairs.txt`` has a line ``name name 1`` or ``name name 0`` for each pair, in order: ``make_bin(out / "pairs.txt",
    out, ...)`` makes a file of the same images and answers, and the same bytes if *path* is one that
    :func:`~im2rec.verification.make.make_bin` has written. The folder is named ``out.im2rec-partial`` until it is
    complete. *progress* is called with the number of images and the share that is done.

    Raises InputError for *path*; OutputError if *out* holds anything, unless *force* and all of it was extracted
    before, or cannot be written::

        extract_bin("lfw.bin", "lfw")
    """
    started = time.monotonic()
    progress = progress or (lambda _count, _share: None)
    with open_bin(path) as pairs:
        folder = AsideFolder(out, _find_refusal, marker=MARKER, force=force)
        names = _Names()
        if dry_run:
            for number, _, _ in names.of(pairs):
                progress(number, number / (2 * len(pairs)))
        else:
            with folder:
                _clear(folder)
                try:
                    _write(folder, pairs, names, progress)
                finally:
                    folder.remove()  # unless it has its name by now
    same, target = int(pairs.same.sum()), destination(out)
    return BinExtractSummary(
        input=os.fspath(path),
        out=os.fspath(out),
        pairs=len(pairs),
        same=same,
        different=len(pairs) - same,
        images=sum(names.kinds.values()),
        reused=2 * len(pairs) - sum(names.kinds.values()),
        kinds=dict(names.kinds.most_common()),
        damaged=len(names.damaged),
        first_damaged=names.damaged[0] if names.damaged else None,
        bytes_out=names.nbytes,
        pair_list=os.fspath(target / LIST_NAME),
        files=[os.fspath(target)],
        warnings=_warnings(names.damaged),
        seconds=round(time.monotonic() - started, 3),
        dry_run=dry_run,
    )


class _Names:
    """The names of image files: one for each content, that of its first pair; and counts of these files."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.damaged: list[str] = []
        self.nbytes = 0
        self._by_digest: dict[bytes, str] = {}
        self._by_object: dict[int, str] = {}

    def of(self, pairs: PairFile) -> Iterator[tuple[int, str, bytes | None]]:
        """Yield for each image its number, from 1, its name, and its content if no file of that name is there yet."""
        digits = max(_DIGITS, len(str(len(pairs))))
        for image, stored in enumerate(pairs.found.contents):
            content = None
            if id(stored) not in self._by_object:  # an image that the pickle uses a million times is read once
                content = pairs.content(image)
                digest = content_digest(content)
                if digest in self._by_digest:
                    self._by_object[id(stored)], content = self._by_digest[digest], None
                else:
                    name = self._count(f"{image // 2:0{digits}d}_{image % 2 + 1}", content)
                    self._by_object[id(stored)] = self._by_digest[digest] = name
            yield image + 1, self._by_object[id(stored)], content

    def _count(self, stem: str, content: bytes) -> str:
        """Return the name of a new file, and count it."""
        kind = sniff(content)
        name = stem + EXTENSIONS.get(kind, NO_EXTENSION)
        self.kinds[kind] += 1
        self.nbytes += len(content)
        try:
            image_info(content)
        except ImageError:
            self.damaged.append(name)
        return name


def _write(folder: AsideFolder, pairs: PairFile, names: _Names, progress: Progress) -> None:
    """Write the images, the list and the marker to *folder*, and give it its name. Raises OutputError, InputError."""
    marker = {"file": pairs.path.name, "pairs": len(pairs)}
    with folder.writing(_HINT):
        (folder.path / MARKER).write_text(json.dumps(marker) + "\n", encoding="ascii")
        row: list[str] = []
        with (folder.path / LIST_NAME).open("x", encoding="ascii", newline="\n") as listed:
            for number, name, content in names.of(pairs):
                if content is not None:
                    with (folder.path / name).open("xb") as file:
                        file.write(content)
                row.append(name)
                if len(row) == 2:
                    listed.write(f"{' '.join(row)} {int(pairs.same[number // 2 - 1])}\n")
                    row.clear()
                progress(number, number / (2 * len(pairs)))
        disk.sync_file_system(folder.path)
        folder.publish()


def _clear(folder: AsideFolder) -> None:
    """Remove what a killed run has left in *folder*, which is locked. Raises OutputError if anything else is in it."""
    with folder.writing(_HINT):
        if stranger := _find_stranger(folder.path):
            raise OutputError(stranger, path=folder.path, hint="remove it, or choose another folder")
        folder.clear()


def _find_refusal(folder: Path) -> str:
    """Return the reason why *folder* is not to be replaced, or ``""`` for an earlier extraction and nothing else."""
    try:
        json.loads(read_file(folder / MARKER))["pairs"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return NOT_EMPTY
    return _find_stranger(folder)


def _find_stranger(folder: Path) -> str:
    """Return that *folder* holds something that no extraction has written, or ``""``."""
    for entry in folder.iterdir():
        if entry.name not in (MARKER, LIST_NAME, *OF_DESKTOPS) and not _FILE.fullmatch(entry.name):
            return f"holds {entry.name}, which was not extracted, and is not replaced"
    return ""


def _warnings(damaged: list[str]) -> list[str]:
    if not damaged:
        return []
    holds = counted(len(damaged), "file holds no image that can be read", "files hold no images that can be read")
    return [f"{holds}, first {damaged[0]}; they are written as they are stored"]

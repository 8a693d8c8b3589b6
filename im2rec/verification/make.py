"""Make a verification file from a list of pairs: the bytes of the image files, unchanged, in the order of the list."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import overload

from im2rec.errors import InputError, OutputError
from im2rec.format.binfile import encode_bin
from im2rec.format.pairlist import PairList
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.schema import BYTES_OUT, DRY_RUN, FILES, SECONDS, WARNINGS, described
from im2rec.storage.files import PathLike, check_folder, read_file, reading
from im2rec.storage.output import AtomicFile, refuse_existing
from im2rec.verification.doubles import content_digest
from im2rec.verification.pair_list import PairedImage, read_images, read_pair_list
from im2rec.verification.problems import Words, fold_problems, image_problems, pair_problems, size_text


@dataclasses.dataclass
class BinMakeSummary:
    """The result of :func:`make_bin`, as ``--json`` prints it."""

    input: str = described("The list, as it was given.")
    root: str = described("The folder that the paths of the list start from, as it was given.")
    out: str = described("The verification file.")
    form: str = described("Form of the list: `lfw`, `labels`, `two-lines` or `csv`.")
    pairs: int = described("Pairs.")
    same: int = described("Pairs of one person.")
    different: int = described("Pairs of two persons.")
    images: int = described("Image files; one of several pairs counts once.")
    kinds: dict[str, int] = described("Image files by format.")
    sizes: dict[str, int] = described("Image files by size in pixels, as in `112 x 112`: width, then height.")
    bytes_in: int = described("Size of the image files in bytes; one of several pairs counts each time.")
    bytes_out: int = described(f"{BYTES_OUT} 0 in a dry run.")
    warnings: list[str] = described(WARNINGS)
    files: list[str] = described(FILES)
    seconds: float = described(SECONDS)
    dry_run: bool = described(DRY_RUN)


def make_bin(
    pair_list: PathLike,
    root: PathLike,
    out: PathLike,
    *,
    form: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> BinMakeSummary:
    """Write the verification file *out* of the pairs in *pair_list*, whose images are files below the folder *root*.

    The file is a pickle of protocol 4 of a tuple: a list of bytes, two for each pair, and a list of bools, which all
    published readers take. Images are stored as they are: nothing is aligned, scaled or encoded again. *form* is one of
    :data:`~im2rec.format.pairlist.FORMS`, or None to find it out. Files are read twice, to check all of them before
    the first byte is written and to write them, and are not kept in memory. *progress* is called with the number of
    images and the share of the work that is done.

    Raises InputError with the line for a list that cannot be read, and for an image that is missing or none: nothing is
    written then. Raises OutputError if *out* exists, unless *force*, or cannot be written::

        make_bin("pairs.txt", "lfw_112x112", "lfw.bin")

    Source: insightface src/data/lfw2pack.py and recognition/arcface_mxnet/common/build_eval_pack.py.
    """
    started = time.monotonic()
    target = Path(out)
    refuse_existing([target], force=force)
    if target.exists() and target.samefile(pair_list):
        raise OutputError("is the list of pairs itself", path=target, hint="choose another name for the output")
    check_folder(root)
    listed = read_pair_list(pair_list, form)
    total = 2 * len(listed.pairs)
    check = begin_phase(progress, Phase("checking", "image", 0.0, 1.0 if dry_run else 0.5))
    images = read_images(listed, pair_list, root, lambda count: check(count, count / total))
    _refuse_image(target, images)
    same = [pair.same for pair in listed.pairs]
    bytes_out = 0
    if not dry_run:
        write = begin_phase(progress, Phase("writing", "image", 0.5))
        contents = _Contents(images, lambda count: write(count, count / total))
        with AtomicFile(target, force=force) as file:
            for piece in encode_bin(contents, same):
                file.write(piece)
        bytes_out = file.size
    distinct = {image.path: image for image in images}.values()
    return BinMakeSummary(
        input=os.fspath(pair_list),
        root=os.fspath(root),
        out=os.fspath(target),
        form=listed.form,
        pairs=len(same),
        same=sum(same),
        different=len(same) - sum(same),
        images=len(distinct),
        kinds=dict(Counter(image.kind for image in distinct).most_common()),
        sizes=dict(Counter(size_text(image.width, image.height) for image in distinct).most_common()),
        bytes_in=sum(image.nbytes for image in images),
        bytes_out=bytes_out,
        warnings=warnings_of(listed, images),
        files=[os.fspath(target)],
        seconds=round(time.monotonic() - started, 3),
        dry_run=dry_run,
    )


def _refuse_image(target: Path, images: Sequence[PairedImage]) -> None:
    """Raise OutputError if *target*, which is to be replaced, is one of the *images*."""
    if target.exists():
        for path in dict.fromkeys(image.path for image in images):
            if target.samefile(path):
                raise OutputError("is an image of the list", path=target, hint="choose another name for the output")


class _Contents(Sequence[bytes]):
    """The contents of *images*, each read when it is asked for. Raises InputError for one that has changed since."""

    def __init__(self, images: Sequence[PairedImage], progress: Callable[[int], None]) -> None:
        self._images = images
        self._progress = progress

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        image = self._images[index]
        with reading(image.path):
            content = read_file(image.path)
        if content_digest(content) != image.digest:
            raise InputError("was changed while it was read", path=image.path, hint="begin again")
        self._progress(index + 1)
        return content


def warnings_of(listed: PairList, images: Sequence[PairedImage]) -> list[str]:
    """Return a sentence for each thing that is unusual in the pairs of *listed*, whose images in order are *images*."""
    pairs = listed.pairs
    lines = [line for pair in pairs for line in (pair.first.line, pair.second.line)]
    words = Words(
        lambda image: f"line {lines[image]}, {images[image].name}",
        lambda pair: f"line {lines[2 * pair]}",
        lambda _fold, first, last: f"that of {_range(lines[2 * first], lines[2 * last + 1])}",
    )
    same = [pair.same for pair in pairs]
    numbers = {image.path: number for number, image in reversed([*enumerate(images)])}  # the first of each file
    distinct = {number: images[number] for number in sorted(numbers.values())}
    problems = [
        *image_problems(distinct, words),
        *pair_problems([image.digest for image in images], same, words),
        *fold_problems(same, words),
    ]
    return [*(problem.text for problem in problems), *_of_head(listed)]


def _range(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first} to {last}"


def _of_head(listed: PairList) -> Iterator[str]:
    if listed.head is None:
        return
    per_set, sets = listed.head
    same = sum(pair.same for pair in listed.pairs)
    if same != per_set * sets:
        said = f"{per_set * sets:,} pairs of each kind"
        yield f"the first line says {said}; {same:,} are the same, {len(listed.pairs) - same:,} different"

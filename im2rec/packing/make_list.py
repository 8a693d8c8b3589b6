"""From a folder of images to list files: walk, number the classes, shuffle, split, write."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from im2rec.errors import InputError, ParameterError
from im2rec.format.listfile import is_listable, list_line
from im2rec.storage.files import AtomicFile, PathLike, check_folder, read_classes, reason, refuse_existing

DEFAULT_EXTENSIONS = ("jpg", "jpeg", "png")
DEFAULT_SEED = 100  # the reference's, so that its permutation is ours
SPLIT_NAMES = {1: ("",), 2: ("_train", "_test"), 3: ("_train", "_val", "_test")}
HIDDEN, OTHER_SUFFIX, UNLISTABLE = "hidden", "other suffix", "name cannot stand in a list"
LINKED_AGAIN, UNREADABLE, BROKEN = "linked folder walked already", "unreadable folder", "neither file nor folder"
FILE, FOLDER = "file", "folder"
PROBLEMS = (UNLISTABLE, UNREADABLE)


class FoundImage(NamedTuple):
    """An image of the walk: its class and its path below the root, with ``/`` separators."""

    label: int
    path: str


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """How to make lists; *split* holds one to three shares, *extensions* suffixes in any case, dot or not."""

    shuffle: bool = False
    seed: int = DEFAULT_SEED
    split: tuple[float, ...] = (1.0,)
    stratify: bool = False
    flat: bool = False
    extensions: tuple[str, ...] = DEFAULT_EXTENSIONS
    classes: PathLike | None = None
    chunks: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "split", shares(self.split))
        suffixes = (f".{word.strip().lstrip('.').lower()}" for word in self.extensions if word.strip(" ."))
        object.__setattr__(self, "extensions", tuple(suffixes))
        if not self.extensions:
            raise ParameterError("--exts names no suffix", hint="for one: --exts jpg,png")
        if self.chunks < 1:
            raise ParameterError(f"--chunks={self.chunks} must be 1 or more")


@dataclasses.dataclass
class WalkResult:
    """What a folder holds: images in walk order, classes in order of their labels, and what was left out, why."""

    items: list[FoundImage] = dataclasses.field(default_factory=list)
    classes: list[str] = dataclasses.field(default_factory=list)
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    problems: list[str] = dataclasses.field(default_factory=list)  # one line each, for what must be told


@dataclasses.dataclass
class ListSummary:
    """What :func:`make_list` did: images by list file, images by class, what was left out by reason."""

    root: str
    images: int
    classes: dict[str, int]
    left_out: dict[str, int]
    problems: list[str]
    warnings: list[str]
    lists: dict[str, int]
    classes_file: str
    dry_run: bool


def shares(split: Iterable[float]) -> tuple[float, ...]:
    """One to three shares that add up to 1; a single share below 1 gets the rest as its second.

    Raises ParameterError for anything else.
    """
    given = tuple(split)
    shown = ",".join(f"{share:g}" for share in given)
    if not 1 <= len(given) <= 3:
        raise ParameterError(f"--split {shown} has {len(given)} values", hint="give one to three, as in 0.8,0.1,0.1")
    # Written so that NaN is refused too.
    if not all(0 <= share <= 1 for share in given):
        raise ParameterError(f"--split {shown} must hold shares from 0 to 1")
    if len(given) == 1:
        return given if given[0] == 1 else (given[0], 1 - given[0])
    if not math.isclose(sum(given), 1, abs_tol=1e-6):
        raise ParameterError(f"--split {shown} adds up to {sum(given):g}, not to 1")
    return given


def make_list(
    root: PathLike,
    prefix: PathLike | None = None,
    options: ListOptions | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ListSummary:
    """Write ``<prefix>*.lst`` and ``<prefix>.classes.txt`` for the images below *root*.

    *prefix* defaults to the folder's name, in the current directory. *progress* is called with the count of images
    found so far. Nothing appears under a final name before everything is written.
    Raises InputError for a root that is no folder or holds no image, and for a folder missing in ``classes``;
    OutputError when a file exists and *force* is not given; ParameterError.

    Source: mxnet tools/im2rec.py, ``make_list``.
    """
    options = options or ListOptions()
    root = Path(root)
    check_folder(root)
    stem = Path(prefix) if prefix is not None else Path(root.resolve().name or "list")
    if stem.name in ("", ".."):
        raise ParameterError(f"--prefix {os.fspath(prefix or root)!r} has no name to start file names with")
    names = list_names(stem, options)
    classes_path = stem.with_name(stem.name + ".classes.txt")
    refuse_existing(names, force=force)
    fixed = read_classes(options.classes) if options.classes is not None else None
    walk = walk_folder(root, options, fixed, progress)
    if not walk.items:
        raise InputError(f"{root}: holds no images ({', '.join(options.extensions)})", hint=_no_images(walk, options))
    lists = dict(zip(names, divide(walk.items, options), strict=True))
    files = [(name, list_text(entries)) for name, entries in lists.items()]
    classes_text = "".join(f"{name}\n" for name in walk.classes).encode("utf-8", "surrogateescape")
    # The map that came by --classes may be the very file that would be written.
    if not (classes_path.is_file() and classes_path.read_bytes() == classes_text):
        refuse_existing([classes_path], force=force)
        files.append((classes_path, iter([classes_text])))
    if not dry_run:
        _write(files, force=force)
    counts = Counter(item.label for item in walk.items)
    return ListSummary(
        root=os.fspath(root),
        images=len(walk.items),
        classes={name: counts[label] for label, name in enumerate(walk.classes)},
        left_out=dict(walk.left_out),
        problems=walk.problems,
        warnings=_warnings(walk, options, lists, counts),
        lists={os.fspath(name): len(entries) for name, entries in lists.items()},
        classes_file=os.fspath(classes_path),
        dry_run=dry_run,
    )


def walk_folder(
    root: Path, options: ListOptions, fixed: list[str] | None = None, progress: Callable[[int], None] | None = None
) -> WalkResult:
    """Find the images below *root*: in each folder files first, then sub-folders, both in Python's string order.

    A folder takes the next label at its first image, or its line in *fixed*. Hidden files and folders are left out;
    a linked folder is followed once, and not at all when it leads to a folder that is walked anyway: loops end.

    Source: mxnet tools/im2rec.py, ``list_image``.
    """
    walk = WalkResult()
    labels = {name: label for label, name in enumerate(fixed or [])}
    seen: set[tuple[int, int]] = set()
    pending = [""]
    while pending:
        folder = pending.pop()
        files, folders = _entries(root, folder, seen, walk)
        class_ = "." if options.flat else folder or "."
        for name in files:
            path = f"{folder}/{name}" if folder else name
            if not name.lower().endswith(options.extensions) or name.lower() in options.extensions:
                walk.left_out[OTHER_SUFFIX] += 1
            elif not is_listable(path):
                walk.left_out[UNLISTABLE] += 1
                walk.problems.append(f"{path!r}: {UNLISTABLE} (a TAB, a line break, or a blank at an end); rename it")
            elif fixed is not None and class_ not in labels:
                raise InputError(f"{options.classes}: has no line for the folder {class_!r}", hint="add it at the end")
            else:
                walk.items.append(FoundImage(labels.setdefault(class_, len(labels)), path))
        if progress:
            progress(len(walk.items))
        if not options.flat:
            pending += [f"{folder}/{name}" if folder else name for name in reversed(folders)]
    walk.classes = list(labels)
    return walk


def _entries(root: Path, folder: str, seen: set[tuple[int, int]], walk: WalkResult) -> tuple[list[str], list[str]]:
    """Sorted names of the files and of the sub-folders of *folder*, those that are left out counted."""
    files, folders = [], []
    inside = os.path.join(os.path.realpath(root), "")  # noqa: PTH118 - with a separator at its end
    try:
        status = os.stat(root / folder)  # noqa: PTH116 - one call for both numbers
        if (status.st_dev, status.st_ino) in seen:
            walk.left_out[LINKED_AGAIN] += 1
            return [], []
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(root / folder) as entries:
            for entry in entries:
                kind = _kind(entry, inside)
                if kind == FOLDER:
                    folders.append(entry.name)
                elif kind == FILE:
                    files.append(entry.name)
                else:
                    walk.left_out[kind] += 1
    except OSError as error:
        walk.left_out[UNREADABLE] += 1
        walk.problems.append(f"{folder or '.'!r}: {UNREADABLE}: {reason(error)}")
    return sorted(files), sorted(folders)


def _kind(entry: os.DirEntry[str], inside: str) -> str:
    """``FILE``, ``FOLDER``, or why it is left out; a link is what it leads to, but one to a folder below *inside*."""
    if entry.name.startswith("."):
        return HIDDEN
    try:
        if entry.is_dir():
            real = os.path.realpath(entry.path) if entry.is_symlink() else ""
            return LINKED_AGAIN if (real + os.sep).startswith(inside) else FOLDER
        return FILE if entry.is_file() else BROKEN
    except OSError:  # a link that leads to itself
        return BROKEN


def list_names(stem: Path, options: ListOptions) -> list[Path]:
    """The list files that will be written, chunk by chunk."""
    chunks = [""] if options.chunks == 1 else [f"_{chunk}" for chunk in range(options.chunks)]
    parts = SPLIT_NAMES[len(options.split)]
    return [stem.with_name(f"{stem.name}{chunk}{part}.lst") for chunk in chunks for part in parts]


def divide(items: list[FoundImage], options: ListOptions) -> list[list[tuple[int, FoundImage]]]:
    """Shuffle, cut into chunks and split: for each list file its (id, image) pairs; ids are walk positions.

    Source: mxnet tools/im2rec.py, ``write_list`` and ``make_list``; every image is in exactly one list here.
    """
    entries = list(enumerate(items))
    if options.shuffle:
        random.Random(options.seed).shuffle(entries)  # noqa: S311 - the reference's permutation, not a secret
    size = -(-len(entries) // options.chunks)
    if size * (options.chunks - 1) >= len(entries):
        raise ParameterError(f"--chunks={options.chunks} leaves lists empty: {len(entries)} images, {size} in a list")
    chunks = [entries[start : start + size] for start in range(0, len(entries), size)]
    return [part for chunk in chunks for part in _split(chunk, options)]


def _split(entries: list[tuple[int, FoundImage]], options: ListOptions) -> list[list[tuple[int, FoundImage]]]:
    if not options.stratify:
        return list(_cut(entries, split_sizes(len(entries), options.split)))
    groups: dict[int, list[tuple[int, FoundImage]]] = {}
    for entry in entries:
        groups.setdefault(entry[1].label, []).append(entry)
    part_of: dict[int, int] = {}
    owed = [0.0] * len(options.split)  # what rounding has kept from each list so far: the next class makes up for it
    for group in groups.values():
        sizes = split_sizes(len(group), options.split, owed)
        owed = [due + len(group) * share - size for due, share, size in zip(owed, options.split, sizes, strict=True)]
        for number, part in enumerate(_cut(group, sizes)):
            part_of.update((id_, number) for id_, _ in part)
    return [[entry for entry in entries if part_of[entry[0]] == number] for number in range(len(options.split))]


def _cut(entries: list[tuple[int, FoundImage]], sizes: list[int]) -> Iterator[list[tuple[int, FoundImage]]]:
    start = 0
    for size in sizes:
        yield entries[start : start + size]
        start += size


def split_sizes(count: int, split: tuple[float, ...], owed: Sequence[float] = (0.0, 0.0, 0.0)) -> list[int]:
    """Divide *count* by shares so that nothing is lost: each share rounded down or up, by largest remainder.

    *owed* is added to the remainders; of equal ones the earlier share comes first.
    """
    # A share typed as 0.7 is not quite 0.7: without rounding, 0.7 of 10 would be 6 and a remainder of 0.999...
    exact = [round(count * share / sum(split), 6) for share in split]
    sizes = [math.floor(value) for value in exact]
    due = [round(value - size + debt, 6) for value, size, debt in zip(exact, sizes, owed, strict=False)]
    open_to_more = [part for part in range(len(split)) if exact[part] > sizes[part]]
    for part in sorted(open_to_more, key=lambda part: -due[part])[: count - sum(sizes)]:
        sizes[part] += 1
    return sizes


def list_text(entries: list[tuple[int, FoundImage]]) -> Iterator[bytes]:
    """The lines of a list file, in pieces of some thousand."""
    for start in range(0, len(entries), 4096):
        lines = (list_line(id_, (item.label,), item.path) for id_, item in entries[start : start + 4096])
        yield "".join(lines).encode("utf-8", "surrogateescape")


def _write(files: list[tuple[Path, Iterator[bytes]]], *, force: bool) -> None:
    """Write everything aside first, then rename: all files appear, or none."""
    with contextlib.ExitStack() as stack:
        made: list[AtomicFile] = []
        for path, blocks in files:
            made.append(AtomicFile(path, force=force))
            stack.callback(made[-1].discard)
            for block in blocks:
                made[-1].write(block)
            made[-1].finish()
        for file in made:
            file.rename()


def _warnings(
    walk: WalkResult, options: ListOptions, lists: dict[Path, list[tuple[int, FoundImage]]], counts: Counter[int]
) -> list[str]:
    warnings = [f"{name} is empty" for name, entries in lists.items() if not entries]
    missing = [name for label, name in enumerate(walk.classes) if not counts[label]]
    if missing:
        warnings.append(f"{len(missing)} of the {len(walk.classes)} classes have no image, {missing[0]!r} for one")
    name, entries = next(iter(lists.items()))
    first = {item.label for _, item in entries}
    in_walk_order = len(options.split) > 1 and not (options.shuffle or options.stratify)
    if in_walk_order and len(first) < len(counts):
        warnings.append(
            f"{name} has images of {len(first)} of the {len(counts)} classes; --shuffle or --stratify mixes them"
        )
    return warnings


def _no_images(walk: WalkResult, options: ListOptions) -> str:
    if walk.problems:
        return walk.problems[0]
    other = walk.left_out[OTHER_SUFFIX]
    if other:
        return f"{other} files have other suffixes; name them with --exts"
    return "without --flat sub-folders are searched too" if options.flat else "is it the right folder?"

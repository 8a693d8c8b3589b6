"""Make list files from a folder of images: walk, number the classes, shuffle, split, write."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from im2rec.errors import InputError, ParameterError
from im2rec.format.listfile import is_listable
from im2rec.packing.list_files import SPLIT_NAMES, FoundImage, ListFiles
from im2rec.packing.split import shares, split_sizes, stratified_sizes
from im2rec.progress import Phase, begin_phase
from im2rec.schema import CLASSES_FILE, DRY_RUN, IMAGES, WARNINGS, described
from im2rec.storage.classes import SUFFIX, classes_text, read_classes
from im2rec.storage.files import PathLike, check_folder, file_name, name_text, reason
from im2rec.storage.output import EARLIER, JOURNAL, PARTIAL, refuse_existing

DEFAULT_EXTENSIONS = ("jpg", "jpeg", "png")
DEFAULT_SEED = 100  # that of im2rec.py, so that both make the same permutation
HIDDEN, OTHER_SUFFIX, UNLISTABLE = "hidden", "other suffix", "name cannot stand in a list"
LINKED_AGAIN, UNREADABLE, BROKEN = "linked folder walked already", "unreadable folder", "neither file nor folder"
FILE, FOLDER = "file", "folder"
PROBLEMS = (UNLISTABLE, UNREADABLE)
_MAX_NAMES = 10  # of classes in a warning; --json has all
_TOLD_FILES = 2048  # of a folder, to the progress at once
_MAX_SUFFIXES, _MAX_SHOWN_SUFFIXES = 100, 5  # a folder may have as many suffixes as files


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """Options of :func:`make_list`.

    *split* holds one to three shares, *extensions* the suffixes of images, in any case: ``jpg``, ``.jpg``
    or ``*.jpg``. *stratify* splits each class by the shares, *flat* ignores sub-folders, *classes* is the path of a
    file that fixes the labels, one folder per line, and *chunks* is the number of lists of about equal length.
    Raises ParameterError.
    """

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
        suffixes = (f".{word.strip().lstrip('*.').lower()}" for word in self.extensions if word.strip(" *."))
        object.__setattr__(self, "extensions", tuple(suffixes))
        if not self.extensions:
            raise ParameterError("--exts names no suffix", hint="for one: --exts jpg,png")
        if self.chunks < 1:
            raise ParameterError(f"--chunks={self.chunks} must be 1 or more")


@dataclasses.dataclass
class WalkResult:
    """The content of a folder: images in walk order, classes in order of their labels, and counts of what is left out.

    *left_out* counts files and folders by reason, *suffixes* those of other suffixes by suffix, in lower case;
    *problems* has one line for each that the user should see.
    """

    images: list[FoundImage] = dataclasses.field(default_factory=list)
    classes: list[str] = dataclasses.field(default_factory=list)
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    suffixes: Counter[str] = dataclasses.field(default_factory=Counter)
    problems: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class ListSummary:
    """The result of :func:`make_list`, as ``--json`` prints it."""

    input: str = described("The folder ROOT, as it was given.")
    images: int = described(IMAGES)
    classes: int = described("Classes, that is folders with images, and those of `--classes`.")
    class_images: dict[str, int] = described("Images of each class, by name, in order of the labels.")
    left_out: dict[str, int] = described("Files or records that were left out, by reason.")
    problems: list[str] = described("Problems, a sentence each.")
    warnings: list[str] = described(WARNINGS)
    lists: dict[str, int] = described("Images in each list, by path of the list.")
    classes_file: str = described(CLASSES_FILE)
    dry_run: bool = described(DRY_RUN)
    left_out_suffixes: dict[str, int] = described(
        "Files that were left out for their suffix, by suffix in lower case: the 100 most common ones.", factory=dict
    )
    classes_without_train: list[str] = described(
        "Classes of which a split has no image in the first list, with chunks in that of any chunk.", factory=list
    )


def make_list(
    root: PathLike,
    prefix: PathLike | None = None,
    options: ListOptions | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[..., None] | None = None,
) -> ListSummary:
    """Write ``<prefix>*.lst`` and ``<prefix>.classes.txt`` for the images below *root*.

    *prefix* defaults to the folder's name, in the current directory. *progress* is called with the number of images
    found so far; what takes phases is then told of the lines that are written, too. No file has its final name before
    all files are written. A dry run writes nothing. Raises InputError for a root that is not a folder or holds no
    image, and for a folder without a line in ``classes``; OutputError when a file exists and *force* is not given;
    ParameterError::

        make_list("photos", "photos", ListOptions(shuffle=True, split=(0.8, 0.2)))

    Source: mxnet tools/im2rec.py, ``make_list``.
    """
    options = options or ListOptions()
    root = Path(root)
    check_folder(root)
    stem = find_stem(root, prefix)
    names = list_names(stem, options)
    classes_path = stem.with_name(stem.name + SUFFIX)
    refuse_existing(names, force=force)
    fixed_classes = read_classes(options.classes) if options.classes is not None else None
    with contextlib.nullcontext() if dry_run else ListFiles(stem, names, force=force) as files:
        walk = walk_folder(root, options, fixed_classes, progress)
        if not walk.images:
            raise InputError(
                f"holds no images ({', '.join(options.extensions)})", path=root, hint=_hint_for_no_images(walk, options)
            )
        lists = dict(zip(names, divide(walk.images, options), strict=True))
        classes_content = classes_text(walk.classes)
        # The file given by --classes may be the very one that would be written: that needs no --force.
        writes_classes = not (classes_path.is_file() and classes_path.read_bytes() == classes_content)
        if writes_classes:
            refuse_existing([classes_path], force=force)
        if files is not None:
            report = begin_phase(progress, Phase("writing", "line")) if hasattr(progress, "begin_phase") else None
            files.write(list(lists.values()), classes_content if writes_classes else None, report)
    counts = Counter(image.label for image in walk.images)
    untrained = _classes_without_train(walk, options, list(lists.values()), counts)
    return ListSummary(
        input=os.fspath(root),
        images=len(walk.images),
        classes=len(walk.classes),
        class_images={name: counts[label] for label, name in enumerate(walk.classes)},
        left_out=dict(walk.left_out),
        problems=walk.problems,
        warnings=_warnings(walk, options, lists, counts, untrained),
        lists={os.fspath(name): len(entries) for name, entries in lists.items()},
        classes_file=os.fspath(classes_path),
        dry_run=dry_run,
        left_out_suffixes=dict(walk.suffixes.most_common(_MAX_SUFFIXES)),
        classes_without_train=untrained,
    )


def find_stem(root: PathLike, prefix: PathLike | None) -> Path:
    """Return the start of the names of the files: *prefix*, or the name of the folder *root*. Raises ParameterError."""
    stem = Path(prefix) if prefix is not None else Path(Path(root).resolve().name or "list")
    if stem.name in ("", ".."):
        raise ParameterError(f"--prefix {os.fspath(prefix or root)!r} has no name to start file names with")
    return stem


def walk_folder(
    root: Path,
    options: ListOptions,
    fixed_classes: list[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> WalkResult:
    """Find the images below *root*: in each folder files first, then sub-folders, both in Python's string order.

    The label of a folder is its number in *fixed_classes*; without them, a folder gets the next label at its first
    image. Hidden files and folders are left out, and what unfinished runs of im2rec have written. A link to a folder is
    followed once, and not at all when it leads to a folder below *root*, so that a loop of links ends. Raises
    InputError for a folder that is not in *fixed_classes*.

    Source: mxnet tools/im2rec.py, ``list_image``.
    """
    walk = WalkResult()
    labels = {name: label for label, name in enumerate(fixed_classes or [])}
    visited: set[tuple[int, int]] = set()
    real_root = os.path.join(os.path.realpath(root), "")  # noqa: PTH118 - with a separator at its end
    pending = [""]
    listed = 0

    def tell(names: list[str]) -> None:
        nonlocal listed
        listed += sum(_is_image(name, options) for name in names)
        if progress:
            progress(len(walk.images) + listed)

    while pending:
        folder, listed = pending.pop(), 0
        files, folders = _list_folder(root / file_name(folder), folder, real_root, visited, walk, tell)
        class_ = "." if options.flat else folder or "."
        for name in files:
            path = f"{folder}/{name}" if folder else name
            if not _is_image(name, options):
                walk.left_out[OTHER_SUFFIX] += 1
                walk.suffixes[os.path.splitext(name)[1].lower()] += 1  # noqa: PTH122 - a tenth of the time of Path
            elif not is_listable(path):
                walk.left_out[UNLISTABLE] += 1
                walk.problems.append(f"{path!r}: {UNLISTABLE} (a TAB, a line break, or a blank at an end); rename it")
            elif fixed_classes is not None and class_ not in labels:
                raise InputError(
                    f"has no line for the folder {class_!r}", path=options.classes, hint="add it at the end"
                )
            else:
                walk.images.append(FoundImage(labels.setdefault(class_, len(labels)), path))
        if progress:
            progress(len(walk.images))
        if not options.flat:
            pending += [f"{folder}/{name}" if folder else name for name in reversed(folders)]
    walk.classes = list(labels)
    return walk


def _is_image(name: str, options: ListOptions) -> bool:
    """True if the file *name* has one of the suffixes, and more than that."""
    return name.lower().endswith(options.extensions) and name.lower() not in options.extensions


def _list_folder(
    path: Path,
    folder: str,
    real_root: str,
    visited: set[tuple[int, int]],
    walk: WalkResult,
    tell: Callable[[list[str]], None],
) -> tuple[list[str], list[str]]:
    """Return the sorted names of the files and of the sub-folders at *path*; count in *walk* what is left out.

    *folder* is its name in messages, *real_root* as for :func:`_entry_kind`. *visited* holds device and inode of every
    folder walked so far. *tell* is called with the names of files, some thousand at a time.
    """
    files, folders = [], []
    try:
        status = os.stat(path)  # noqa: PTH116 - one call for both numbers
        if (status.st_dev, status.st_ino) in visited:
            walk.left_out[LINKED_AGAIN] += 1
            return [], []
        visited.add((status.st_dev, status.st_ino))
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.endswith((PARTIAL, JOURNAL, EARLIER)):  # of runs that are unfinished, this one among them
                    continue
                kind = _entry_kind(entry, real_root)
                if kind == FOLDER:
                    folders.append(name_text(entry.name))
                elif kind == FILE:
                    files.append(name_text(entry.name))
                    if len(files) % _TOLD_FILES == 0:
                        tell(files[-_TOLD_FILES:])
                else:
                    walk.left_out[kind] += 1
    except OSError as error:
        walk.left_out[UNREADABLE] += 1
        walk.problems.append(f"{folder or '.'!r}: {UNREADABLE}: {reason(error)}")
    return sorted(files), sorted(folders)


def _entry_kind(entry: os.DirEntry[str], real_root: str) -> str:
    """Return ``FILE``, ``FOLDER``, or the reason to leave *entry* out.

    A link counts as what it leads to; one that leads to a folder below *real_root* is left out.
    """
    if entry.name.startswith("."):
        return HIDDEN
    try:
        if entry.is_dir():
            real = os.path.realpath(entry.path) if entry.is_symlink() else ""
            return LINKED_AGAIN if (real + os.sep).startswith(real_root) else FOLDER
        return FILE if entry.is_file() else BROKEN
    except OSError:  # a link that leads to itself
        return BROKEN


def list_names(stem: Path, options: ListOptions) -> list[Path]:
    """Return the paths of all list files, chunk by chunk: ``<stem>_0_train.lst``, ``<stem>_0_test.lst``, ..."""
    chunks = [""] if options.chunks == 1 else [f"_{chunk}" for chunk in range(options.chunks)]
    parts = SPLIT_NAMES[len(options.split)]
    return [stem.with_name(f"{stem.name}{chunk}{part}.lst") for chunk in chunks for part in parts]


def divide(images: list[FoundImage], options: ListOptions) -> list[list[tuple[int, FoundImage]]]:
    """Shuffle *images*, cut them into chunks and split these: (id, image) pairs for each list file.

    The id of an image is its number in walk order, from 0. Raises ParameterError for more chunks than can be filled.

    Source: mxnet tools/im2rec.py, ``write_list`` and ``make_list``; every image is in exactly one list here.
    """
    entries = list(enumerate(images))
    if options.shuffle:
        random.Random(options.seed).shuffle(entries)  # noqa: S311 - the reference's permutation, not a secret
    size = -(-len(entries) // options.chunks)
    if size * (options.chunks - 1) >= len(entries):
        raise ParameterError(f"--chunks={options.chunks} leaves lists empty: {len(entries)} images, {size} in a list")
    chunks = [entries[start : start + size] for start in range(0, len(entries), size)]
    return [part for chunk in chunks for part in _split(chunk, options)]


def _split(entries: list[tuple[int, FoundImage]], options: ListOptions) -> list[list[tuple[int, FoundImage]]]:
    """Split the (id, image) pairs of one chunk by the shares of *options*, class by class with ``stratify``."""
    if not options.stratify:
        return list(_cut(entries, split_sizes(len(entries), options.split)))
    groups: dict[int, list[tuple[int, FoundImage]]] = {}
    for entry in entries:
        groups.setdefault(entry[1].label, []).append(entry)
    part_of: dict[int, int] = {}
    sizes = stratified_sizes(list(map(len, groups.values())), options.split)
    for group, group_sizes in zip(groups.values(), sizes, strict=True):
        for number, part in enumerate(_cut(group, group_sizes)):
            part_of.update((id_, number) for id_, _ in part)
    parts: list[list[tuple[int, FoundImage]]] = [[] for _ in options.split]
    for entry in entries:
        parts[part_of[entry[0]]].append(entry)
    return parts


def _cut(entries: list[tuple[int, FoundImage]], sizes: Sequence[int]) -> Iterator[list[tuple[int, FoundImage]]]:
    """Yield consecutive slices of *entries* with these sizes."""
    start = 0
    for size in sizes:
        yield entries[start : start + size]
        start += size


def _classes_without_train(
    walk: WalkResult, options: ListOptions, lists: list[list[tuple[int, FoundImage]]], counts: Counter[int]
) -> list[str]:
    """Return the classes with images of which none is in the first list of a chunk; without a split, none."""
    if len(options.split) == 1 or not options.split[0]:
        return []
    train = {image.label for entries in lists[:: len(options.split)] for _, image in entries}
    return [name for label, name in enumerate(walk.classes) if counts[label] and label not in train]


def _warnings(
    walk: WalkResult,
    options: ListOptions,
    lists: dict[Path, list[tuple[int, FoundImage]]],
    counts: Counter[int],
    untrained: list[str],
) -> list[str]:
    warnings = [f"{name} is empty" for name, entries in lists.items() if not entries]
    missing = [name for label, name in enumerate(walk.classes) if not counts[label]]
    if missing:
        have = "have" if len(missing) > 1 else "has"
        warnings.append(f"{len(missing)} of the {len(walk.classes)} classes {have} no image, {missing[0]!r} for one")
    if options.stratify and len(options.split) == 1:
        warnings.append("--stratify has no effect without --split")
    if options.seed != DEFAULT_SEED and not options.shuffle:
        warnings.append("--seed has no effect without --shuffle")
    if not untrained:
        return warnings
    name = next(iter(lists))
    if options.shuffle or options.stratify:
        some = " and other chunks" if options.chunks > 1 else ""
        more = f" and {len(untrained) - _MAX_NAMES:,} more" if len(untrained) > _MAX_NAMES else ""
        shown = ", ".join(map(repr, untrained[:_MAX_NAMES]))
        warnings.append(f"{name}{some}: no image of {len(untrained):,} of {len(counts):,} classes: {shown}{more}")
    else:
        warnings.append(
            f"{name} has images of {len(counts) - len(untrained)} of the {len(counts)} classes;"
            " --shuffle or --stratify mixes them"
        )
    return warnings


def _hint_for_no_images(walk: WalkResult, options: ListOptions) -> str:
    if walk.problems:
        return walk.problems[0]
    if walk.suffixes:
        return f"other suffixes: {counted_suffixes(walk.suffixes)}"
    return "without --flat sub-folders are searched too" if options.flat else "is it the right folder?"


def counted_suffixes(suffixes: Mapping[str, int]) -> str:
    """Return ``.gif (12), .txt (1) and 2 more; list them with --exts`` for counts by suffix, the most common first."""
    by_count = sorted(suffixes.items(), key=lambda item: -item[1])
    shown = [f"{suffix or 'no suffix'} ({count:,})" for suffix, count in by_count[:_MAX_SHOWN_SUFFIXES]]
    more = len(by_count) - _MAX_SHOWN_SUFFIXES
    advice = "list them with --exts" + (" (convert HEIC to JPEG first)" if {".heic", ".heif"} & suffixes.keys() else "")
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "") + f"; {advice}"

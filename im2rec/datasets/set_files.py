"""The files that ``import`` writes: a ``.rec``, an index, a list and class names of each split, and of the set."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from im2rec.datasets.sets import CIFAR10, CIFAR100, MNIST, SETS, TEST, TRAIN
from im2rec.errors import OutputError
from im2rec.storage import disk
from im2rec.storage.classes import SUFFIX
from im2rec.storage.digest import digest_path
from im2rec.storage.files import PathLike
from im2rec.storage.output import (
    AtomicFile,
    check_output_folder,
    publish_all,
    refuse_existing,
    remove_leftover,
    writing,
)
from im2rec.storage.output_folder import make_folders
from im2rec.storage.writer import RecordWriter

_LISTS = {(CIFAR10, TRAIN): "image.lst"}  # as MXNet's manual calls it
_CLASSES, _COARSE_CLASSES = "classes.txt", "coarse_classes.txt"


def output_files(name: str, out: PathLike, splits: Iterable[str] = (TRAIN, TEST)) -> list[Path]:
    """Return the paths of all files that importing the set *name* writes to the folder *out*."""
    splits = list(splits)
    names = [file for split in splits for file in (f"{split}.rec", f"{split}.idx", _list_name(name, split))]
    return [Path(out, file) for file in (*names, *_label_files(name, splits), *_class_files(name))]


def check_output(name: str, out: PathLike, splits: Iterable[str] = (TRAIN, TEST), *, force: bool) -> None:
    """Raise OutputError if *out* cannot be made or, without *force*, contains a file that would be written or removed.

    Old digests would be removed, and class names beside a ``.rec`` of another set.
    """
    out, splits = Path(out), list(splits)
    check_output_folder(out)
    if out.is_dir():
        digests = [digest_path(out / f"{split}.rec") for split in splits]
        refuse_existing([*output_files(name, out, splits), *digests, *_other_names(name, out, splits)], force=force)


def _list_name(name: str, split: str) -> str:
    return _LISTS.get((name, split), f"{split}.lst")


def _class_files(name: str) -> list[str]:
    return [_CLASSES, *([_COARSE_CLASSES] if name == CIFAR100 else [])]


def _label_files(name: str, splits: Iterable[str]) -> list[str]:
    """Return the names of the files by which the ``.rec`` of each split gets class names; none for MNIST's digits."""
    return [] if name == MNIST else [f"{split}{SUFFIX}" for split in splits]


def _other_names(name: str, out: Path, splits: Iterable[str]) -> list[Path]:
    """Return the paths at which class names of another set would be taken for those of the set *name*."""
    return [out / f"{split}{SUFFIX}" for split in splits] if name == MNIST else []


class SetFiles:
    """The files of the set *name* in the folder *out*, written under temporary names and locked from the start.

    ``records`` and ``lists`` are the writers of each split, ``labels`` the files with the names of the labels that are
    stored, one beside each ``.rec``, and ``classes`` those with all class names of the set. *out* is made if it is
    missing. What a killed run has left is written over or removed. The ``with`` block removes what is not published.
    Raises OutputError, also while another run writes one of the files.
    """

    def __init__(self, name: str, out: Path, splits: Iterable[str], *, force: bool) -> None:
        self.records: dict[str, RecordWriter] = {}
        self.lists: dict[str, AtomicFile] = {}
        self.labels: list[AtomicFile] = []
        self.classes: list[AtomicFile] = []
        self._force = force
        splits = list(splits)
        self._other_names = _other_names(name, out, splits)
        with contextlib.ExitStack() as stack:
            stack.enter_context(make_folders(out))
            for split in splits:
                self.records[split] = RecordWriter(out / f"{split}.rec", force=force)
                stack.callback(self.records[split].discard)
                self.lists[split] = AtomicFile(out / _list_name(name, split), force=force)
                stack.callback(self.lists[split].discard)
            for files, names in ((self.labels, _label_files(name, splits)), (self.classes, _class_files(name))):
                for file in names:
                    files.append(AtomicFile(out / file, force=force))
                    stack.callback(files[-1].discard)
            self._remove_leftovers(out)
            self._resources = stack.pop_all()

    def _remove_leftovers(self, out: Path) -> None:
        """Remove what killed runs of other sets have left in *out*."""
        texts = {_list_name(name, split) for name in SETS for split in (TRAIN, TEST)}.union(*map(_class_files, SETS))
        texts |= {file for name in SETS for file in _label_files(name, (TRAIN, TEST))}
        for text in texts - {file.path.name for file in self._texts()}:
            with contextlib.suppress(OutputError):  # of a run that is not dead
                remove_leftover(out / text)

    def _texts(self) -> list[AtomicFile]:
        return [*self.lists.values(), *self.labels, *self.classes]

    def publish(self) -> None:
        """Give all files their names, when all are on the disk. Raises OutputError, which says what stands then."""
        writers, texts = list(self.records.values()), self._texts()
        for writer in writers:
            writer.finish()
        for text in texts:
            text.finish()
        paths = [path for writer in writers for path in (writer.path, writer.index_path, writer.digest_path)]
        paths += [*(text.path for text in texts), *self._other_names]
        refuse_existing(paths, force=self._force)  # written by another meanwhile
        named: list[str] = []
        try:
            if self._force:  # so that no list is beside a .rec of another run
                for path in (*(text.path for text in texts), *self._other_names):
                    with writing(path):
                        disk.remove(path)
            for writer in writers:
                writer.publish()
                named.append(os.fspath(writer.path))
            publish_all(texts, force=self._force)
        except OutputError as error:
            error.hint += "".join(f"; {path} is complete" for path in named)
            raise

    def __enter__(self) -> SetFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

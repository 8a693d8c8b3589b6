"""The labels of merged sets: behind each other, by class names, or as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from im2rec.errors import InputError, ParameterError, counted
from im2rec.format.listfile import EXACT_INTEGERS
from im2rec.rewriting.sources import Counts, Source
from im2rec.storage.classes import ClassNames, read_classes
from im2rec.storage.files import PathLike


class ClassPlan(NamedTuple):
    """The new labels: ``labels[i][c]`` (int64) is that of the class c of the set i.

    *offsets* are the new labels of the class 0 of each set; None if names decide. *names* are the names of the new
    classes, or None. *warnings* are for the user.
    """

    labels: list[Counts]
    offsets: list[int] | None
    names: list[str] | None
    warnings: list[str]

    def counts(self, sources: Sequence[Source]) -> Counts:
        """Return the number of images of each new label (int64), from 0 to the largest."""
        largest = max((int(new[source.counts > 0].max()) for new, source in self._with_images(sources)), default=-1)
        counts = np.zeros(largest + 1, np.int64)
        for new, source in self._with_images(sources):
            is_used = source.counts > 0
            counts[new[is_used]] += source.counts[is_used]  # a set has no two classes of one new label
        return counts

    def _with_images(self, sources: Sequence[Source]) -> list[tuple[Counts, Source]]:
        return [(new, source) for new, source in zip(self.labels, sources, strict=True) if source.images]


def plan_offsets(sources: Sequence[Source]) -> ClassPlan:
    """Give each set the labels behind those of the sets before it: of all classes up to its largest, and of its names.

    Numbers without images stay without. Raises ParameterError for labels that float32 would round.
    """
    offsets, first = [], 0
    for source in sources:
        offsets.append(first)
        first += max(source.largest + 1, len(source.names.names) if source.names else 0)
    if first - 1 > EXACT_INTEGERS:
        problem = f"the labels of the sets behind each other go up to {first - 1:,}, and they are exact up to"
        hint = "number the classes of the sets anew: im2rec select --relabel"
        raise ParameterError(f"{problem} {EXACT_INTEGERS:,}", hint=hint)
    labels = [np.arange(len(source.counts)) + offset for source, offset in zip(sources, offsets, strict=True)]
    names, warnings = _joined_names(sources)
    return ClassPlan(labels, offsets, names, warnings)


def _joined_names(sources: Sequence[Source]) -> tuple[list[str] | None, list[str]]:
    """Return the names of all sets behind each other, and warnings why there are none."""
    named = [source for source in sources if source.names]
    if not named:
        return None, []
    without = [source for source in sources if source.names is None]
    short = [source for source in named if source.names and len(source.names.names) <= source.largest]
    if without or short:
        wrong = (without or short)[0]
        why = "has no class names beside it" if without else "has classes behind the last one that has a name"
        return None, [f"{wrong.path}: {why}, so none are written"]
    names = [name for source in named if source.names for name in source.names.names]
    seen: set[str] = set()
    doubled = [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    if not doubled:
        return names, []
    what = counted(len(doubled), "class name is", "class names are")
    why = f"{what} in more than one set, as {doubled[0]!r}: different classes in the new set, so no names are written"
    return None, [f"{why} (--classes gives classes of one name one label)"]


def plan_names(sources: Sequence[Source], path: PathLike) -> ClassPlan:
    """Give each class the label of its name in the file *path*, a name a line; the first one has the label 0.

    Raises InputError for a set without class names, and for a class with images without a name, in its own file or in
    that of *path*.
    """
    names = read_classes(path)
    label_of = {name: label for label, name in enumerate(names)}
    labels = []
    for source in sources:
        if source.names is None:
            hint = "write them there, a name a line; the first is that of the label 0"
            raise InputError("has no class names beside it, as NAME.classes.txt", path=source.path, hint=hint)
        new = np.zeros(len(source.counts), np.int64)
        for old in np.flatnonzero(source.counts).tolist():
            name = _name_of(source.names, old, source)
            if name not in label_of:
                hint = f"add it to {path}, or leave the class out: im2rec select"
                problem = f"the class {name!r} ({counted(int(source.counts[old]), 'image')}) is not in {path}"
                raise InputError(problem, path=source.path, hint=hint)
            new[old] = label_of[name]
        labels.append(new)
    return ClassPlan(labels, None, names, [])


def _name_of(names: ClassNames, label: int, source: Source) -> str:
    name = names.name_of(label)
    if name is None:
        problem = f"has no name for the label {label}, of {counted(int(source.counts[label]), 'image')}"
        raise InputError(problem, path=names.path, hint=f"it has {counted(len(names.names), 'line')}")
    return name


def plan_same(sources: Sequence[Source]) -> ClassPlan:
    """Leave all labels as they are. Raises InputError if the class names beside two sets differ."""
    longest: ClassNames | None = None
    for source in sources:
        if source.names is None:
            continue
        if longest is not None:
            for line, (one, other) in enumerate(zip(longest.names, source.names.names, strict=False), 1):
                if one != other:
                    problem = f"names the label {line - 1} {other!r}, and {longest.path} names it {one!r}"
                    hint = "--classes FILE gives classes of one name one label"
                    raise InputError(problem, path=source.names.path, line=line, hint=hint)
        if longest is None or len(source.names.names) > len(longest.names):
            longest = source.names
    labels = [np.arange(len(source.counts)) for source in sources]
    return ClassPlan(labels, [0] * len(sources), longest.names if longest else None, [])

"""Merge sets of images into one: new keys, ids and labels, contents byte for byte."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from im2rec.errors import CorruptRecordError
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.rewriting.merge_report import MergeOptions, MergeSummary
from im2rec.rewriting.merge_run import Merge, companions_of
from im2rec.rewriting.output import refuse_inputs
from im2rec.rewriting.sources import Source, check_inputs
from im2rec.storage.companions import index_to_write
from im2rec.storage.digest import digest_path
from im2rec.storage.files import PathLike

_LABELS_SHARE = 0.1  # of the progress: reading all labels is the shorter part of the work


def merge(
    inputs: Iterable[PathLike],
    out: PathLike,
    options: MergeOptions | None = None,
    *,
    force: bool = False,
    digest: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> MergeSummary:
    """Merge the sets *inputs*, paths of ``.rec`` files, to *out*: all their images, with new keys, ids and labels.

    The ids are the keys: from 1 on in a set with a header record, where the images of a class follow one another, from
    0 on in others. Tables beside *out* tell of each image and each class where it comes from. Of damaged sets all whole
    records are merged. Memory: 8 bytes a record for the images that are there twice, 4 if the images are ordered by
    class, and where the records are, which is mapped from the cache. A dry run does all but write. *progress* is called
    with the number of sets whose labels are read, then of images, and the share of the whole work that is done.

    Raises InputError for a set that cannot be used, CorruptRecordError, IndexFormatError, ParameterError, and
    OutputError when a file exists, unless *force*, or cannot be written::

        merge(["ms1mv3/train.rec", "own/train.rec"], "merged/train.rec", MergeOptions(drop_same=True))
    """
    started = time.monotonic()
    options, target, paths = options or MergeOptions(), Path(out), list(map(Path, inputs))
    check_inputs(paths)
    refuse_inputs(outputs_of(target), paths)
    damaged: set[Path] = set()
    while True:
        try:
            with contextlib.ExitStack() as stack:
                report = begin_phase(progress, Phase("reading labels", "set", 0.0, _LABELS_SHARE))
                sources = []
                for number, each in enumerate(paths, 1):
                    sources.append(_opened(each, stack, skip=each in damaged))
                    report(number, number / len(paths))
                run = Merge(sources, target, options, force=force, digest=digest, dry_run=dry_run)
                run.work(begin_phase(progress, Phase("merging", "image", _LABELS_SHARE)))
                summary = run.summary()
                break
        except CorruptRecordError as error:
            # The index has hidden damage until the record was read: begin again, with a scan of that file.
            path = next((path for path in paths if error.path is not None and path == Path(error.path)), None)
            if path is None or path in damaged:
                raise
            damaged.add(path)
    summary.seconds = round(time.monotonic() - started, 3)
    return summary


def outputs_of(out: PathLike) -> list[Path]:
    """Return the paths that *out* and the files beside it may have."""
    target = Path(out)
    return [target, index_to_write(target), digest_path(target), *companions_of(target)]


def _opened(path: Path, stack: contextlib.ExitStack, *, skip: bool) -> Source:
    source = Source(path, skip=skip)
    stack.callback(source.close)
    return source

"""Select records of a ``.rec`` to a new one: contents byte for byte, new index, header record and class names."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from pathlib import Path

from im2rec.errors import CorruptRecordError
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.rewriting.output import NewSet, check_outputs, refuse_inputs
from im2rec.rewriting.select_report import SelectSummary
from im2rec.rewriting.selected_set import SelectedSet, SelectOptions, companions_of, files_of
from im2rec.selection.filters import HeaderFile
from im2rec.selection.headers import LabelledFile, ScannedFile
from im2rec.storage.files import PathLike

_SCAN_SHARE = 0.1  # of the progress: reading all headers is the shorter part of the work
_DECODED_SHARE = 0.9  # up to here all images are decoded, if that is asked for; copying takes far less
_READING = Phase("reading headers", "record", 0.0, _SCAN_SHARE)
_VERIFYING = Phase("verifying", "record", _SCAN_SHARE, _DECODED_SHARE)


def select(
    rec: PathLike,
    out: PathLike,
    options: SelectOptions | None = None,
    *,
    force: bool = False,
    digest: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> SelectSummary:
    """Write the images of *rec* that *options* select to the new file *out*, its index, and the class names.

    The payloads stay as they are, but for labels and ids that *options* change. Tables beside *out* lead back from new
    labels and keys to the old ones. A set with a header record gets a new one, with identity records and the
    ``property`` file; its images are grouped by class then. Of a damaged file all whole records are selected, and the
    damage is in the summary. Memory: some 40 bytes a record, and a few pieces of some megabytes. *progress* is called
    with the number of records whose headers are read, then of those decoded and of those written, and the share of the
    whole work. A dry run reads the headers, decodes what *options* let decode, and writes nothing.

    Raises InputError when *rec* cannot be used or no image is selected, IndexFormatError, CorruptRecordError,
    ParameterError, WorkerDiedError when no process that decodes can be started, and OutputError when a file exists,
    unless *force*, or cannot be written::

        select("train.rec", "small/train.rec", SelectOptions(min_images=5, relabel=True))
    """
    started = time.monotonic()
    options, report = options or SelectOptions(), begin_phase(progress, _READING)
    source, target = Path(rec), Path(out)
    refuse_inputs(outputs_of(target), [source])
    check_outputs(outputs_of(target), force=force)
    run = functools.partial(
        _selected, target=target, options=options, force=force, digest=digest, dry_run=dry_run, progress=progress
    )
    try:
        summary = run(LabelledFile(rec, index=options.index, progress=report))
    except CorruptRecordError:
        report = begin_phase(progress, _READING)
        summary = run(ScannedFile(rec, index=options.index, doubtful=options.doubtful, progress=report))
    summary.seconds = round(time.monotonic() - started, 3)
    return summary


def _selected(
    file: HeaderFile,
    *,
    target: Path,
    options: SelectOptions,
    force: bool,
    digest: bool,
    dry_run: bool,
    progress: Progress | None,
) -> SelectSummary:
    """Select records of *file*, and close it. Raises what :func:`select` does."""
    with file:
        verifying = functools.partial(begin_phase, progress, _VERIFYING)
        run = SelectedSet(file, target, options, verifying)
        run.prepare_companions(force=force)
        files = run.planned_files(digest=digest)
        if not dry_run:
            copying_from = _DECODED_SHARE if options.decodable else _SCAN_SHARE
            with contextlib.closing(NewSet(target, run.companions, force=force, digest=digest)) as output:
                run.write(output, begin_phase(progress, Phase("copying", "record", copying_from)))
                files = output.publish()
        summary = run.summary()
    summary.files, summary.dry_run = list(map(os.fspath, files)), dry_run
    return summary


def outputs_of(out: PathLike) -> list[Path]:
    """Return the paths that *out* and the files beside it may have."""
    return [*files_of(Path(out)), *companions_of(Path(out))]

"""The command ``im2rec cache``."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import click

from im2rec.cli.console import PATH, Console, common_options, dry_run_option, path_word, table, unbroken
from im2rec.cli.exit_codes import ExitCode
from im2rec.datasets import download
from im2rec.errors import InputError, OutputError, ParameterError, counted, human_size
from im2rec.folders import VARIABLE, cache_folder
from im2rec.jpeg import cache as compiled_code
from im2rec.schema import DRY_RUN, described
from im2rec.storage import array_cache
from im2rec.storage.files import reason

INDEX, LABELS, DOWNLOAD, CODE, UNFINISHED = "index", "labels", "download", "code", "unfinished"
CURRENT, OUTDATED, GONE, AT_WORK, KILLED = "current", "outdated", "gone", "at work", "killed"
_LINES = 12  # of the table, with the next command
_STATES = {OUTDATED: "made from an older file", GONE: "of a file that is gone"}
_ONLY_WITH_ALL = (DOWNLOAD, CODE)


@dataclasses.dataclass
class CacheEntry:
    """What the cache holds of one file."""

    kind: str = described(
        f"`{INDEX}`: where the records are; `{LABELS}`; `{DOWNLOAD}`: a file of a published set; `{CODE}`: the "
        f"compiled JPEG decoder; `{UNFINISHED}`: an index or labels that were not written to the end."
    )
    made_from: str = described("The `.rec`, or the name of the published set; empty for the others.")
    state: str = described(
        f"`{CURRENT}`, `{OUTDATED}` (the `.rec` or its index has changed since), `{GONE}` (there is no such `.rec`); "
        f"of an unfinished one `{AT_WORK}` (it may be), or `{KILLED}` after a day."
    )
    records: int | None = described("Records of the `.rec`; null for all other kinds.")
    path: str = described("The file, or the folder of several, in the cache.")
    bytes: int = described("Size in bytes.")


@dataclasses.dataclass
class CacheSummary:
    """What the cache holds; with ``--clear`` what is removed from it."""

    folder: str | None = described("The folder of the cache; null if there is none.")
    reason: str = described("Why there is no folder; empty if there is one.")
    entries: list[CacheEntry] = described("What lies in the cache, or with `--clear` what is removed; largest first.")
    bytes: int = described("Size of all entries in bytes.")
    left: list[CacheEntry] = described("With `--clear`, the entries that are not removed; largest first.")
    cleared: bool = described("Whether `--clear` was given.")
    dry_run: bool = described(DRY_RUN)


class _Found(NamedTuple):
    """An entry, the files that it was made from, and the function that removes it."""

    entry: CacheEntry
    paths: list[Path]
    remove: Callable[[], None]


@click.command("cache")
@click.argument("recs", metavar="[REC]...", nargs=-1, type=PATH)
@click.option("--clear", is_flag=True, help="Remove indexes and labels, or those of each REC.")
@click.option("--all", "every", is_flag=True, help="With --clear: remove downloads and compiled code, too.")
@dry_run_option
@common_options(writes=False)
def command(console: Console, recs: tuple[Path, ...], clear: bool, every: bool, dry_run: bool) -> ExitCode:
    """List what is kept between runs, or remove it.

    The indexes and the labels of .rec files with 1,000 records or more are kept in the user's cache, so that a file is
    opened in a few milliseconds the next time. When a file has changed, they are made anew. The cache also holds the
    files of im2rec import --download, and the compiled JPEG decoder where the folder of im2rec itself cannot be
    written.

    All of it can be made or downloaded again. The folder is $IM2REC_CACHE if that is set, else that of the system for
    the user, such as ~/.cache/im2rec. IM2REC_CACHE=off keeps nothing.

    \b
    Examples:
      im2rec cache
      im2rec cache --clear train.rec
    """
    if every and not clear:
        raise ParameterError("--all is for --clear", hint="without --clear, all is listed")
    if every and recs:
        raise ParameterError("--all is for the whole cache", hint="leave out --all, or REC")
    try:
        folder = cache_folder()
    except OutputError as error:
        console.result(
            "cache", summary := CacheSummary(None, error.problem, [], 0, [], clear, dry_run), render(summary)
        )
        return ExitCode.DONE
    found = sorted(_found(folder, recs), key=lambda each: (-each.entry.bytes, each.entry.path))
    for rec in recs:
        if not rec.exists() and not any(_names(rec) & _names(path) for each in found for path in each.paths):
            raise InputError("is not there, and nothing is kept of it", path=rec, hint="check the path")
    chosen = [each for each in found if not clear or _is_cleared(each.entry, every=every)]
    left = [each.entry for each in found if each not in chosen]
    entries = [each.entry for each in chosen]
    if clear and not dry_run:
        _remove(chosen)
    size = sum(entry.bytes for entry in entries)
    summary = CacheSummary(str(folder), "", entries, size, left, clear, dry_run)
    console.result("cache", summary, render(summary, recs), next_command(summary, recs))
    return ExitCode.DONE


def _found(folder: Path, recs: Iterable[Path]) -> Iterator[_Found]:
    """Yield all that lies in the cache *folder*, or what is of one of the *recs*. Raises OutputError."""
    for place in (folder, folder / array_cache.FOLDER):
        _check_readable(place)
    wanted = set().union(*map(_names, recs))
    for each in (*_arrays(folder), *_other_files(folder)):
        if not wanted or any(wanted & _names(path) for path in each.paths):
            yield each


def _check_readable(folder: Path) -> None:
    try:
        with contextlib.suppress(FileNotFoundError), os.scandir(folder):
            pass
    except OSError as error:
        hint = f"set {VARIABLE} to a folder"
        raise OutputError(f"cannot be read: {reason(error)}", path=folder, hint=hint) from error


def _names(path: Path) -> set[str]:
    """Return the names of *path*, one for all spellings: as it is, and without links."""
    return {os.path.normcase(name(path)) for name in (os.path.abspath, os.path.realpath)}


def _arrays(folder: Path) -> Iterator[_Found]:
    for each in array_cache.listed(folder):
        remove = functools.partial(array_cache.remove, each)
        state = CURRENT if each.is_current else GONE if each.is_gone else OUTDATED
        kind = LABELS if each.variant.startswith(LABELS) else INDEX
        entry = CacheEntry(kind, str(each.paths[0]), state, each.records, str(each.folder), each.nbytes)
        yield _Found(entry, each.paths, remove)


def _other_files(folder: Path) -> Iterator[_Found]:
    for each in array_cache.unfinished(folder):
        state = KILLED if each.is_abandoned else AT_WORK
        entry = CacheEntry(UNFINISHED, "", state, None, str(each.folder), each.nbytes)
        yield _Found(entry, [], functools.partial(array_cache.remove, each))
    for file in download.kept_files(folder):
        entry = CacheEntry(DOWNLOAD, file.name, CURRENT, None, str(file.path), file.nbytes)
        yield _Found(entry, [], functools.partial(download.remove_kept, file))
    for path in compiled_code.kept_files(folder):
        with contextlib.suppress(FileNotFoundError):  # another process has removed it meanwhile
            entry = CacheEntry(CODE, "", CURRENT, None, str(path), path.stat().st_size)
            yield _Found(entry, [], functools.partial(compiled_code.remove_kept, path))


def _is_cleared(entry: CacheEntry, *, every: bool) -> bool:
    return entry.state != AT_WORK and (every or entry.kind not in _ONLY_WITH_ALL)


def _remove(chosen: list[_Found]) -> None:
    """Remove all of *chosen* that can be removed. Raises OutputError for the first that cannot."""
    failures = [(each.entry.path, error) for each in chosen if (error := _failure(each)) is not None]
    if failures:
        path, error = failures[0]
        others = f", and so {counted(len(failures) - 1, 'other')}" if failures[1:] else ""
        hint = "see whether a program uses it, and whether the folder is yours"
        raise OutputError(f"cannot be removed: {reason(error)}{others}", path=path, hint=hint) from error


def _failure(each: _Found) -> OSError | None:
    try:
        each.remove()
    except OSError as error:
        return error
    return None


def next_command(summary: CacheSummary, recs: Iterable[Path] = ()) -> list[str] | None:
    """Return the command that shows what can be removed, or that lists what is left; None if nothing is kept."""
    if not summary.entries and not summary.left:
        return None
    if summary.cleared:
        return ["im2rec", "cache"]
    every = all(entry.kind in _ONLY_WITH_ALL for entry in summary.entries)
    names = [path_word(str(rec)) for rec in recs]
    return ["im2rec", "cache", "--clear", *(["--all"] if every else []), *names, "--dry-run"]


def render(summary: CacheSummary, recs: Iterable[Path] = ()) -> str:
    """Return the summary as a table: the largest entries, and the number and size of all others."""
    of_recs = f" of {', '.join(map(str, recs))}" if recs else ""
    if summary.folder is None:
        return f"nothing is kept: {summary.reason}"
    if not summary.entries and not summary.left:
        return table(f"nothing{of_recs} is kept in {summary.folder}", [])
    size = human_size(summary.bytes)
    if not summary.cleared:
        head = f"{size}{of_recs} in {summary.folder}"
    elif summary.entries:
        head = f"{'would remove' if summary.dry_run else 'removed'} {size}{of_recs} from {summary.folder}"
    else:
        head = f"nothing{of_recs} to remove in {summary.folder}"
    rows, left = _rows(summary.entries), _left_rows(summary.left)
    for shown in range(len(rows), -1, -1):
        rest = rows[shown:]
        others = [("others", f"{len(rest):,}, {human_size(sum(row.nbytes for row in rest))}")] if rest else []
        text = table(head, [*((row.name, row.value) for row in rows[:shown]), *others, *left])
        if text.count("\n") < _LINES - 1:
            break
    return text


class _Row(NamedTuple):
    name: str
    value: str
    nbytes: int


def _rows(entries: list[CacheEntry]) -> list[_Row]:
    """Return a row for each ``.rec`` and each set, and one for all other entries of a kind; the largest first."""
    groups: dict[tuple[str, ...], list[CacheEntry]] = {}
    for entry in entries:
        kind = "" if entry.kind in (INDEX, LABELS) else entry.kind
        groups.setdefault((kind, entry.made_from, entry.state), []).append(entry)
    return sorted(map(_row, groups.values()), key=lambda row: -row.nbytes)


def _row(group: list[CacheEntry]) -> _Row:
    entry, nbytes = group[0], sum(entry.bytes for entry in group)
    name, size = ", ".join(sorted({entry.kind for entry in group})), human_size(nbytes)
    if entry.kind == CODE:
        return _Row(name, f"the compiled JPEG decoder: {size}", nbytes)
    if entry.kind == UNFINISHED:
        whose = "a run that may be at work" if entry.state == AT_WORK else "runs that were killed"
        return _Row(name, f"of {whose}: {size}", nbytes)
    facts = [size, *([_STATES[entry.state]] if entry.state in _STATES else [])]
    if entry.records is not None:
        facts.insert(0, counted(entry.records, "record"))
    return _Row(name, f"{unbroken(entry.made_from)}: {', '.join(facts)}", nbytes)


def _left_rows(left: list[CacheEntry]) -> list[tuple[str, str]]:
    at_work = [entry.bytes for entry in left if entry.state == AT_WORK]
    others = [entry.bytes for entry in left if entry.state != AT_WORK]
    values = [f"{human_size(sum(others))} of downloads and compiled code; --all removes them, too"] if others else []
    values += [f"{human_size(sum(at_work))} of a run that may be at work"] if at_work else []
    return [("left" if not row else "", value) for row, value in enumerate(values)]

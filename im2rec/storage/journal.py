"""The journal of output files that are written together: their lock, and states from which a later run can go on.

A journal is ``OUT.im2rec-journal`` beside ``OUT``, locked from the first byte of a run to its last rename, and removed
after that. It has three places of fixed size for states, each a line of JSON after its CRC-32. Two are for states of
which all that they describe is on the disk (*synchronised*): they are written in turns, so that one of them is whole
whenever the power fails. The third is written far more often and never synchronised: it is right as long as the system
lives on, and carries sums of the bytes behind the last synchronised state, by which a later run sees whether these
bytes are there.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from im2rec.errors import OutputError
from im2rec.storage import disk
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.forks import write_in_this_process_only
from im2rec.storage.output import JOURNAL, name_beside, open_output, partial_path, remove_locked, writing

VERSION = 1
_PLACE_BYTES = 1 << 16
_LATEST = 2  # the place of the state that is not synchronised
_CRC_DIGITS = 8


class State(NamedTuple):
    """What a run has written so far.

    *number* counts the synchronised states, *sizes* are those of the partial files in bytes, by name, and *progress* is
    what the run itself needs to go on. *sums* are those of the bytes behind the synchronised state of the same number
    (:func:`~im2rec.storage.disk.sum_bytes`); that state itself has none.
    """

    number: int
    sizes: dict[str, int]
    progress: dict[str, Any]
    sums: dict[str, int] = {}  # noqa: RUF012 - never changed


class Journal:
    """The journal of the output *path*, locked while it is open.

    ``synced`` are the synchronised states that an earlier run has left, the last one first, and ``latest`` is the state
    that was not synchronised, if there is one. ``is_unreadable`` is True if there were states, and something has
    changed them.
    Raises OutputError, also while another process, or another part of this one, is writing the same output::

        with Journal("out.rec") as journal:
            journal.save(State(1, {"out.rec": 124}, {}), synced=True)
            ...
            journal.remove()
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.journal_path = journal_path(self.path)
        self._stream = open_output(self.journal_path, self.path, locked=True, keep=True)
        write_in_this_process_only(self._stream)
        self.synced: list[State] = []
        self.latest: State | None = None
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        with writing(self.path):
            self._stream.seek(0)
            content = self._stream.read((_LATEST + 1) * _PLACE_BYTES) or b""
        places = [content[place * _PLACE_BYTES :][:_PLACE_BYTES] for place in range(_LATEST + 1)]
        found = [_decoded(place, self.journal_path) for place in places]
        self.synced = sorted(filter(None, found[:_LATEST]), key=lambda state: -state.number)
        self.latest = found[_LATEST]
        # A single place without a state is one whose first write was cut: no state had been synchronised by then.
        self.is_unreadable = sum(bool(place.strip(b"\0")) for place in places) > 1 and not self.synced

    def save(self, state: State, *, synced: bool) -> None:
        """Write *state*; if it is *synced*, to the disk itself. May be called in a thread. Raises OutputError."""
        body = json.dumps({"version": VERSION, **state._asdict()}, separators=(",", ":"))
        line = f"{zlib.crc32(body.encode()):0{_CRC_DIGITS}x} {body}\n".encode()
        if len(line) > _PLACE_BYTES:
            problem = f"needs {len(line):,} bytes for a state, more than {_PLACE_BYTES:,}"
            raise OutputError(problem, path=self.journal_path, hint="shorten the paths")
        place = state.number % _LATEST if synced else _LATEST
        with writing(self.path):
            self._stream.write_at(line, place * _PLACE_BYTES)
            if synced:
                disk.sync(self._stream)

    def sync(self) -> None:
        """Return when the states that were read are on the disk.

        A run that was killed while it saved one may not have synchronised it. Raises OutputError.
        """
        with writing(self.path):
            disk.sync(self._stream)

    def clear(self) -> None:
        """Forget all states. Raises OutputError."""
        with writing(self.path):
            if self._stream.seek(0, os.SEEK_END):
                disk.truncate(self._stream, 0)
                disk.sync(self._stream)  # else the old states could be back after a power failure, beside new files
        self.synced, self.latest, self.is_unreadable = [], None, False

    def remove(self) -> None:
        """Remove the journal and end the lock: all is done, or nothing is left. Calling it twice is allowed."""
        if not self._stream.closed:
            remove_locked(self._stream, self.journal_path)

    def close(self) -> None:
        """End the lock, and leave the journal for a later run. Calling it twice is allowed."""
        self._stream.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _decoded(place: bytes, path: Path) -> State | None:
    """Return the state in a *place* of the journal at *path*; None if there is none or if the write of it was cut.

    Raises OutputError for one of another version.
    """
    crc, _, body = place.partition(b"\n")[0].partition(b" ")
    try:
        if not body or int(crc, 16) != zlib.crc32(body):
            return None
    except ValueError:
        return None
    try:
        fields = json.loads(body)
        if fields.pop("version") == VERSION:
            return _checked(State(**fields))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    problem = "is the journal of an unfinished run of another version of im2rec"
    raise OutputError(problem, path=path, hint="finish it with that one, or remove this file")


def refuse_claimed(path: Path, target: Path) -> None:
    """Raise OutputError if an unfinished run of another output than *target* has left the partial file of *path*.

    The index ``a.idx`` is that of ``a.rec`` and of ``a.bin``.
    """
    if not partial_path(path).exists():
        return
    for other in path.parent.glob(f"*{JOURNAL}"):
        if other != journal_path(target) and path.name in _claimed_names(other):
            hint = f"finish that run, or remove {other.name}"
            raise OutputError("is of an unfinished run of another output", path=partial_path(path), hint=hint)


def _claimed_names(path: Path) -> set[str]:
    """Return the names of the files that the journal at *path* describes, without its lock. Raises OutputError."""
    with InputFile(path) as file:
        places = [file.read_at(place * _PLACE_BYTES, _PLACE_BYTES) for place in range(_LATEST + 1)]
    return {name for place in places if (state := _decoded(place, path)) for name in state.sizes}


def _checked(state: State) -> State:
    """Return *state*, which was read from a file. Raises ValueError, TypeError, AttributeError."""
    numbers = [state.number, *state.sizes.values(), *state.sums.values()]
    names = [*state.sizes, *state.sums]
    if not all(type(number) is int and number >= 0 for number in numbers) or any(
        Path(name).name != name for name in names
    ):
        raise ValueError
    if not isinstance(state.progress, dict):
        raise TypeError
    return state


def journal_path(path: Path) -> Path:
    """Return the path of the journal of the output *path*."""
    return name_beside(path, JOURNAL)


def lock_output(path: PathLike) -> Journal:
    """Return a journal that is only the lock of the ``.rec`` at *path* and of the files beside it.

    Whoever writes one of them has it. Raises OutputError if another run is writing them, or an unfinished one has left
    records, of which nothing may be written over.
    """
    journal = Journal(path)
    if journal.synced or journal.latest or journal.is_unreadable:
        journal.close()
        hint = "finish it by its own command, or remove its journal"
        raise OutputError("an unfinished run has left records beside it", path=journal.journal_path, hint=hint)
    return journal


@contextlib.contextmanager
def locked_beside(path: Path, out: Path) -> Iterator[None]:
    """Lock the ``.rec`` at *path* in the block if *out* is a file beside it: see :func:`lock_output`."""
    with writing(out):
        is_beside = out.parent.samefile(path.parent)
    journal = lock_output(path) if is_beside else None
    try:
        yield
    finally:
        if journal is not None:
            journal.remove()

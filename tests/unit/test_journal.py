"""The journal: its lock, its three places, and what of them is believed when some bytes are lost."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of
from image_helpers import names_in

from im2rec.errors import OutputError
from im2rec.storage import disk
from im2rec.storage import journal as module
from im2rec.storage.journal import Journal, State, journal_path

PLACE = 1 << 16
STATES = [  # in the order of writing; the last one is not synchronised
    State(3, {"o.rec": 8}, {"position": [10, 2]}),
    State(4, {"o.rec": 20, "o.idx": 4}, {"position": [40, 4]}),
    State(4, {"o.rec": 28, "o.idx": 6}, {"position": [50, 5], "name": "é\udc80"}, {"o.rec": 2**64 - 1, "o.idx": 0}),
]


def written(folder: Path) -> Path:
    """The journal of ``o.rec`` with all three states."""
    with Journal(folder / "o.rec") as journal:
        for state in STATES:
            journal.save(state, synced=not state.sums)
    return folder / "o.rec.im2rec-journal"


def found(folder: Path) -> list[State]:
    """The synchronised states in the journal of ``o.rec``, then the latest one."""
    with Journal(folder / "o.rec") as journal:
        return [*journal.synced, *filter(None, [journal.latest])]


def test_states_are_read_back_the_last_synchronised_one_first(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert path == journal_path(tmp_path / "o.rec")
    for _ in range(2):  # reading changes nothing
        with Journal(tmp_path / "o.rec") as journal:
            assert [STATES[1], STATES[0]] == journal.synced
            assert STATES[2] == journal.latest
            assert not journal.is_unreadable


def test_a_new_journal_has_no_states(tmp_path: Path) -> None:
    with Journal(tmp_path / "o.rec") as journal:
        assert ([], None, False) == (journal.synced, journal.latest, journal.is_unreadable)
        assert b"" == journal.journal_path.read_bytes()


def test_synchronised_states_are_written_in_turns_beside_the_latest_one(tmp_path: Path) -> None:
    content = written(tmp_path).read_bytes()
    for place, state in enumerate((STATES[1], STATES[0], STATES[2])):
        crc, body = content[place * PLACE :].split(b"\n")[0].split(b" ", 1)
        assert int(crc, 16) == zlib.crc32(body)
        assert {"version": 1, **state._asdict()} == json.loads(body)


def test_a_shorter_state_takes_the_place_of_a_longer_one(tmp_path: Path) -> None:
    written(tmp_path)
    short = State(5, {}, {})
    with Journal(tmp_path / "o.rec") as journal:
        journal.save(short, synced=True)
        journal.save(short, synced=False)
    assert [short, STATES[1], short] == found(tmp_path)


def test_only_a_synchronised_state_is_synchronised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[int] = []
    monkeypatch.setattr(disk, "sync", lambda stream: log.append(os.fstat(stream.fileno()).st_size))
    with Journal(tmp_path / "o.rec") as journal:
        journal.save(STATES[2], synced=False)
        assert [] == log
        journal.save(STATES[1], synced=True)
        assert [journal.journal_path.stat().st_size] == log
        journal.clear()
        assert [0] == log[1:]  # no power failure brings them back


def test_cleared_states_are_gone(tmp_path: Path) -> None:
    written(tmp_path)
    with Journal(tmp_path / "o.rec") as journal:
        journal.clear()
        assert ([], None) == (journal.synced, journal.latest)
        journal.save(State(0, {}, {}), synced=True)
    assert [State(0, {}, {})] == found(tmp_path)


# The lock.


def test_a_second_journal_is_refused_until_the_first_is_closed_or_removed(tmp_path: Path) -> None:
    first = Journal(tmp_path / "o.rec")
    expected = f"{tmp_path / 'o.rec'}: another im2rec is writing it (wait for it, or choose another name)"
    assert expected == message_of(Journal, tmp_path / "o.rec")
    first.close()
    first.close()
    second = Journal(tmp_path / "o.rec")
    assert expected == message_of(Journal, tmp_path / "o.rec")
    second.remove()
    second.remove()
    assert [] == names_in(tmp_path)
    with Journal(tmp_path / "o.rec"):
        second.remove()  # that of another one stays
        assert ["o.rec.im2rec-journal"] == names_in(tmp_path)


def test_a_journal_whose_content_cannot_be_read_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(disk.OutputStream, "read", read, raising=False)
        assert "cannot be written: input/output error" in message_of(Journal, tmp_path / "o.rec")
    Journal(tmp_path / "o.rec").remove()


# Damage.


def lines_of(path: Path) -> list[tuple[int, int]]:
    """Start and size of the line in each place."""
    content = path.read_bytes()
    return [(place * PLACE, content[place * PLACE :].index(b"\n") + 1) for place in range(3)]


def test_a_state_whose_write_was_cut_anywhere_is_left_out_and_the_others_are_read(tmp_path: Path) -> None:
    """Each byte of the line may be the first that never reached the disk: zeros, or what was there before."""
    path = written(tmp_path)
    whole = path.read_bytes()
    expected = [STATES[1], STATES[0], STATES[2]]  # by place
    for place, (start, size) in enumerate(lines_of(path)):
        others = [state for number, state in enumerate(expected) if number != place]
        for cut in range(size):
            for filler in (bytes(size), b"x" * size, b"0" * size):
                path.write_bytes(whole[: start + cut] + filler[cut:] + whole[start + size :])
                assert others == found(tmp_path), (place, cut, filler[:1])


def test_a_state_with_a_changed_byte_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    expected = [STATES[1], STATES[0], STATES[2]]
    for place, (start, size) in enumerate(lines_of(path)):
        others = [state for number, state in enumerate(expected) if number != place]
        for at in range(start, start + size):
            changed = bytearray(whole)
            changed[at] ^= 1 << at % 8
            path.write_bytes(changed)
            # The same number in another spelling is no damage.
            assert found(tmp_path) in ([*others], expected), (place, at)
            if at >= start + 8:
                assert others == found(tmp_path), (place, at)


def test_a_journal_that_was_cut_has_the_states_before_the_cut(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for size, states in (
        (0, []),
        (20, []),
        (PLACE, [STATES[1]]),
        (PLACE + 30, [STATES[1]]),
        (2 * PLACE, [STATES[1], STATES[0]]),
        (len(whole) - 5, [STATES[1], STATES[0]]),
    ):
        path.write_bytes(whole[:size])
        assert states == found(tmp_path), size


def test_a_single_place_without_a_state_is_the_first_one_cut_and_more_of_them_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "o.rec.im2rec-journal"
    for content, is_unreadable in (
        (b"", False),
        (bytes(3 * PLACE), False),
        (b"1234 {", False),
        (b"1234 {".ljust(PLACE, b"\0") + b"1234 {", True),
        (b"1234 {".ljust(2 * PLACE, b"\0") + b"1234 {", True),
        (b"x" * 3 * PLACE, True),
    ):
        path.write_bytes(content)
        with Journal(tmp_path / "o.rec") as journal:
            assert ([], None, is_unreadable) == (journal.synced, journal.latest, journal.is_unreadable), content[:8]
        assert content == path.read_bytes()


def test_a_latest_state_without_a_synchronised_one_is_damage(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    path.write_bytes(b"x" * 2 * PLACE + content[2 * PLACE :])
    with Journal(tmp_path / "o.rec") as journal:
        assert ([], STATES[2], True) == (journal.synced, journal.latest, journal.is_unreadable)
        journal.clear()
        assert not journal.is_unreadable


# Other contents.


def place_of(body: Any) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


STATE = {"version": 1, "number": 1, "sizes": {}, "progress": {}, "sums": {}}
OTHER_STATES: dict[str, Any] = {
    "another version": {**STATE, "version": 2},
    "no version": {"number": 1, "sizes": {}, "progress": {}},
    "a field more": {**STATE, "more": 1},
    "a field less": {"version": 1, "number": 1},
    "a list": [1],
    "a number": 5,
    "no JSON": b"text",
    "deep JSON": b"[" * 60_000,
    "not UTF-8": b"\xff",
    "a negative number": {**STATE, "number": -1},
    "sizes that are none": {**STATE, "sizes": {"o.rec": "8"}},
    "a size that is true": {**STATE, "sizes": {"o.rec": True}},
    "a list of sizes": {**STATE, "sizes": [1]},
    "a negative sum": {**STATE, "sums": {"o.rec": -1}},
    "a name in another folder": {**STATE, "sizes": {"../o.rec": 8}},
    "progress that is none": {**STATE, "progress": [1]},
}


@pytest.mark.parametrize("what", OTHER_STATES)
def test_whole_states_of_another_kind_are_refused_and_nothing_is_changed(tmp_path: Path, what: str) -> None:
    path = tmp_path / "o.rec.im2rec-journal"
    content = place_of(OTHER_STATES[what])
    path.write_bytes(content)

    problem = "is the journal of an unfinished run of another version of im2rec"
    expected = f"{path}: {problem} (finish it with that one, or remove this file)"
    for _ in range(2):  # the lock is free after the error
        assert expected == message_of(Journal, tmp_path / "o.rec")
    assert content == path.read_bytes()


def test_a_state_that_is_too_large_for_its_place_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    written(tmp_path)
    fixed = len(json.dumps({"version": 1, **State(5, {}, {"name": ""})._asdict()}, separators=(",", ":")))
    room = PLACE - fixed - 10  # the sum of 8 digits, a blank and the end of the line
    largest = State(5, {}, {"name": "x" * room})
    with Journal(tmp_path / "o.rec") as journal:
        for synced in (True, False):
            with pytest.raises(OutputError, match=r"needs 65,537 bytes for a state, more than 65,536"):
                journal.save(State(5, {}, {"name": "x" * (room + 1)}), synced=synced)
    assert [STATES[1], STATES[0], STATES[2]] == found(tmp_path)
    with Journal(tmp_path / "o.rec") as journal:
        journal.save(largest, synced=True)
    assert [largest, STATES[1], STATES[2]] == found(tmp_path)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_at(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.OutputStream, "write_at", write_at)
    with Journal(tmp_path / "o.rec") as journal:
        assert f"{tmp_path / 'o.rec'}: cannot be written: no space left on device" in message_of(
            journal.save, STATES[0], synced=True
        )


def test_the_places_are_those_of_the_module() -> None:
    assert PLACE == module._PLACE_BYTES

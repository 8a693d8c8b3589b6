"""Saved states: resumed with the same parts batch for batch, with others record for record, and nothing twice."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import message_of, write_rec
from iterator_helpers import (
    FIRST_ID,
    ORDERS,
    a_rec,
    digest,
    in_every_order,
    iterator,
    numbers,
    payloads,
    seen,
    spread,
    taken,
    whole,
    with_bad,
)

from im2rec.errors import InputError, ParameterError
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.pipeline.records import Records

pytestmark = pytest.mark.usefixtures("kept_permutations")

COUNT = 23
RANDOM: dict[str, Any] = {"rand_crop": True, "rand_mirror": True, "brightness": 0.3, "seed": 5}
HINT = "(make the iterator with the parameters and files of the one that gave the state)"


@pytest.fixture(scope="module")
def rec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_rec(tmp_path_factory.mktemp("state"), COUNT, "a.rec")


def stopped(rec: Path, batches: int, epoch: int = 0, **given: Any) -> dict[str, Any]:
    """The state after *batches* batches of *epoch*."""
    with iterator(rec, **given) as it:
        for _ in range(epoch):
            taken(it, 1)
            it.reset()
        taken(it, batches)
        return it.state_dict()


def resumed(rec: Path, state: dict[str, Any], **given: Any) -> ImageRecordIter:
    it = iterator(rec, **given)
    it.load_state_dict(state)
    return it


def error_of(rec: Path, state: Any, **given: Any) -> str:
    """The message of the error that loading *state* raises."""
    with iterator(rec, **given) as it:
        return message_of(it.load_state_dict, state)


def parts(rec: Path, count: int, state: dict[str, Any] | None = None, **given: Any) -> list[ImageRecordIter]:
    """An iterator for each of *count* parts, resumed from *state* if there is one."""
    its = [iterator(rec, num_parts=count, part_index=part, **given) for part in range(count)]
    for it in its:
        if state is not None:
            it.load_state_dict(state)
    return its


def is_plain(value: Any) -> bool:
    """True if *value* consists of the types of JSON, and not of subclasses such as those of numpy."""
    if type(value) is dict:
        return all(type(key) is str and is_plain(each) for key, each in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return value is None or type(value) in (int, float, str, bool)


# Contents


def test_a_state_is_plain_values(rec: Path, tmp_path: Path) -> None:
    given = {**RANDOM, "rotate_list": (0, 90), "mean_img": str(tmp_path / "mean.bin"), "batch_size": "4"}
    state = stopped(rec, 2, epoch=1, **given)

    assert is_plain(state)
    assert state == json.loads(json.dumps(state))
    assert (1, 5, 1, 8) == (state["version"], state["seed"], state["epoch"], state["delivered"])
    assert [[1, 8]] == state["splits"]
    assert (COUNT, [rec.stat().st_size]) == (state["records"], state["file_sizes"])
    assert 16 == len(state["digest"])


def test_a_state_counts_what_all_parts_delivered_without_filler(rec: Path) -> None:
    delivered = [stopped(rec, batches)["delivered"] for batches in range(9)]
    assert [0, 3, 6, 9, 12, 15, 18, 21, 23] == delivered
    for part in range(4):  # three of six records, and one of five
        delivered = [stopped(rec, batches, num_parts=4, part_index=part)["delivered"] for batches in range(3)]
        assert [0, 12, 23] == delivered


def test_a_state_does_not_count_prefetched_batches(rec: Path) -> None:
    with iterator(rec, prefetch_buffer=7) as it:
        taken(it, 2)
        assert 6 == it.state_dict()["delivered"]


def test_taking_a_state_changes_nothing(rec: Path) -> None:
    with iterator(rec, shuffle=True) as it, iterator(rec, shuffle=True) as other:
        it.state_dict()
        first = it.next()
        assert it.state_dict() == it.state_dict()
        assert digest([first, *(it.next() for _ in range(7))]) == digest(other)


# With the same parts


@in_every_order
@pytest.mark.parametrize("policy", ["pad", "keep", "discard", "roll_over"])
def test_after_any_batch_the_rest_and_the_next_epoch_are_bit_equal(rec: Path, kind: str, policy: str) -> None:
    given = {**RANDOM, **ORDERS[kind], "last_batch": policy, "num_parts": 2, "part_index": 1, "batch_size": 4}
    with iterator(rec, **given) as it:
        expected, states = [], [it.state_dict()]
        for epoch in range(2):
            for batch in it:
                expected.append((epoch, whole(batch)))
                states.append(it.state_dict())

    for done, state in [*enumerate(states)][::2]:
        with resumed(rec, json.loads(json.dumps(state)), **given) as it:
            rest = [(it.epoch, whole(batch)) for batch in it]
            while it.epoch < 1:
                rest += [(it.epoch, whole(batch)) for batch in it]
        assert expected[done:] == [pair for pair in rest if pair[0] < 2]


def test_a_new_process_resumes_bit_for_bit(rec: Path, tmp_path: Path) -> None:
    given = {**RANDOM, "shuffle": True}
    with iterator(rec, **given) as it:
        taken(it, 4)
        (tmp_path / "state.json").write_text(json.dumps(it.state_dict()))
        expected = [digest(it.next() for _ in range(4)), digest(it)]

    code = f"""
    import json, sys
    from pathlib import Path
    from iterator_helpers import digest, iterator
    with iterator({str(rec)!r}, preprocess_threads=1, prefetch_buffer=2, **{given!r}) as it:
        it.load_state_dict(json.loads(Path("state.json").read_text()))
        print(digest(it), digest(it))
    """
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    line = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=where, timeout=60)
    assert ("", expected) == (done.stderr, done.stdout.split())


def test_an_iterator_can_load_any_earlier_or_later_state(rec: Path) -> None:
    with iterator(rec, shuffle=True) as it:
        states, batches = [], []
        for _ in range(5):
            states.append(it.state_dict())
            batches.append(whole(it.next()))
        for at in (3, 0, 4, 4, 1):
            it.load_state_dict(states[at])
            assert batches[at] == whole(it.next())
            assert at * 3 + 3 == it.state_dict()["delivered"]


def test_an_epoch_can_be_resumed_after_every_batch(rec: Path) -> None:
    given = {**RANDOM, "shuffle": True}
    with iterator(rec, **given) as it:
        expected = [whole(batch) for batch in it]
    state, batches = stopped(rec, 0, **given), []
    while len(batches) < len(expected):
        with resumed(rec, state, **given) as it:
            assert len(expected) == len(it)
            batches.append(whole(it.next()))
            state = it.state_dict()
    assert expected == batches


def test_the_next_loop_resumes_the_epoch_and_the_one_after_starts_the_next(rec: Path) -> None:
    given = {**RANDOM, "shuffle": True}
    with iterator(rec, **given) as it:
        epochs = [[whole(batch) for batch in it] for _ in range(3)]

    with resumed(rec, stopped(rec, 2, epoch=1, **given), **given) as it:
        assert 1 == it.epoch
        iter(it)
        it.reset()
        assert epochs[1][2:] == [whole(batch) for batch in it]
        assert epochs[2] == [whole(batch) for batch in it]
        assert 2 == it.epoch
    with resumed(rec, stopped(rec, 2, epoch=1, **given), **given) as it:
        assert epochs[1][2] == whole(it.next())
        assert epochs[2] == [whole(batch) for batch in it]  # a batch of the resumed epoch was taken


def test_a_state_of_the_end_of_an_epoch_resumes_at_its_end(rec: Path) -> None:
    with iterator(rec, shuffle=True) as it:
        for _ in it:
            pass
        state, second = it.state_dict(), [whole(batch) for batch in it]

    with resumed(rec, state, shuffle=True) as it:
        with pytest.raises(StopIteration):
            it.next()
        assert (0, 8, 23) == (it.epoch, len(it), it.state_dict()["delivered"])
        assert second == [whole(batch) for batch in it]
        assert 1 == it.epoch


def test_delivered_records_are_not_read_again(rec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = Records.read_many
    monkeypatch.setattr(Records, "read_many", lambda records, these: (read.extend(these), real(records, these))[1])

    given = {"batch_size": 1, "prefetch_buffer": 1, "last_batch": "keep"}
    for kind in ORDERS.values():
        with iterator(rec, **given, **kind) as it:
            delivered = {number for (number,) in numbers(taken(it, 15))}
            state = it.state_dict()
        for count in (1, 3):
            for it in parts(rec, count, state, **given, **kind):
                read.clear()
                taken(it, 1)
                assert 1 <= len(read) <= 2  # the next batch is prefetched
                assert delivered.isdisjoint(read)
                it.close()
            left = {number for batch in numbers(spread(parts(rec, count, state, **given, **kind))) for number in batch}
            assert left == {*range(COUNT)} - delivered


# With other parts


@in_every_order
@pytest.mark.parametrize(("before", "after"), [(1, 3), (4, 2)])
def test_other_parts_deliver_the_rest_of_the_epoch_and_nothing_twice(
    rec: Path, kind: str, before: int, after: int
) -> None:
    given = {**RANDOM, **ORDERS[kind], "batch_size": 2}
    whole_epoch = seen(spread(parts(rec, before, **given)))
    assert COUNT == len(whole_epoch)

    for batches in (0, 1, 2):
        its = parts(rec, before, **given)
        first = [batch for it in its for batch in taken(it, batches)]
        states = [it.state_dict() for it in its]
        assert states[1:] == states[:-1]  # whichever part saves it
        rest = spread(parts(rec, after, states[0], **given))
        assert whole_epoch == seen([*first, *rest])  # which takes no id twice
        for it in its:
            it.close()


def test_the_number_of_parts_may_change_repeatedly(rec: Path) -> None:
    given = {**RANDOM, "shuffle": True, "batch_size": 2}
    whole_epoch = seen(spread(parts(rec, 1, **given)))
    delivered: dict[int, bytes] = {}
    state = None
    for count, batches in ((3, 1), (2, 1), (2, 1), (4, 1), (1, 99)):
        its = parts(rec, count, state, **given)
        for it in its:
            delivered |= seen(itertools.islice(it, batches))
        state = its[0].state_dict()
        assert len(delivered) == state["delivered"]
        for it in its:
            it.close()
    assert whole_epoch == delivered


def test_all_parts_that_resume_have_equally_many_batches(rec: Path) -> None:
    state = stopped(rec, 3, shuffle=True)
    its = parts(rec, 4, state, shuffle=True)

    assert [2, 2, 2, 2] == [len(it) for it in its]  # of 14 records, 4 and 3
    assert [2, 2, 2, 2] == [len(list(it)) for it in its]
    assert [2, 2, 2, 2] == [len(list(it)) for it in its]  # and of 23 in the next epoch
    for it in its:
        it.close()


def test_the_epoch_after_a_resumed_one_is_as_in_any_other_run(rec: Path) -> None:
    given = {**RANDOM, "shuffle": True}
    for count in (1, 2):
        its, others = parts(rec, count, stopped(rec, 2, num_parts=3, **given), **given), parts(rec, count, **given)
        for it, other in zip(its, others, strict=True):
            with it, other:
                list(it), taken(other, 1)
                assert digest(other) == digest(it)
                assert other.state_dict() == it.state_dict()


def test_the_end_of_an_epoch_is_its_end_in_any_number_of_parts(rec: Path) -> None:
    state = stopped(rec, 8)
    with resumed(rec, state, num_parts=3) as it, iterator(rec, num_parts=3) as other:
        assert (0, 0) == (it.epoch, len(it))
        taken(other, 1)
        assert digest(other) == digest(it)
        assert 1 == it.epoch


def test_files_may_move_and_backend_parameters_may_differ(rec: Path, tmp_path: Path) -> None:
    moved = write_rec(tmp_path / "moved.rec", payloads(COUNT), index=False)
    state, given = stopped(rec, 3, **RANDOM), {"preprocess_threads": 1, "prefetch_buffer": 1, "reuse_buffers": True}
    names = {"data_name": "x", "label_name": "y", "round_batch": True, "path_imgidx": str(rec.with_suffix(".idx"))}

    with resumed(rec, state, **RANDOM) as it, resumed(moved, state, **RANDOM, **given, **names) as other:
        assert digest(it) == digest(other)


def test_bad_records_before_the_stop_are_not_read_again(tmp_path: Path) -> None:
    path = with_bad(tmp_path, 1, 5, count=12)
    with iterator(path, on_error="skip") as it:
        taken(it, 1)
        state = it.state_dict()
    assert 3 == state["delivered"]  # a bad record counts as delivered, as it is not read again
    with resumed(path, state, on_error="skip") as it:
        assert [*range(3, 12)] == sorted({n for batch in numbers(it) for n in batch} | {5})
        assert [FIRST_ID + 5] == [error.id for error in it.skipped]


# Errors


OTHER: list[tuple[dict[str, Any], str]] = [
    ({"seed": 6}, "seed=6 must be 5"),
    ({"data_shape": (3, 5, 5)}, "data_shape=[3, 5, 5] must be [3, 6, 8]"),
    ({"batch_size": 4}, "batch_size=4 must be 3"),
    ({"shuffle": True}, "shuffle=True must be False"),
    ({"last_batch": "keep"}, "last_batch=keep must be pad"),
    ({"round_batch": False}, "last_batch=keep must be pad"),
    ({"dtype": "uint8"}, "dtype=uint8 must be float32"),
    ({"rand_mirror": False}, "rand_mirror=False must be True"),
    ({"seed_aug": 5}, "seed_aug=5 must be None"),
    ({"rotate_list": (0, 90)}, "rotate_list=[0, 90] must be []"),
    ({"engine": "reference"}, "engine=reference must be pillow"),
]


def test_other_parameters_are_refused_by_name(rec: Path) -> None:
    given = {**RANDOM, "engine": "pillow"}
    state = stopped(rec, 2, **given)

    messages = [error_of(rec, state, **{**given, **other}) for other, _ in OTHER]
    assert [f"{problem}, as in the state {HINT}" for _, problem in OTHER] == messages
    with iterator(rec, **{**given, "seed": 6}) as it, pytest.raises(ParameterError):
        it.load_state_dict(state)


def test_a_refused_state_changes_nothing(rec: Path) -> None:
    state = stopped(rec, 2, seed=6)
    with iterator(rec) as it, iterator(rec) as other:
        first = it.next()
        message_of(it.load_state_dict, state)
        assert digest([first, *(it.next() for _ in range(7))]) == digest(other)


def test_other_files_are_error_of(rec: Path, tmp_path: Path) -> None:
    state = stopped(rec, 2)
    size = rec.stat().st_size
    fewer = a_rec(tmp_path, COUNT - 1, "fewer.rec")
    other = a_rec(tmp_path, payloads(COUNT, 50), "other.rec")
    halves = a_rec(tmp_path, 12, "1.rec"), a_rec(tmp_path, payloads(11, 12), "2.rec")
    sizes = [half.stat().st_size for half in halves]
    assert size != other.stat().st_size

    assert f"path_imgrec has 22 records, the state is of 23 {HINT}" == error_of(fewer, state)
    message = f"path_imgrec has [{other.stat().st_size}] bytes in its files, the state is of [{size}] {HINT}"
    assert message == error_of(other, state)
    message = f"path_imgrec has {sizes} bytes in its files, the state is of [{size}] {HINT}"
    assert message == error_of(Path(f"{halves[0]};{halves[1]}"), state)
    with iterator(fewer) as it, pytest.raises(InputError):
        it.load_state_dict(state)


def test_other_labels_are_error_of(rec: Path, tmp_path: Path) -> None:
    lists = [tmp_path / name for name in ("1.lst", "2.lst", "same.lst")]
    for path, label in zip(lists, (1, 2, 1), strict=True):
        path.write_text("".join(f"{FIRST_ID + n}\t{label}\t{path}\n" for n in range(COUNT)))
    state = stopped(rec, 2, path_imglist=str(lists[0]))

    message = f"path_imglist is not the one the state is of {HINT}"
    assert [message] * 2 == [error_of(rec, state, path_imglist=str(lists[1])), error_of(rec, state)]
    resumed(rec, state, path_imglist=str(lists[2])).close()


def test_another_mean_image_is_error_of(rec: Path, tmp_path: Path) -> None:
    other, mean = a_rec(tmp_path, 3, "b.rec"), {"mean_img": str(tmp_path / "a.bin")}
    iterator(other, mean_img=str(tmp_path / "b.bin")).close()
    state = stopped(rec, 2, **mean)

    message = f"mean_img is not the one the state is of {HINT}"
    assert [message] * 2 == [error_of(rec, state, mean_img=str(tmp_path / "b.bin")), error_of(rec, state)]
    resumed(rec, state, **mean).close()


def test_another_version_is_error_of(rec: Path) -> None:
    state = stopped(rec, 2)

    assert "the state has version 9, this im2rec reads 1" == error_of(rec, {**state, "version": 9})
    assert "the state has version None, this im2rec reads 1" == error_of(rec, {})


NOT_A_STATE = "the state is not one that state_dict() gave"
MALFORMED: list[dict[str, Any]] = [
    {"splits": None},
    {"splits": 5},
    {"splits": [5]},
    {"splits": [[1, 2, 3]]},
    {"splits": [["x", 0]]},
    {"splits": [[0, 0]]},
    {"splits": [[2**20 + 1, 0]]},
    {"splits": [[1, COUNT + 2**31]]},
    {"epoch": 2**31 + 1},
    {"splits": [[1, -3]]},
    {"epoch": -1},
    {"epoch": "x"},
    {"epoch": None},
    {"epoch": 10**30},
    {"splits": [[10**18, 3]]},
    {"splits": [[10**18, 0], [2, 1]]},
    {"splits": [[1, float("inf")]]},
    {"splits": [[1, 10**30]]},
]


def test_malformed_states_are_error_of(rec: Path) -> None:
    state = stopped(rec, 2)

    assert [NOT_A_STATE] * len(MALFORMED) == [error_of(rec, {**state, **malformed}) for malformed in MALFORMED]
    assert NOT_A_STATE == error_of(rec, {key: value for key, value in state.items() if key != "splits"})


def test_the_largest_numbers_of_a_state_are_accepted(rec: Path) -> None:
    state = stopped(rec, 2)
    largest: list[tuple[dict[str, Any], int]] = [
        ({"splits": [[2**20, 0], [1, 0]]}, 1),
        ({"splits": [[1, COUNT + 2**31 - 1]]}, 1),
        ({"splits": [[1, 0], [2, COUNT + 2**31 - 1]]}, 2),
        ({"splits": []}, 1),
    ]
    for changes, num_parts in largest:
        resumed(rec, {**state, **changes}, num_parts=num_parts).close()
    with resumed(rec, {**state, "epoch": 2**31}) as it:
        assert 2**31 == it.epoch


def test_a_state_without_a_digest_is_compared_field_by_field(rec: Path) -> None:
    state = {key: value for key, value in stopped(rec, 2).items() if key != "digest"}

    assert NOT_A_STATE == error_of(rec, state)
    assert NOT_A_STATE == error_of(rec, {**state, "checksums": 5})
    nested: list[Any] = []
    for _ in range(10**5):
        nested = [nested]
    for value in (nested, np.arange(2)):  # pickle and torch.save keep both
        for key in ("version", "digest", "records", "file_sizes"):
            assert NOT_A_STATE == error_of(rec, {**state, "digest": "another", key: value})
        parameters = {**state["parameters"], "seed": value}
        assert NOT_A_STATE == error_of(rec, {**state, "digest": "another", "parameters": parameters})
    assert NOT_A_STATE == error_of(rec, {**state, "digest": "another", "parameters": {**state["parameters"], 3: 4}})
    assert NOT_A_STATE == error_of(rec, {key: value for key, value in state.items() if key != "parameters"})


@pytest.mark.parametrize(
    "malformed", [None, [], "state", {"version": 1, "parameters": 5}, {"version": 1, "parameters": [1]}]
)
def test_objects_that_are_not_states_are_error_of(rec: Path, malformed: Any) -> None:
    assert NOT_A_STATE == error_of(rec, malformed)


def test_epochs_that_roll_over_resume_with_the_same_parts_only(rec: Path) -> None:
    state = stopped(rec, 2, last_batch="roll_over", num_parts=2)

    message = f"num_parts=3 must be 2, as in the state, with roll_over {HINT}"
    assert message == error_of(rec, state, last_batch="roll_over", num_parts=3)
    resumed(rec, state, last_batch="roll_over", num_parts=2, part_index=1).close()

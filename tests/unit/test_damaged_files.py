"""Opened files that are damaged: what is lost, which ordinals the others have, and what is doubtful."""

from __future__ import annotations

import multiprocessing
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import bounds, digests, image_payload, index_text, joined, message_of, send_digests, write_rec

import im2rec
from im2rec.errors import CorruptRecordError, InputError, ParameterError
from im2rec.format.heads import MAGIC
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.storage.files import InputFile
from im2rec.storage.reader import RecordFile

COUNT = 12
IDS = [100 + 3 * n for n in range(COUNT)]
# Sizes that differ, contents without the end of an image, and a record of several parts.
PAYLOADS = [image_payload(id_, n, bytes([65 + n]) * (60 + 7 * n)) for n, id_ in enumerate(IDS)]
PAYLOADS[4] = encode_image_record(IRHeader(0, [1, 2], IDS[4]), b"abcd" + MAGIC + b"split" * 9)
AT = bounds(PAYLOADS)
FRAMES = [slice(AT[n], AT[n + 1]) for n in range(COUNT)]


def damaged_file(folder: Path, change: Callable[[bytes], bytes], keys: list[int] | None = None) -> Path:
    """Write the records with an index of the file as it was, whose keys are the ids, and change its bytes."""
    path = write_rec(folder / "some.rec", PAYLOADS, keys=IDS if keys is None else keys)
    path.write_bytes(change(path.read_bytes()))
    return path


def reordered(*ordinals: int, size: int = COUNT) -> Callable[[bytes], bytes]:
    """Return a change that puts the frames of *ordinals* in this order, and after them all from number *size* on."""
    return lambda data: b"".join(data[FRAMES[n]] for n in ordinals) + data[AT[size] :]


def cleared(ordinal: int) -> Callable[[bytes], bytes]:
    """Return a change that overwrites the head of a record, so that the one before it ends at damage."""
    return lambda data: data[: AT[ordinal]] + b"\xff" * 8 + data[AT[ordinal] + 8 :]


def inserted(ordinal: int, more: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[: AT[ordinal] + 50] + more + data[AT[ordinal] + 50 :]


def removed(ordinal: int, count: int) -> Callable[[bytes], bytes]:
    return lambda data: data[: AT[ordinal] + 50] + data[AT[ordinal] + 50 + count :]


def ids_of(rec: RecordFile) -> dict[int, int]:
    """Return the id of each record that can be read, by ordinal; the payloads of those that are sure are compared."""
    ids = {}
    for ordinal in range(rec.total):
        if ordinal not in rec.lost:
            ids[ordinal] = rec[ordinal].header.id
            assert ordinal in rec.doubtful or rec.payload(ordinal) == PAYLOADS[IDS.index(ids[ordinal])]
    return ids


# With an index

MOVES: dict[str, tuple[Callable[[bytes], bytes], int]] = {  # the change, and the record that is lost
    "a wrong magic": (lambda data: data[: AT[3]] + b"?" + data[AT[3] + 1 :], 3),
    "a head of zeros": (lambda data: data[: AT[3]] + bytes(8) + data[AT[3] + 8 :], 3),
    "one byte more": (inserted(3, b"+"), 3),
    "two bytes more in a record of several parts": (inserted(4, b"++"), 4),
    "four bytes more": (inserted(3, b"++++"), 3),
    "ten bytes more in the first": (inserted(0, b"+" * 10), 0),
    "one byte less": (removed(3, 1), 3),
    "eight bytes less": (removed(7, 8), 7),
    "three bytes less in the last": (removed(11, 3), 11),
    "a record that is gone": (lambda data: data[: AT[5]] + data[AT[6] :], 5),
    "the first record gone": (lambda data: data[AT[1] :], 0),
    "the last record gone": (lambda data: data[: AT[11]], 11),
}


@pytest.mark.parametrize("keys", [None, list(range(COUNT)), [7] * COUNT], ids=["ids", "ordinals", "all the same"])
@pytest.mark.parametrize("case", MOVES)
def test_with_an_index_ordinals_are_its_lines_wherever_the_records_are_now(
    case: str, keys: list[int] | None, tmp_path: Path
) -> None:
    change, lost = MOVES[case]
    path = damaged_file(tmp_path, change, keys)
    expected = {n: IDS[n] for n in range(COUNT) if n != lost}

    for damaged in ("raise", "skip"):
        with RecordFile(path, damaged=damaged) as rec:
            assert lost in {*rec.lost.tolist(), *rec.doubtful.tolist()}
            assert {lost} >= {*rec.lost.tolist()}
            assert {lost - 1, lost} >= {*rec.doubtful.tolist()}
            found = {n: id_ for n, id_ in ids_of(rec).items() if n != lost}
            assert expected == found
            assert COUNT == rec.total
            assert (IDS if keys is None else keys) == rec.keys.tolist()
            assert COUNT - len(rec.lost) * (damaged == "skip") == len(rec)


@pytest.mark.parametrize("end", [AT[7], AT[-1], AT[7] + 12])
def test_a_length_that_is_too_long_loses_its_record_alone_when_it_is_read_or_at_once(end: int, tmp_path: Path) -> None:
    length = (end - AT[3] - 8).to_bytes(4, "little")
    path = damaged_file(tmp_path, lambda data: data[: AT[3] + 4] + length + data[AT[3] + 8 :])

    with RecordFile(path) as rec:
        assert [] == rec.lost.tolist()  # a few heads only are read to open the file
        problem = f"the record extends to byte {end}, but another one starts at byte {AT[4]}"
        place = f"{path}, record 3, byte {AT[3] + 4}"
        assert f"{place}: {problem} (run 'im2rec inspect' on it)" == message_of(rec.payload, 3)
        assert [IDS[2], IDS[4]] == [header.id for header, _ in rec.read_many([2, 4])]
    with RecordFile(path, damaged="skip") as rec:
        assert [3] == rec.lost.tolist()
        assert {n: IDS[n] for n in range(COUNT) if n != 3} == ids_of(rec)
        assert [(AT[3], AT[4])] == [(item.start, item.end) for item in rec.damage]


def test_a_record_is_lost_with_place_and_problem_and_all_others_are_read(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, lambda data: data[: AT[3]] + b"?" + data[AT[3] + 1 :])

    with im2rec.open(path) as rec:
        problem = "expected the magic 0a 23 d7 ce, found 3f 23 d7 ce"
        place = f"is lost in the damaged bytes {AT[3]} to {AT[4]}"
        message = f"{path}, record 3, byte {AT[3]}: {place}: {problem} (run 'im2rec inspect' on it)"
        reads: list[Callable[[], Any]] = [
            lambda: rec[3],
            lambda: rec[-9],
            lambda: rec.payload(3),
            lambda: rec.by_key(IDS[3]),
            lambda: rec.read_many([5, 3, 1]),
            lambda: rec[2:5],
            lambda: list(rec),
        ]
        assert [message] * len(reads) == [message_of(read) for read in reads]
        assert IDS[4] == rec[4].header.id == rec.by_key(IDS[4]).header.id
        assert [IDS[5], IDS[1]] == [header.id for header, _ in rec.read_many([5, 1])]
        assert [IDS[4], IDS[5]] == [header.id for header, _ in rec[4:6]]
        assert [*range(COUNT)] == rec.ordinals.tolist()
        (damage,) = rec.damage
        assert (AT[3], AT[4], path, problem) == (damage.start, damage.end, damage.error.path, damage.error.problem)


def test_iteration_and_slices_leave_out_lost_records_on_request(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, lambda data: data[: AT[3]] + b"?" + data[AT[3] + 1 :])
    others = [*IDS[:3], *IDS[4:]]

    with im2rec.open(path, damaged="skip") as rec:
        assert others == [header.id for header, _ in rec]
        assert (COUNT - 1, COUNT) == (len(rec), rec.total)
        assert [n for n in range(COUNT) if n != 3] == rec.ordinals.tolist()
        assert [IDS[2], IDS[4]] == [header.id for header, _ in rec[2:5]]
        assert others[::-1] == [header.id for header, _ in rec[::-1]]
        assert IDS[4] == rec[4].header.id  # ordinals stay
        assert "is lost in the damaged bytes" in message_of(rec.payload, 3)
        assert "is lost in the damaged bytes" in message_of(rec.read_many, [2, 3])
        assert "is lost in the damaged bytes" in message_of(rec.by_key, IDS[3])


def test_swapped_blocks_are_given_by_their_lines(tmp_path: Path) -> None:
    swapped = reordered(0, 1, 6, 7, 8, 5, 2, 3, 4, size=9)

    for more in (lambda data: data, lambda data: data[:-4]):
        path = damaged_file(tmp_path, lambda data, more=more: more(swapped(data)))
        for damaged in ("raise", "skip"):
            with RecordFile(path, damaged=damaged) as rec:
                lost = [11] if more(b"12345") != b"12345" else []
                assert lost == rec.lost.tolist()
                assert {n: IDS[n] for n in range(COUNT) if n not in lost} == ids_of(rec)
                assert IDS[7] == rec.by_key(IDS[7]).header.id


def test_many_records_of_a_file_in_another_order_are_read_in_the_order_asked(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, lambda data: reordered(*range(10, -1, -1), size=11)(data)[:-4])

    with RecordFile(path, damaged="skip") as rec:
        assert [11] == rec.lost.tolist()
        for ordinals in ([*range(11)], [5, 0, 10, 5, 3], [10, 9]):
            assert [IDS[n] for n in ordinals] == [header.id for header, _ in rec.read_many(ordinals)]
        assert [(IDS[n], len(PAYLOADS[n])) for n in range(11)] == [
            (info.header.id, info.size) for info in rec.record_infos(range(11))
        ]
        assert [AT[n + 1] - AT[n] for n in range(11)] == rec.frame_sizes(np.arange(11)).tolist()
        spans = [rec.span(n) for n in range(11)]
        assert spans == rec.spans(range(11))
        assert [AT[n + 1] - AT[n] for n in range(11)] == [span.nbytes for span in spans]


def test_copies_of_records_follow_the_lines_and_are_counted(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, reordered(0, 1, 2, 3, 1, 2, 3, size=4))

    for damaged in ("raise", "skip"):
        with RecordFile(path, damaged=damaged) as rec:
            assert (COUNT + 3, COUNT + 3, []) == (rec.total, len(rec), rec.lost.tolist())
            assert [*IDS, *IDS[1:4]] == rec.keys.tolist()
            assert [*IDS, *IDS[1:4]] == list(ids_of(rec).values())


def test_a_line_has_its_record_in_place_and_not_the_copy(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, lambda data: data[: AT[9]] + data[FRAMES[5]] + data[AT[10] :])  # 5 in place of 9

    with RecordFile(path, damaged="skip") as rec:
        assert [9] == rec.lost.tolist()
        assert {**{n: IDS[n] for n in range(COUNT) if n != 9}, COUNT: IDS[5]} == ids_of(rec)
        assert AT[5] == rec.offsets[5]


def test_two_files_of_which_one_has_an_index_give_the_records_of_both(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, lambda data: data[: AT[2]] + data[: AT[2] + 9])  # a tail that is there twice, and cut

    with RecordFile(path, index=False, damaged="skip") as rec:
        assert [IDS[0], IDS[1]] * 2 == [header.id for header, _ in rec]


def test_a_file_that_is_cut_says_where_the_records_behind_its_end_would_be(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, lambda data: data[: AT[4] + 20])

    with RecordFile(path) as rec:
        assert [*range(4, COUNT)] == rec.lost.tolist()
        assert {n: IDS[n] for n in range(4)} == ids_of(rec)
        assert f"is lost in the damaged bytes {AT[4]} to {AT[4] + 20}: expected " in message_of(rec.payload, 4)
        assert f"{path}, record 6, byte {AT[6]}: is lost" in message_of(rec.payload, 6)


def test_a_file_that_ends_with_a_record_says_how_many_more_the_index_lists(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, lambda data: data[: AT[9]])

    for damaged in ("raise", "skip"):
        with RecordFile(path, damaged=damaged) as rec:
            assert [9, 10, 11] == rec.lost.tolist()
            assert [(AT[9], AT[9])] == [(item.start, item.end) for item in rec.damage]
            problem = "the file ends here, but the index lists 3 more records"
            assert [problem] == [item.error.problem for item in rec.damage]


def test_an_index_of_another_file_is_refused_though_the_file_is_damaged(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, cleared(5))
    path.with_suffix(".idx").write_bytes(index_text(range(4, 4 + 52 * COUNT, 52), range(5000, 5000 + COUNT)))

    for damaged in ("raise", "skip"):
        assert "no record starts at byte 4, which it gives for record 0" in message_of(
            RecordFile, path, damaged=damaged
        )


def test_records_that_the_index_leaves_out_are_no_damage(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, cleared(6))
    listed = [0, 2, 4, 6, 8, 10]
    path.with_suffix(".idx").write_bytes(index_text([AT[n] for n in listed], [IDS[n] for n in listed]))

    for damaged in ("raise", "skip"):
        with RecordFile(path, damaged=damaged) as rec:
            assert [3] == rec.lost.tolist()
            assert {0: IDS[0], 1: IDS[2], 2: IDS[4], 4: IDS[8], 5: IDS[10]} == {
                n: id_ for n, id_ in ids_of(rec).items() if n < 6
            }


# Without an index


def test_without_an_index_damage_takes_a_place_or_none(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, cleared(5))
    problem = "expected the magic 0a 23 d7 ce, found ff ff ff ff"

    with RecordFile(path, index=False) as rec:
        assert ([5], COUNT, COUNT) == (rec.lost.tolist(), rec.total, len(rec))
        assert {n: IDS[n] for n in range(COUNT) if n != 5} == ids_of(rec)
        place = f"{path}, record 5, byte {AT[5]}: is lost in the damaged bytes {AT[5]} to {AT[6]}: {problem}"
        assert f"{place} (run 'im2rec inspect' on it)" == message_of(lambda: rec[5])
        assert 6 == rec.ordinal_of(IDS[6])
    with RecordFile(path, index=False, damaged="skip") as rec:
        assert ([], COUNT - 1, COUNT - 1) == (rec.lost.tolist(), rec.total, len(rec))
        assert [*IDS[:5], *IDS[6:]] == [header.id for header, _ in rec] == rec.keys.tolist()
        assert [*range(COUNT - 1)] == rec.ordinals.tolist()
        assert 5 == rec.ordinal_of(IDS[6])
        assert [(AT[5], AT[6])] == [(item.start, item.end) for item in rec.damage]


def test_several_damaged_ranges_each_take_a_place(tmp_path: Path) -> None:
    def change(data: bytes) -> bytes:
        return cleared(8)(cleared(7)(cleared(3)(b"".join((b"\xff" * 8, data[8:-8])))))

    path = damaged_file(tmp_path, change)  # the first, 3, 7 and 8 next to each other, and the last

    with RecordFile(path, index=False) as rec:
        assert [0, 3, 7, 10] == rec.lost.tolist()
        expected = [None, *IDS[1:3], None, *IDS[4:7], None, *IDS[9:11], None]
        assert {n: id_ for n, id_ in enumerate(expected) if id_ is not None} == ids_of(rec)
        assert [(0, AT[1]), (AT[3], AT[4]), (AT[7], AT[9]), (AT[11], AT[12] - 8)] == [
            (rec.span(n).start, rec.span(n).stop) for n in rec.lost.tolist()
        ]
        assert [2, 6] == rec.doubtful.tolist()


def test_the_key_of_a_damaged_place_is_no_key(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, cleared(5))

    with RecordFile(path, index=False) as rec:
        hint = f"keys run from {IDS[0]} to {IDS[-1]}"
        for key in (5, 2**63):
            assert f"{path}: no record has the key {key} ({hint})" == message_of(rec.by_key, key)


def test_a_file_without_any_whole_record_opens_and_has_none(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, lambda data: data[: AT[1] - 4])

    with RecordFile(path, index=False, damaged="skip") as rec:
        assert (0, [], 1) == (len(rec), list(rec), len(rec.damage))
        with pytest.raises(IndexError):
            rec[0]
        assert "no record has the key 1" in message_of(rec.by_key, 1)
    with RecordFile(path, index=False) as rec:
        assert (1, [0]) == (len(rec), rec.lost.tolist())
        assert "is lost in the damaged bytes 0 to" in message_of(rec.__getitem__, 0)
    for damaged in ("raise", "skip"):
        with RecordFile(path, damaged=damaged) as rec:
            assert (COUNT, [*range(COUNT)]) == (rec.total, rec.lost.tolist())


def test_a_length_that_covers_other_records_exactly_is_found_on_request_or_when_it_is_read(tmp_path: Path) -> None:
    length = AT[7] - AT[3] - 8
    path = damaged_file(
        tmp_path, lambda data: data[: AT[3] + 4] + length.to_bytes(4, "little") + data[AT[3] + 8 :], [0] * COUNT
    )

    with RecordFile(path, index=False, damaged="skip") as rec:
        assert [*IDS[:3], *IDS[4:]] == [header.id for header, _ in rec]
        assert [(AT[3], AT[4])] == [(item.start, item.end) for item in rec.damage]
    with RecordFile(path, index=False) as rec:
        assert f"another part starts at byte {AT[4]}" in message_of(rec.payload, 3)
        assert IDS[2] == rec[2].header.id


# Doubtful records


@pytest.mark.parametrize("index", [None, False], ids=["index", "scan"])
def test_a_doubtful_record_is_given_and_counted_apart_or_dropped(index: bool | None, tmp_path: Path) -> None:
    path = damaged_file(tmp_path, cleared(5))

    for damaged in ("raise", "skip"):
        with RecordFile(path, index=index, damaged=damaged) as rec:
            assert [4] == rec.doubtful.tolist()
            assert IDS[4] == rec[4].header.id
        with RecordFile(path, index=index, damaged=damaged, doubtful="drop") as rec:
            assert [] == rec.doubtful.tolist()
            others = [*IDS[:4], *IDS[6:]]
            assert others == [id_ for _, id_ in sorted(ids_of(rec).items())]
            if damaged == "skip":
                assert others == [header.id for header, _ in rec]
                assert COUNT - 2 == len(rec)
            if index is None:
                assert [4, 5] == rec.lost.tolist()
                assert "is lost in the damaged bytes" in message_of(rec.payload, 4)


def test_nothing_is_lost_or_doubtful_in_a_good_file(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, bytes)

    for index in (None, False):
        for damaged in ("raise", "skip"):
            for doubtful in ("keep", "drop"):
                with RecordFile(path, index=index, damaged=damaged, doubtful=doubtful) as rec:
                    assert ([], [], []) == (rec.lost.tolist(), rec.doubtful.tolist(), rec.damage)
                    assert (COUNT, COUNT, [*range(COUNT)]) == (len(rec), rec.total, rec.ordinals.tolist())
                    assert AT[:-1] == rec.offsets.tolist()
                    assert (np.int64, np.int64) == (rec.lost.dtype, rec.doubtful.dtype)


def test_the_words_for_damaged_and_doubtful_are_checked(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, bytes)

    assert "damaged='ignore' must be raise or skip" == message_of(RecordFile, path, damaged="ignore")
    assert "doubtful=True must be keep or drop" == message_of(RecordFile, path, doubtful=True)
    with pytest.raises(ParameterError):
        im2rec.open(path, damaged="keep")


# Copies and children


@pytest.mark.parametrize("index", [None, False], ids=["index", "scan"])
@pytest.mark.parametrize("damaged", ["raise", "skip"])
def test_a_pickled_copy_of_a_damaged_file_knows_what_is_lost(index: bool | None, damaged: str, tmp_path: Path) -> None:
    path = damaged_file(tmp_path, lambda data: inserted(8, b"+++")(cleared(5)(data)))

    with RecordFile(path, index=index, damaged=damaged) as rec:
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            with pickle.loads(pickle.dumps(rec, protocol)) as copy:
                assert (len(rec), rec.total, damaged) == (len(copy), copy.total, copy.damaged)
                assert rec.lost.tolist() == copy.lost.tolist()
                assert rec.doubtful.tolist() == copy.doubtful.tolist()
                assert rec.ordinals.tolist() == copy.ordinals.tolist()
                places = [(item.start, item.end, str(item.error)) for item in rec.damage]
                assert places == [(item.start, item.end, str(item.error)) for item in copy.damage]
                assert ids_of(rec) == ids_of(copy)
                for ordinal in rec.lost.tolist():
                    assert message_of(rec.payload, ordinal) == message_of(copy.payload, ordinal)


# Python 3.12 warns of numpy's threads; they hold no lock that a child needs.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_read_a_file_in_another_order(method: str, tmp_path: Path) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    context = multiprocessing.get_context(method)
    path = damaged_file(tmp_path, lambda data: reordered(4, 5, 6, 7, 0, 1, 2, 3, size=8)(data)[:-4])
    with RecordFile(path, damaged="skip") as rec:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=send_digests, args=(theirs, rec, [3, 10, 0, 7]))
        child.start()
        theirs.close()
        assert digests(rec, [3, 10, 0, 7]) == ours.recv()
        ours.close()
        child.join()
        assert 0 == child.exitcode
        child.close()


# Reads


def test_a_good_file_with_an_index_is_opened_without_a_scan_and_with_skip_by_its_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [image_payload(n, n, bytes([n]) * 200_000) for n in range(100)]
    path = write_rec(tmp_path / "some.rec", payloads)
    sizes: list[int] = []
    real = InputFile.read_at
    monkeypatch.setattr(InputFile, "read_at", lambda file, at, size: (sizes.append(size), real(file, at, size))[1])

    RecordFile(path).close()
    assert (True, True) == (len(sizes) < 300, sum(sizes) < 200_000)
    sizes.clear()
    RecordFile(path, damaged="skip").close()
    assert sum(sizes) < 1_000_000


def test_a_record_that_reading_finds_damaged_is_left_out_by_skip(tmp_path: Path) -> None:
    path = damaged_file(tmp_path, bytes)
    with RecordFile(path, damaged="skip") as rec:
        with path.open("r+b") as file:  # as on a disk that fails while it is open
            file.seek(AT[5])
            file.write(b"JPEG")
        assert [*IDS[:5], *IDS[6:]] == [header.id for header, _ in rec]
        with pytest.raises(CorruptRecordError, match="expected the magic"):
            rec.payload(5)


def test_closing_a_damaged_file_twice_is_allowed_and_reading_it_then_is_not(tmp_path: Path) -> None:
    rec = RecordFile(damaged_file(tmp_path, cleared(5)), damaged="skip")
    rec.close()
    rec.close()
    with pytest.raises(InputError):
        rec.payload(1)


def test_a_whole_file_is_the_same_whether_damage_is_raised_or_skipped_whatever_its_ids_and_keys(tmp_path: Path) -> None:
    rng = random.Random(3)
    for _ in range(150):
        count = rng.randint(1, 14)
        ids = rng.choice(
            [
                rng.sample(range(count), count),
                [rng.randrange(count) for _ in range(count)],
                [n + rng.randint(0, 2) for n in range(count)],
            ]
        )
        keys = rng.choice([[*range(count)], ids, [*range(1, count + 1)]])
        data = [image_payload(id_, 1.0, bytes([n]) * (3 * n + rng.randint(1, 3))) for n, id_ in enumerate(ids)]
        rec = tmp_path / "a.rec"
        rec.write_bytes(joined(data))
        rec.with_suffix(".idx").write_bytes(index_text(bounds(data)[:-1], keys))

        with RecordFile(rec) as plain, RecordFile(rec, damaged="skip") as skipping:
            assert keys == skipping.keys.tolist()
            assert [record.content for record in plain] == [record.content for record in skipping], (ids, keys)
            assert 0 == len(skipping.lost)


def test_a_lost_record_in_a_range_that_is_only_counted_is_said_to_be_in_damaged_bytes(tmp_path: Path) -> None:
    rec = tmp_path / "a.rec"
    rec.write_bytes((joined([bytes(30)]) + b"bad!") * 10_050 + joined([bytes(30)]))

    with RecordFile(rec) as opened:
        assert (10_050, 10_000) == (opened.damaged_ranges, len(opened.damage))
        lost = 2 * 10_050 - 1
        message = f"{rec}, record {lost}, byte {44 * 10_050 - 4}: is lost in damaged bytes (run 'im2rec inspect' on it)"
        assert message == message_of(lambda: opened[lost])


def test_a_length_that_covers_others_is_seen_where_all_records_after_it_were_moved(tmp_path: Path) -> None:
    def change(data: bytes) -> bytes:
        head = MAGIC + (AT[7] - AT[3] - 8).to_bytes(4, "little")
        return data[AT[1] : AT[3]] + head + data[AT[3] + 8 :]

    with RecordFile(damaged_file(tmp_path, change, keys=[*range(COUNT)]), damaged="skip") as rec:
        assert [0, 3] == rec.lost.tolist()
        assert [n for n in range(COUNT) if n not in (0, 3)] == rec.ordinals.tolist()
        assert [PAYLOADS[n] for n in rec.ordinals.tolist()] == [rec.payload(n) for n in rec.ordinals.tolist()]

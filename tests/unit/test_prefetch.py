"""Prefetching: how batches are cut into pieces, where their memory comes from, which backend decodes, bad rows."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from iterator_helpers import some_params

from im2rec.errors import BadRecordError
from im2rec.pipeline import prefetch
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout, MemoryPool
from im2rec.pipeline.loader import RowProblem
from im2rec.pipeline.order import ALL_BATCHES, BatchRequest, Delivery
from im2rec.pipeline.params import ImageRecordParams
from im2rec.pipeline.prefetch import Prefetcher, choose_backend, drop_bad_rows, replace_bad_rows

ROW = (3, 2, 2)
WHOLE_EPOCH = (Delivery(1, 0),)
UNREADABLE = BadRecordError("cannot be read")


@dataclasses.dataclass
class StandInRecords:
    """*count* records of which some others, before them, are left out: ordinals are positions + 100."""

    count: int
    last_block_bytes: int = 0

    def __len__(self) -> int:
        return self.count

    def ordinals(self, positions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return positions + 100

    def block_starts(self, block_bytes: int) -> np.ndarray[Any, Any]:
        self.last_block_bytes = block_bytes
        return np.array([0, 3, self.count])


class StandInLoader:
    """Writes ordinals into rows; *bad* ones are problems, which are returned with the row."""

    label_width = 1

    def __init__(self, *, has_kernel_for_all_steps: bool = False, bad: tuple[int, ...] = ()) -> None:
        self.has_kernel_for_all_steps = has_kernel_for_all_steps
        self.bad = bad
        self.pieces: list[list[int]] = []

    def load(self, buffer: BatchBuffer, piece: BatchRequest) -> list[RowProblem]:
        self.pieces.append(piece.records)
        rows = range(piece.first_row, piece.first_row + len(piece.records))
        for row, ordinal in zip(rows, piece.records, strict=True):
            buffer.ids[row] = buffer.label[row] = ordinal
            buffer.data[row] = ordinal
        pairs = zip(rows, piece.records, strict=True)
        return [RowProblem(row, UNREADABLE, row_is_valid=False) for row, ordinal in pairs if ordinal in self.bad]


def prefetcher(count: int, loader: StandInLoader | None = None, **given: Any) -> Prefetcher:
    params = some_params("a.rec", **{"backend": "threads", "preprocess_threads": 1, "batch_size": 4, **given})
    return Prefetcher(StandInRecords(count), loader or StandInLoader(), params, ROW)  # type: ignore[arg-type]


def batches(made: Prefetcher, count: int, epoch: int = 0, batch: int = 0) -> list[tuple[list[int], int, list[int]]]:
    """Ids, pad and rows with problems of the next *count* batches, which are delivered."""
    found = []
    stream = made.run(epoch, batch, WHOLE_EPOCH)
    for buffer, pieces in itertools.islice(stream, count):
        data, label, ids = made.buffers.deliver(buffer)
        assert (data == ids.reshape(-1, 1, 1, 1)).all()
        assert (label == ids).all()
        found.append((ids.tolist(), buffer.pad, [problem.row for piece in pieces for problem in piece]))
    stream.close()
    made.shut_down(wait=True)
    return found


# Batches


def test_batches_follow_the_order_of_the_epochs_by_ordinal() -> None:
    expected = [([100, 101, 102, 103], 0, []), ([104, 105, 100, 101], 2, [])]

    assert expected * 2 == batches(prefetcher(6), 4)
    assert expected[::-1] == batches(prefetcher(6), 2, epoch=3, batch=1)


def test_rows_without_a_record_are_zeros_in_memory_that_held_another_batch() -> None:
    loader = StandInLoader()
    found = batches(prefetcher(6, loader, last_batch="keep", reuse_buffers=True, prefetch_buffer=1), 8)

    assert [([100, 101, 102, 103], 0, []), ([104, 105, 0, 0], 2, [])] * 4 == found


def test_problems_of_records_come_with_the_batch_by_row() -> None:
    loader = StandInLoader(bad=(101, 104, 105))

    assert [[1], [0, 1]] == [rows for *_, rows in batches(prefetcher(8, loader), 2)]


def test_the_first_batch_is_cut_for_all_workers_and_later_ones_are_not() -> None:
    loader = StandInLoader()
    made = prefetcher(1000, loader, preprocess_threads=2, batch_size=32, prefetch_buffer=4)
    batches(made, 3)

    sizes = [len(piece) for piece in sorted(loader.pieces)]
    assert [16, 16] == sizes[:2]
    assert {32} == set(sizes[2:])


def test_a_closed_stream_makes_no_further_batches() -> None:
    loader = StandInLoader()
    made = prefetcher(100, loader, prefetch_buffer=2)
    stream = made.run(0, 0, WHOLE_EPOCH)
    next(stream)
    stream.close()
    made.shut_down(wait=True)

    assert 1 <= len(loader.pieces) <= 1 + 2


@pytest.mark.parametrize("reuse", [False, True])
def test_memory_of_kept_batches_is_filled_again_on_request_only(reuse: bool) -> None:
    made = prefetcher(40, reuse_buffers=reuse, prefetch_buffer=1)
    kept = []
    for buffer, _ in itertools.islice(made.run(0, 0, WHOLE_EPOCH), 10):
        kept.append(made.buffers.deliver(buffer)[2])
        del buffer
    made.shut_down(wait=True)

    ids = [[*range(100 + first, 104 + first)] for first in range(0, 40, 4)]
    assert reuse == (ids != [array.tolist() for array in kept])
    assert reuse == (len({array.ctypes.data for array in kept}) < 10)


@pytest.mark.parametrize("mebibytes", [1, 3])
def test_blocks_to_shuffle_are_given_in_mebibytes(mebibytes: int) -> None:
    records = StandInRecords(8)
    params = some_params("a.rec", shuffle=True, shuffle_chunk_size=mebibytes, preprocess_threads=1, batch_size=8)
    made = Prefetcher(records, StandInLoader(), params, ROW)  # type: ignore[arg-type]

    assert mebibytes * 1024 * 1024 == records.last_block_bytes
    assert 2 == made.blocks
    ((ids, _, _),) = batches(made, 1)
    assert [*range(100, 108)] == sorted(ids)
    ((freely, _, _),) = batches(prefetcher(8, shuffle=True, batch_size=8), 1)
    assert freely != ids


@pytest.mark.parametrize("given", [{"shuffle": True}, {"shuffle_chunk_size": 3}, {}])
def test_other_orders_have_no_blocks(given: dict[str, Any]) -> None:
    made = prefetcher(8, **given)
    made.shut_down(wait=True)

    assert 0 == made.blocks


def test_the_order_of_mxnet_takes_the_place_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    class StandInOrder:
        def __init__(self, *_: object) -> None:
            pass

        def requests(self, epoch: int, batch: int, splits: object, stride: object) -> Any:
            assert (1, 2, WHOLE_EPOCH, ALL_BATCHES) == (epoch, batch, splits, stride)
            yield BatchRequest([9, 8], [1, 1], 2)

    monkeypatch.setattr(prefetch, "MXNetOrder", StandInOrder)

    assert [([9, 8, 0, 0], 2, [])] == batches(prefetcher(8, rng="mxnet"), 5, epoch=1, batch=2)
    assert prefetcher(8).mxnet_order is None


def test_processes_take_the_place_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Any, ...]] = []

    class StandInBackend:
        kernel = "numba 0.68.1"

        def __init__(self, loader: StandInLoader, layout: BatchLayout, count: int, ahead: int) -> None:
            made.append((loader, layout.size, count, ahead))
            self.buffers = MemoryPool(layout, 1)

        def shut_down(self, *, wait: bool) -> None:
            made.append((wait,))

    monkeypatch.setattr(prefetch, "ProcessBackend", StandInBackend)
    loader = StandInLoader()
    it = prefetcher(8, loader, backend="processes", preprocess_threads=3, prefetch_buffer=5, batch_size=2)
    it.shut_down(wait=False)

    assert [(loader, BatchLayout((2, *ROW), "float32", 1).size, 3, 5), (False,)] == made
    assert "processes" == it.backend
    assert "numba 0.68.1" == it.kernel


# Threads or processes


@pytest.mark.parametrize(
    ("records", "threads", "size", "is_all_by_kernel", "expected"),
    [
        (1000, 2, (50, 50), False, "processes"),
        (999, 2, (50, 50), False, "threads"),  # few records
        (1000, 1, (50, 50), False, "threads"),  # one worker
        (1000, 4, (200, 200), True, "threads"),  # 40,000 pixels for 4 threads
        (1000, 4, (199, 201), True, "processes"),  # 39,999
        (1000, 4, (200, 200), False, "processes"),
        (1000, 5, (200, 200), True, "processes"),
    ],
)
def test_auto_takes_processes_for_many_records_of_which_threads_do_too_little_without_the_gil(
    records: int, threads: int, size: tuple[int, int], is_all_by_kernel: bool, expected: str
) -> None:
    params = some_params("a.rec", preprocess_threads=threads, data_shape=(3, *size))

    assert expected == chosen(params, records, StandInLoader(has_kernel_for_all_steps=is_all_by_kernel))


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_backend_that_is_given_is_taken(backend: str) -> None:
    for records in (1, 1_000_000):
        assert backend == chosen(some_params("a.rec", backend=backend), records, StandInLoader())


def chosen(params: ImageRecordParams, records: int, loader: StandInLoader) -> str:
    return choose_backend(params, records, loader)  # type: ignore[arg-type]


# Bad rows


def rows(count: int, pad: int) -> BatchBuffer:
    """A batch of the ids 1, 2 and so on, of which the last *pad* are filler."""
    buffer = BatchBuffer.new(BatchLayout((count, *ROW), "float32", 1))
    for row in range(count):
        buffer.ids[row] = buffer.label[row] = row + 1
        buffer.data[row] = row + 1
    buffer.pad = pad
    return buffer


@pytest.mark.parametrize(
    ("pad", "bad", "zeros", "ids", "new_pad"),
    [
        (0, [1], False, [1, 3, 4, 5, 6, 1], 1),
        (0, [1], True, [1, 3, 4, 5, 6, 0], 1),
        (0, [0, 5], False, [2, 3, 4, 5, 2, 3], 2),
        (2, [1], False, [1, 3, 4, 5, 6, 1], 3),  # 5 and 6 are filler
        (2, [1], True, [1, 3, 4, 5, 6, 0], 3),
        (2, [4], False, [1, 2, 3, 4, 6, 1], 2),  # a bad row of the filler is counted already
        (2, [3, 4, 5], False, [1, 2, 3, 1, 2, 3], 3),
        (0, [1, 2, 3, 4, 5], False, [1, 1, 1, 1, 1, 1], 5),
        (0, [0, 1, 2, 3, 4, 5], False, [0] * 6, 6),
        (4, [0, 1], False, [3, 4, 5, 6, 0, 0], 6),  # filler is not repeated
    ],
)
def test_good_rows_move_up_over_bad_ones_and_filler_takes_their_place(
    pad: int, bad: list[int], zeros: bool, ids: list[int], new_pad: int
) -> None:
    buffer = rows(6, pad)
    drop_bad_rows(buffer, bad, zeros=zeros)

    assert ids == buffer.ids.tolist()
    assert new_pad == buffer.pad
    assert ids == buffer.label.tolist()
    assert [[id_] * 12 for id_ in ids] == buffer.data.reshape(6, -1).tolist()


@pytest.mark.parametrize(
    ("pad", "bad", "ids", "new_pad"),
    [
        (0, [1], [1, 1, 3, 4, 5, 6], 0),
        (2, [0, 3], [2, 2, 3, 3, 5, 6], 2),  # 5 and 6 are filler, and not repeated
        (2, [0, 1, 2], [4, 4, 4, 4, 5, 6], 2),
        (0, [0, 1, 2, 3, 4, 5], [0] * 6, 6),
    ],
)
def test_good_rows_are_repeated_in_place_of_bad_ones(pad: int, bad: list[int], ids: list[int], new_pad: int) -> None:
    buffer = rows(6, pad)
    replace_bad_rows(buffer, bad)

    assert ids == buffer.ids.tolist() == buffer.label.tolist()
    assert new_pad == buffer.pad
    assert [[id_] * 12 for id_ in ids] == buffer.data.reshape(6, -1).tolist()

"""MXNet's order of records: every recorded order and part, and the rows and draws that were observed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from im2rec.augment.mxnet_draws import Mersenne
from im2rec.pipeline.mxnet_order import DrawChunk, MXNetEpochs, chunks_by_bytes, part_by_bytes, part_by_count
from im2rec.pipeline.params import KEEP, ROLL_OVER, OrderParams

GOLDEN = Path(__file__).parents[1] / "golden" / "iterators"
MIB = 1 << 20
SMALL = np.arange(7) * 100, 700
BIG = np.cumsum([0, *(532_000 + 7000 * i for i in range(40))])  # 26 MB, read in three chunks


def recorded(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def data_file(name: str) -> tuple[np.ndarray, int]:
    """Offsets and size of a recorded ``.rec``."""
    lines = (GOLDEN / "data" / f"{name}.idx").read_text(encoding="ascii").splitlines()
    size = (GOLDEN / "data" / f"{name}.rec").stat().st_size
    return np.array([int(line.split()[1]) for line in lines]), size


def row_numbers(chunk: DrawChunk) -> list[int]:
    return chunk.rows.tolist()


def epochs_of(
    records: tuple[np.ndarray, int], draw: Any = row_numbers, *, indexed: bool, round_batch: bool = True, **order: Any
) -> MXNetEpochs:
    params = OrderParams(policy=ROLL_OVER if round_batch else KEEP, **order)
    return MXNetEpochs(*records, params, draw, indexed=indexed)


def batches(records: tuple[np.ndarray, int], epochs: int, **reading: Any) -> list[list[list[int]]]:
    """The ordinals of so many epochs, batch by batch."""
    order = epochs_of(records, **reading)
    return [[batch.records for batch in order.epoch()] for _ in range(epochs)]


def orders(records: tuple[np.ndarray, int], epochs: int, **reading: Any) -> list[list[int]]:
    """The ordinals of so many epochs, one record to a batch."""
    options = {"batch_size": 1, "round_batch": False, **reading}
    return [[ordinal for (ordinal,) in epoch] for epoch in batches(records, epochs, **options)]


def shown(records: tuple[np.ndarray, int], epochs: int, **reading: Any) -> list[str]:
    """Every record with its row, as "3:0 4:1 | 2:0 1:1"; one text for each epoch."""
    order = epochs_of(records, **reading)
    return [
        " | ".join(
            " ".join(f"{ordinal}:{row}" for ordinal, row in zip(batch.records, batch.plans, strict=True))
            for batch in order.epoch()
        )
        for _ in range(epochs)
    ]


def test_every_recorded_shuffle_is_met() -> None:
    cases = recorded("shuffle_orders")
    for case in cases:
        reading: dict[str, Any] = {"indexed": "no idx" not in case["how"], "shuffle": True, "seed": case["seed"]}
        if "part 1 of 2" in case["how"]:
            reading |= {"num_parts": 2, "part_index": 1}
        records = data_file(case["data"])
        if "batches" in case:
            assert "batch 5, round_batch=True" in case["how"]
            assert case["batches"] == batches(records, 3, batch_size=5, **reading), case
        else:
            assert case["epochs"] == orders(records, 3, **reading), case
    assert 28 == len(cases)


def test_every_recorded_part_is_met() -> None:
    cases = recorded("partitions")
    for case in cases:
        for part_index, labels in enumerate(case["labels"]):
            reading = {"indexed": case["with_idx"], "num_parts": case["num_parts"], "part_index": part_index}
            expected = [] if "empty part" in labels else labels
            assert [expected] == orders(data_file("parts10"), 1, **reading), case
    assert 12 == len(cases)


def test_every_recorded_order_of_pieces_is_met() -> None:
    chunks = recorded("chunk_shuffle")["chunks"]
    records = np.array(chunks["offsets"]), chunks["total_bytes"]
    for case in chunks["cases"]:
        reading = {name: value for name, value in case.items() if name != "epochs"}
        assert case["epochs"] == orders(records, 3, indexed=False, **reading), case
    for case in chunks["parts_without_chunks"]:
        parts = [
            orders(records, 1, indexed=False, num_parts=case["num_parts"], part_index=part_index)[0]
            for part_index in range(case["num_parts"])
        ]
        assert case["labels"] == parts


def test_the_recorded_order_inside_8_mib_is_met() -> None:
    window = recorded("chunk_shuffle")["window"]
    step = window["offsets"][1]
    records = np.arange(len(window["order"])) * step, window["total_bytes"]

    assert [window["order"]] == orders(records, 1, indexed=False, shuffle=True)


# Observed on MXNet 1.9.1 with rand_crop, seed_aug and one decode thread: ordinal:row, where the row was read off the
# crop, which the generator seeded with 111 + seed_aug + row explains. Seven records that fit into one chunk.
OBSERVED = {
    "index": (
        {"indexed": True, "batch_size": 3},
        ["0:0 1:1 2:2 | 3:0 4:1 5:2 | 6:0 0:1 1:2", "2:0 3:1 4:2 | 5:0 6:1 0:2", "1:0 2:1 3:2 | 4:0 5:1 6:2"],
    ),
    "index, shuffle": (
        {"indexed": True, "batch_size": 3, "shuffle": True},
        ["3:0 4:1 5:2 | 2:0 1:1 6:2 | 0:0 5:1 6:2", "0:0 1:1 3:2 | 2:0 4:1 1:2", "5:0 0:1 4:2 | 6:0 3:1 2:2"],
    ),
    "index, passes end apart": (
        {"indexed": True, "batch_size": 3, "round_batch": False},
        [
            "0:0 1:1 2:2 | 3:0 4:1 5:2 | 6:0",
            "0:0 1:1 2:2 | 3:3 4:4 5:2 | 6:3",
            "0:0 1:1 2:2 | 3:3 4:1 5:2 | 6:3",
            "0:0 1:1 2:2 | 3:0 4:1 5:2 | 6:0",
        ],
    ),
    "index, shuffle, passes end apart": (
        {"indexed": True, "batch_size": 3, "shuffle": True, "round_batch": False},
        [
            "3:0 4:1 5:2 | 2:0 1:1 6:2 | 0:0",
            "5:0 6:1 0:2 | 1:3 3:4 2:2 | 4:3",
            "1:0 5:1 0:2 | 4:3 6:1 3:2 | 2:3",
            "4:0 5:1 2:2 | 6:0 1:1 0:2 | 3:0",
        ],
    ),
    "no index": (
        {"indexed": False, "batch_size": 3},
        ["0:0 1:1 2:2 | 3:3 4:4 5:5 | 6:6 0:1 1:2", "2:3 3:4 4:5 | 5:6 6:7 0:2", "1:3 2:4 3:5 | 4:6 5:7 6:8"],
    ),
    "no index, passes end apart": (
        {"indexed": False, "batch_size": 3, "round_batch": False},
        ["0:0 1:1 2:2 | 3:3 4:4 5:5 | 6:6", "0:0 1:1 2:2 | 3:3 4:4 5:5 | 6:6"],
    ),
    "no index, shuffle": (
        {"indexed": False, "batch_size": 3, "shuffle": True},
        ["3:6 4:7 5:8 | 2:5 1:4 6:9 | 0:3 5:8 6:9", "0:3 1:4 3:6 | 2:5 4:7 1:4", "5:8 0:3 4:7 | 6:9 3:6 2:5"],
    ),
    "no index, shuffle, passes end apart": (
        {"indexed": False, "batch_size": 3, "shuffle": True, "round_batch": False},
        ["3:6 4:7 5:8 | 2:5 1:4 6:9 | 0:3", "5:8 6:9 0:3 | 1:4 3:6 2:5 | 4:7", "1:4 5:8 0:3 | 4:7 6:9 3:6 | 2:5"],
    ),
    "a batch of two passes leaves no epoch": (
        {"indexed": True, "batch_size": 14},
        ["0:0 1:1 2:2 3:3 4:4 5:5 6:6 0:7 1:8 2:9 3:10 4:11 5:12 6:13", ""] * 2,
    ),
}


@pytest.mark.parametrize("case", OBSERVED)
def test_records_and_rows_are_those_observed(case: str) -> None:
    reading, epochs = OBSERVED[case]

    assert epochs == shown(SMALL, len(epochs), **reading)


def test_chunks_that_begin_inside_a_batch_count_on_from_there() -> None:
    expected = (
        "0:0 1:1 2:2 3:3 4:4 5:5 6:6 7:7 8:8 | 9:9 10:10 11:11 12:12 13:13 14:5 15:6 16:7 17:8"
        " | 18:9 19:10 20:11 21:12 22:13 23:14 24:15 25:16 26:8"
        " | 27:9 28:10 29:11 30:12 31:13 32:14 33:15 34:16 35:17 | 36:18 37:1 38:2 39:3"
    )
    reading = {"indexed": False, "batch_size": 9, "round_batch": False}

    assert [expected] * 2 == shown((BIG[:-1], int(BIG[-1])), 2, **reading)


def test_shuffled_pieces_are_chunks_too() -> None:
    reading = {"indexed": False, "batch_size": 9, "shuffle_chunk_size": 4, "round_batch": False}
    plain, *_ = shown((BIG[:-1], int(BIG[-1])), 1, **reading)
    mixed, *_ = shown((BIG[:-1], int(BIG[-1])), 1, **reading, shuffle=True)

    assert plain.startswith("12:0 13:1 14:2 15:3 16:4 17:5 36:6 37:7 38:8 | 39:9 18:1 19:2 20:3 21:4 22:5 0:6 1:7 2:8")
    assert mixed.startswith("15:12 16:13 17:14 14:11 13:10 12:9 36:9 39:12 38:11 | 37:10 21:12 22:13 18:9 19:10 20:11")


def drawn(records: tuple[np.ndarray, int], **reading: Any) -> tuple[list[int], list[int]]:
    """The ordinals of an epoch in the order in which their numbers are drawn, and in that in which they leave."""
    order: list[int] = []

    def draw(chunk: DrawChunk) -> Sequence[int]:
        order.extend(chunk.ordinals.tolist())
        return chunk.ordinals.tolist()

    left = []
    for batch in epochs_of(records, draw, **reading).epoch():
        assert batch.records == batch.plans
        left += batch.records
    return order, left


def test_with_an_index_numbers_are_drawn_in_the_order_of_leaving() -> None:
    order, left = drawn(SMALL, indexed=True, batch_size=3, shuffle=True)

    assert [3, 4, 5, 2, 1, 6, 0, 5, 6] == left == order


def test_without_an_index_numbers_are_drawn_in_file_order_for_a_chunk_at_a_time() -> None:
    order, left = drawn(SMALL, indexed=False, batch_size=3, shuffle=True)

    assert [3, 4, 5, 2, 1, 6, 0, 5, 6] == left
    assert [0, 1, 2, 3, 4, 5, 6] * 2 == order


# Observed on MXNet 1.9.1 by rows for seed_aug, a record to a batch: where chunks begin.
BOUNDS = {
    "a record ends with the 8 MiB": ([MIB] * 20, [0, 7, 14]),
    "a head cut by the end": ([MIB] * 7 + [MIB - 4] + [MIB] * 4, [0, 7]),
    "a head just before the end": ([MIB] * 7 + [MIB - 8] + [MIB] * 4, [0, 8]),
    "8 MiB in all": ([MIB] * 8, [0, 7]),
    "records around 8 MiB": (
        [8 * MIB + extra for extra in (0, 0, 0, -4, -4, -8, -8, 4, 4)] + [MIB] * 3,
        [0, 1, 2, 4, 6, 7, 8],
    ),
    "records around 16 MiB": (
        [MIB] * 2 + [9 * MIB] + [MIB] * 3 + [20 * MIB] + [MIB] * 10 + [16 * MIB, 16 * MIB + 4, 16 * MIB - 4]
        + [MIB] * 3 + [16 * MIB + 8] + [MIB] * 2 + [16 * MIB + 12] + [MIB] * 3,
        [0, 2, 6, 17, 19, 20, 23, 26],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BOUNDS)
def test_chunks_end_where_observed(case: str) -> None:
    sizes, starts = BOUNDS[case]
    bounds = np.cumsum([0, *sizes])
    chunks = chunks_by_bytes(bounds[:-1], int(bounds[-1]), range(len(sizes)))

    assert starts == [chunk.start for chunk in chunks]
    assert list(range(len(sizes))) == [ordinal for chunk in chunks for ordinal in chunk]


@pytest.mark.parametrize("num_parts", [1, 2, 3, 7, 40, 100])
def test_parts_are_disjoint_and_complete(num_parts: int) -> None:
    offsets, total = BIG[:-1], int(BIG[-1])
    by_count = [part_by_count(40, num_parts, part_index) for part_index in range(num_parts)]
    by_bytes = [part_by_bytes(offsets, total, num_parts, part_index) for part_index in range(num_parts)]

    for parts in (by_count, by_bytes):
        assert list(range(40)) == [ordinal for part in parts for ordinal in part]


def test_every_pass_holds_every_record_once() -> None:
    options: dict[str, Any] = {"shuffle": True, "num_parts": 2, "part_index": 1}
    for reading in ({"indexed": True}, {"indexed": False}, {"indexed": False, "shuffle_chunk_size": 2}):
        expected = sorted(
            orders((BIG[:-1], int(BIG[-1])), 1, indexed=reading["indexed"], **{**options, "shuffle": 0})[0]
        )
        epochs = orders((BIG[:-1], int(BIG[-1])), 4, **reading, **options)
        assert [expected] * 4 == [sorted(epoch) for epoch in epochs]
        assert 4 == len({tuple(epoch) for epoch in epochs})


def test_rows_of_the_next_pass_are_counted_as_pad() -> None:
    epochs = epochs_of(SMALL, indexed=True, batch_size=3)

    assert [[0, 0, 2], [0, 1], [0, 0], [0, 0, 2]] == [[batch.pad for batch in epochs.epoch()] for _ in range(4)]


def test_an_empty_part_has_empty_epochs() -> None:
    for indexed in (True, False):
        assert [[], []] == batches(SMALL, 2, indexed=indexed, batch_size=3, num_parts=50, part_index=49)


def test_a_batch_may_take_several_passes() -> None:
    assert [[[0, 1, 2, 3, 4, 5, 6] * 2 + [0]], [[*range(1, 7), *range(7), 0, 1]]] == batches(
        SMALL, 2, indexed=True, batch_size=15
    )


def test_an_epoch_that_is_not_used_up_drops_its_pass() -> None:
    epochs = epochs_of(SMALL, indexed=False, batch_size=3)
    next(epochs.epoch())

    assert [0, 1, 2] == next(epochs.epoch()).records


def test_a_wrapped_batch_ends_an_epoch_even_for_a_reader_that_stops_there() -> None:
    epochs = epochs_of(SMALL, indexed=False, batch_size=3)
    for batch in epochs.epoch():
        if batch.pad:
            break

    assert [2, 3, 4] == next(epochs.epoch()).records


def test_a_million_records_are_ordered_as_few_are() -> None:
    count = 1_000_000
    records = np.arange(count) * 108, count * 108
    epochs = epochs_of(records, indexed=True, batch_size=1000, shuffle=True, seed=4)
    ordinals = [ordinal for batch in epochs.epoch() for ordinal in batch.records]

    expected = list(range(count))
    Mersenne(111 + 4).shuffle(expected)
    assert expected == ordinals

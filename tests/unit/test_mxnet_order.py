"""MXNet's order of records: every recorded order and part, observed rows and draws, and the requests of a run."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from file_helpers import tiff_file
from image_helpers import encoded, texture
from iterator_helpers import some_params
from PIL import Image

from im2rec.augment.geometry import Size
from im2rec.augment.mxnet_draws import Mersenne, MersenneDraws
from im2rec.errors import BadRecordError, ImageError
from im2rec.format.irheader import ImageRecord, IRHeader
from im2rec.pipeline.mxnet_order import (
    DrawChunk,
    MXNetEpochs,
    MXNetOrder,
    chunks_by_bytes,
    part_by_bytes,
    part_by_count,
)
from im2rec.pipeline.order import ALL_BATCHES, BatchRequest, Stride
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
    """The ordinals of the first *epochs* epochs, batch by batch."""
    order = epochs_of(records, **reading)
    return [[batch.records for batch in order.epoch()] for _ in range(epochs)]


def orders(records: tuple[np.ndarray, int], epochs: int, **reading: Any) -> list[list[int]]:
    """The ordinals of the first *epochs* epochs, one record to a batch."""
    options = {"batch_size": 1, "round_batch": False, **reading}
    return [[ordinal for (ordinal,) in epoch] for epoch in batches(records, epochs, **options)]


def rows_text(records: tuple[np.ndarray, int], epochs: int, **reading: Any) -> list[str]:
    """Every record with its row, as "3:0 4:1 | 2:0 1:1"; one text for each epoch."""
    order = epochs_of(records, **reading)
    return [
        " | ".join(
            " ".join(f"{ordinal}:{row}" for ordinal, row in zip(batch.records, batch.plans, strict=True))
            for batch in order.epoch()
        )
        for _ in range(epochs)
    ]


def test_every_recorded_shuffle_is_reproduced() -> None:
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


def test_every_recorded_part_is_reproduced() -> None:
    cases = recorded("partitions")
    for case in cases:
        for part_index, labels in enumerate(case["labels"]):
            reading = {"indexed": case["with_idx"], "num_parts": case["num_parts"], "part_index": part_index}
            expected = [] if "empty part" in labels else labels
            assert [expected] == orders(data_file("parts10"), 1, **reading), case
    assert 12 == len(cases)


def test_every_recorded_order_of_pieces_is_reproduced() -> None:
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


def test_the_recorded_order_inside_8_mib_is_reproduced() -> None:
    window = recorded("chunk_shuffle")["window"]
    step = window["offsets"][1]
    records = np.arange(len(window["order"])) * step, window["total_bytes"]

    assert [window["order"]] == orders(records, 1, indexed=False, shuffle=True)


# Observed on MXNet 1.9.1 with rand_crop, seed_aug and one decode thread: ordinal:row. The row was found from the crop,
# which only the generator seeded with 111 + seed_aug + row explains. Seven records that fit into one chunk.
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

    assert epochs == rows_text(SMALL, len(epochs), **reading)


def test_chunks_that_begin_inside_a_batch_continue_its_row_numbers() -> None:
    expected = (
        "0:0 1:1 2:2 3:3 4:4 5:5 6:6 7:7 8:8 | 9:9 10:10 11:11 12:12 13:13 14:5 15:6 16:7 17:8"
        " | 18:9 19:10 20:11 21:12 22:13 23:14 24:15 25:16 26:8"
        " | 27:9 28:10 29:11 30:12 31:13 32:14 33:15 34:16 35:17 | 36:18 37:1 38:2 39:3"
    )
    reading = {"indexed": False, "batch_size": 9, "round_batch": False}

    assert [expected] * 2 == rows_text((BIG[:-1], int(BIG[-1])), 2, **reading)


def test_rows_of_reordered_pieces_are_numbered_chunk_by_chunk() -> None:
    reading = {"indexed": False, "batch_size": 9, "shuffle_chunk_size": 4, "round_batch": False}
    plain, *_ = rows_text((BIG[:-1], int(BIG[-1])), 1, **reading)
    mixed, *_ = rows_text((BIG[:-1], int(BIG[-1])), 1, **reading, shuffle=True)

    assert plain.startswith("12:0 13:1 14:2 15:3 16:4 17:5 36:6 37:7 38:8 | 39:9 18:1 19:2 20:3 21:4 22:5 0:6 1:7 2:8")
    assert mixed.startswith("15:12 16:13 17:14 14:11 13:10 12:9 36:9 39:12 38:11 | 37:10 21:12 22:13 18:9 19:10 20:11")


def drawn_and_delivered(records: tuple[np.ndarray, int], **reading: Any) -> tuple[list[int], list[int]]:
    """The ordinals of an epoch in the order of their draws, and in the order of delivery."""
    drawn: list[int] = []

    def draw(chunk: DrawChunk) -> Sequence[int]:
        drawn.extend(chunk.ordinals.tolist())
        return chunk.ordinals.tolist()

    delivered = []
    for batch in epochs_of(records, draw, **reading).epoch():
        assert batch.records == batch.plans
        delivered += batch.records
    return drawn, delivered


def test_with_an_index_numbers_are_drawn_in_the_order_of_delivery() -> None:
    drawn, delivered = drawn_and_delivered(SMALL, indexed=True, batch_size=3, shuffle=True)

    assert [3, 4, 5, 2, 1, 6, 0, 5, 6] == delivered == drawn


def test_without_an_index_numbers_are_drawn_in_file_order_for_a_chunk_at_a_time() -> None:
    drawn, delivered = drawn_and_delivered(SMALL, indexed=False, batch_size=3, shuffle=True)

    assert [3, 4, 5, 2, 1, 6, 0, 5, 6] == delivered
    assert [0, 1, 2, 3, 4, 5, 6] * 2 == drawn


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


def test_an_epoch_that_is_not_consumed_drops_the_rest_of_its_pass() -> None:
    epochs = epochs_of(SMALL, indexed=False, batch_size=3)
    next(epochs.epoch())

    assert [0, 1, 2] == next(epochs.epoch()).records


def test_a_batch_with_pad_ends_the_epoch_even_if_the_reader_stops_there() -> None:
    epochs = epochs_of(SMALL, indexed=False, batch_size=3)
    for batch in epochs.epoch():
        if batch.pad:
            break

    assert [2, 3, 4] == next(epochs.epoch()).records


def test_a_million_records_are_shuffled_as_the_generator_shuffles_them() -> None:
    count = 1_000_000
    records = np.arange(count) * 108, count * 108
    epochs = epochs_of(records, indexed=True, batch_size=1000, shuffle=True, seed=4)
    ordinals = [ordinal for batch in epochs.epoch() for ordinal in batch.records]

    expected = list(range(count))
    Mersenne(111 + 4).shuffle(expected)
    assert expected == ordinals


# The requests of a run.

JPEG_SIZES = [(30, 20), (10, 12), (24, 36), (9, 8), (40, 50)]


def jpeg(width: int, height: int, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(texture(height, width), exif=exif)


def a_run(
    contents: Sequence[bytes | None],
    *,
    sizes: Sequence[int] | None = None,
    files: int = 1,
    listed: np.ndarray | None = None,
    **given: Any,
) -> MXNetOrder:
    """The order of records with these *contents*, of *sizes* bytes each; a record of None cannot be read.

    The plan of a record is its size and the next word of the generator. Images 8 pixels high are too small.
    """

    def plan(size: Size, draws: MersenneDraws) -> tuple[Size, int]:
        if size.height == 8:
            raise ImageError("is too small")
        return size, draws.generator.next32()

    def read(ordinal: int) -> ImageRecord | BadRecordError:
        content = contents[ordinal]
        return BadRecordError("cut short") if content is None else ImageRecord(IRHeader(0, 0.0, ordinal), content)

    lengths = np.array_split(np.array(sizes if sizes is not None else [100] * len(contents)), files)
    parts = [SimpleNamespace(offsets=np.cumsum(each) - each, size=int(each.sum())) for each in lengths]
    params = some_params("x.rec", rng="mxnet", **given)
    records: Any = SimpleNamespace(files=parts, read=read, listed=listed)
    loader: Any = SimpleNamespace(augmenter=SimpleNamespace(plan=plan))
    return MXNetOrder(records, loader, params, OrderParams.of(params))


JPEGS = [jpeg(*size) for size in JPEG_SIZES]


def first(
    order: MXNetOrder, count: int, epoch: int = 0, batch: int = 0, stride: Stride = ALL_BATCHES
) -> list[BatchRequest]:
    return list(itertools.islice(order.requests(epoch, batch, (), stride), count))


def test_a_record_is_planned_by_its_size_and_the_generator_of_the_first_worker() -> None:
    generator = Mersenne(111)
    (batch,) = first(a_run(JPEGS, batch_size=5), 1)

    assert [(size, generator.next32()) for size in JPEG_SIZES[:3]] == batch.plans[:3]
    assert (JPEG_SIZES[4], generator.next32()) == batch.plans[4]


def test_records_without_an_image_have_no_plan_and_take_no_numbers() -> None:
    generator = Mersenne(111)
    contents = [JPEGS[0], None, b"no image", JPEGS[3], JPEGS[4]]  # the fourth is too small
    (batch,) = first(a_run(contents, batch_size=5), 1)

    plans = [(JPEG_SIZES[0], generator.next32()), None, None, None, (JPEG_SIZES[4], generator.next32())]
    assert plans == [*batch.plans]


def test_seed_aug_seeds_the_generator_before_every_record() -> None:
    (batch,) = first(a_run(JPEGS[:3], batch_size=3, seed_aug=7), 1)

    assert [Mersenne(111 + 7 + row).next32() for row in range(3)] == [word for _, word in batch.plans]
    (batch,) = first(a_run(JPEGS[:3], batch_size=3, seed_aug=0), 1)
    assert [Mersenne(111 + row).next32() for row in range(3)] == [word for _, word in batch.plans]


def test_a_turned_image_is_planned_as_it_is_seen_unless_it_has_four_channels() -> None:
    for channels, size in ((1, (20, 30)), (3, (20, 30)), (4, (30, 20))):
        (batch,) = first(a_run([jpeg(30, 20, 6)], batch_size=1, data_shape=(channels, 6, 8)), 1)
        assert size == batch.plans[0][0]


def test_a_turned_tiff_is_planned_as_it_is_decoded_with_any_channels() -> None:
    content = tiff_file(texture(20, 30), tags={274: [6]})
    for channels in (1, 3, 4):
        (batch,) = first(a_run([content], batch_size=1, data_shape=(channels, 6, 8)), 1)
        assert (20, 30) == batch.plans[0][0]


def test_requests_roll_over_keep_or_discard_the_last_batch() -> None:
    def shares(**given: Any) -> list[tuple[list[int], int]]:
        return [(batch.records, batch.pad) for batch in first(a_run(JPEGS, batch_size=3, **given), 4)]

    assert [([0, 1, 2], 0), ([3, 4, 0], 1), ([1, 2, 3], 0), ([4, 0, 1], 2)] == shares()
    assert [([0, 1, 2], 0), ([3, 4], 1)] * 2 == shares(last_batch="keep")
    assert [([0, 1, 2], 0)] * 4 == shares(last_batch="discard")


@pytest.mark.parametrize("policy", ["roll_over", "keep", "discard"])
def test_requests_from_the_middle_are_those_of_a_whole_run(policy: str) -> None:
    given: dict[str, Any] = {"batch_size": 2, "last_batch": policy, "shuffle": True}
    order = a_run(JPEGS, **given)
    counts = [order.batches(epoch) for epoch in range(3)]
    whole = first(order, sum(counts))

    assert ([3, 2, 3] if policy == "roll_over" else [2] * 3 if policy == "discard" else [3] * 3) == counts
    starts = [(epoch, batch) for epoch, count in enumerate(counts) for batch in range(count)]
    for skipped, (epoch, batch) in enumerate(starts):
        assert whole[skipped:] == first(a_run(JPEGS, **given), len(whole) - skipped, epoch, batch)
        assert {epoch} == {*whole[skipped].epochs}


@pytest.mark.parametrize("policy", ["roll_over", "keep", "discard"])
def test_requests_by_a_stride_are_every_so_manieth_of_each_epoch(policy: str) -> None:
    given: dict[str, Any] = {"batch_size": 2, "last_batch": policy, "shuffle": True}
    counts = [a_run(JPEGS, **given).batches(epoch) for epoch in range(3)]
    whole = iter(first(a_run(JPEGS, **given), sum(counts)))
    odd = [request for count in counts for request in list(itertools.islice(whole, count))[1::2]]

    assert odd == first(a_run(JPEGS, **given), len(odd), 0, 1, Stride(first=1, step=2))
    assert [] == first(a_run(JPEGS, **given), 1, 0, 3, Stride(first=3, step=4))


def test_an_index_of_some_records_gives_all_from_the_first_on_by_its_lines() -> None:
    # As MXNet 1.9.1 delivers a file of 6 records with an index of records 0, 2 and 5.
    given: dict[str, Any] = {"path_imgidx": "x.idx", "listed": np.array([0, 2, 5]), "last_batch": "keep"}
    six = [*JPEGS, JPEGS[0]]

    shuffled = a_run(six, batch_size=2, shuffle=True, **given)
    assert [[5, 2], [3, 4], [0, 1], [5, 0], [1, 2], [3, 4]] == [batch.records for batch in first(shuffled, 6)]
    parts = [a_run(six, batch_size=1, num_parts=2, part_index=part, **given) for part in range(2)]
    assert [5, 1] == [part.batches(0) for part in parts]
    assert [0, 1, 2, 3, 4, 5] == [batch.records[0] for part in parts for batch in first(part, part.batches(0))]
    without_the_first = a_run(six, path_imgidx="x.idx", listed=np.array([1, 4]), batch_size=5, last_batch="keep")
    assert [[1, 2, 3, 4, 5]] * 2 == [batch.records for batch in first(without_the_first, 2)]


def test_parts_are_counted_by_records_with_an_index_and_by_bytes_without() -> None:
    given: dict[str, Any] = {"sizes": [400, 100, 100, 100, 700], "batch_size": 1, "num_parts": 2, "last_batch": "keep"}

    for index, expected in (("x.idx", [3, 2]), ("", [4, 1])):
        parts = [a_run(JPEGS, path_imgidx=index, part_index=part, **given) for part in range(2)]
        assert expected == [part.batches(0) for part in parts]
        assert [*range(5)] == [batch.records[0] for part in parts for batch in first(part, part.batches(0))]


def test_several_files_are_one_stream() -> None:
    given: dict[str, Any] = {"sizes": [100, 300, 100, 100, 400], "batch_size": 1, "num_parts": 2, "part_index": 1}

    for files in (1, 2, 3):
        assert [3, 4] == [batch.records[0] for batch in first(a_run(JPEGS, files=files, **given), 2)]


def test_an_empty_part_has_no_requests() -> None:
    part = a_run(JPEGS, batch_size=1, num_parts=50, part_index=49)

    assert 0 == part.batches(0)
    assert [] == first(part, 1)

"""Laws of the order: every record once an epoch, parts that make the whole, and an epoch that goes on elsewhere."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from iterator_helpers import ORDERS, in_every_order, permutation_table

from im2rec.pipeline.order import BatchRequest, Delivery, Epoch, Order, Partition
from im2rec.pipeline.params import ImageRecordParams, OrderParams
from im2rec.pipeline.permutation import Permutation

pytestmark = pytest.mark.usefixtures("kept_permutations")

COUNTS = [0, 1, 2, 3, 7, 20, 33, 64, 100, 150]


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.pipeline.order._AT_ONCE", 7)  # as few, that many pieces meet in an epoch


def test_what_is_kept_is_what_is_computed() -> None:
    for count in (0, 1, 5, 64, 255, 256, 300):
        assert Permutation(count, count)(np.arange(count)).tolist() == permutation_table(count, count).tolist()


class Data(NamedTuple):
    """So many records, where their blocks start, and what was drawn to read them with."""

    count: int
    starts: np.ndarray | None
    given: dict[str, Any]

    def epoch(self, number: int, part: int, splits: tuple[Delivery, ...] = (), **more: Any) -> Epoch:
        """An epoch of one part, of which *splits* were delivered before."""
        given = {"num_parts": splits[-1].parts, **self.given} if splits else self.given
        return order(self.count, self.starts, **{**given, "part_index": part, **more}).epoch(number, splits)


def order(count: int, starts: np.ndarray | None = None, **given: Any) -> Order:
    params = ImageRecordParams(path_imgrec="x.rec", data_shape=(3, 8, 8), **given)
    return Order(count, OrderParams.of(params), starts)


def cases(kind: str, how_many: int, **more: Any) -> Iterator[tuple[random.Random, Data]]:
    """Random sizes, batches and seeds for an order of that *kind*."""
    for seed in range(how_many):
        rng = random.Random(f"{kind} {seed}")
        count = rng.choice(COUNTS)
        starts = None
        if "shuffle_chunk_size" in ORDERS[kind]:
            inner = rng.sample(range(1, count), min(rng.randrange(20), count - 1)) if count > 1 else []
            starts = np.array([0, *sorted(inner), count])
        yield rng, Data(count, starts, {**ORDERS[kind], "seed": seed, "batch_size": rng.randrange(1, 13), **more})


def requests(epoch: Epoch, first: int = 0, end: int | None = None) -> list[BatchRequest]:
    return [epoch.request(batch) for batch in range(first, epoch.batches if end is None else min(end, epoch.batches))]


def records(data: Data, rows: list[BatchRequest]) -> list[int]:
    """The records of *rows* without the filler."""
    return [n for row in rows for n in row.records[: data.given["batch_size"] - row.pad]]


def shares(data: Data, number: int, parts: int) -> list[list[int]]:
    """The records of each part in an epoch, in order."""
    return [records(data, requests(data.epoch(number, part, num_parts=parts))) for part in range(parts)]


def shown(rows: list[BatchRequest]) -> str:
    """Batches as in "012 345 601(pad 2)"."""
    texts = ("".join(map(str, row.records)) + (f"(pad {row.pad})" if row.pad else "") for row in rows)
    return " ".join(texts)


# One epoch, any parts


@in_every_order
@pytest.mark.parametrize("policy", ["pad", "keep"])
def test_parts_are_disjoint_and_complete_and_differ_by_at_most_one_record(kind: str, policy: str) -> None:
    for rng, data in cases(kind, 12, last_batch=policy):
        of_parts = shares(data, rng.randrange(3), parts=rng.randrange(1, 9))

        assert [*range(data.count)] == sorted(itertools.chain(*of_parts))
        assert max(map(len, of_parts)) - min(map(len, of_parts)) <= 1


@in_every_order
def test_discarding_drops_only_what_makes_no_batch(kind: str) -> None:
    for rng, data in cases(kind, 12, last_batch="discard"):
        parts, number, size = rng.randrange(1, 9), rng.randrange(3), data.given["batch_size"]
        of_parts = shares(data, number, parts)
        whole = shares(data._replace(given={**data.given, "last_batch": "keep"}), number, parts)

        assert [share[: len(some)] for share, some in zip(whole, of_parts, strict=True)] == of_parts
        assert [data.count // parts // size * size] * parts == [*map(len, of_parts)]


@pytest.mark.parametrize("policy", ["pad", "keep", "discard"])
def test_equal_batches_gives_every_part_as_many(policy: str) -> None:
    for rng, data in cases("shuffled", 60, last_batch=policy):
        parts, size = rng.randrange(1, 9), data.given["batch_size"]
        least, most = data.count // parts, -(-data.count // parts)

        equal = {data.epoch(1, part, num_parts=parts).batches for part in range(parts)}
        assert {least // size if policy == "discard" else -(-most // size)} == equal
        own = {data.epoch(1, part, num_parts=parts, equal_batches=False).batches for part in range(parts)}
        assert own <= {*((least // size, most // size) if policy == "discard" else (-(-least // size), *equal))}


def test_equal_batches_gives_every_part_as_many_that_roll_over_too() -> None:
    data = Data(7, None, {"batch_size": 3, "last_batch": "roll_over", "num_parts": 2})

    for number in range(9):
        assert 1 == len({data.epoch(number, part).batches for part in range(2)})


@in_every_order
def test_every_batch_has_all_its_rows_and_filler_is_the_first_records_of_the_part_again(kind: str) -> None:
    for rng, data in cases(kind, 12, last_batch="pad"):
        parts, number = rng.randrange(1, 9), rng.randrange(3)
        part, size = rng.randrange(parts), data.given["batch_size"]
        rows = requests(data.epoch(number, part, num_parts=parts))
        share = shares(data, number, parts)[part]

        if share:
            flat = [n for row in rows for n in row.records]
            assert len(rows) * size == len(flat)
            assert [n for n, _ in zip(itertools.cycle(share), flat)] == flat
        else:  # nothing to repeat: zeros
            assert [(0, size)] * len(rows) == [(len(row.records), row.pad) for row in rows]
        assert len(rows) * size - len(share) == sum(row.pad for row in rows)
        assert {number} >= {epoch for row in rows for epoch in row.epochs}


def test_kept_batches_have_no_rows_behind_the_last_record() -> None:
    rows = requests(order(7, batch_size=3, last_batch="keep").epoch(4))

    assert "012 345 6(pad 2)" == shown(rows)
    assert [[4, 4, 4], [4, 4, 4], [4]] == [row.epochs for row in rows]


def test_the_shorter_part_repeats_its_first_records_in_a_batch_of_its_own() -> None:
    epochs = [Data(9, None, {"batch_size": 4, "num_parts": 2}).epoch(0, part) for part in range(2)]

    assert ["0123 0123(pad 4)", "4567 8456(pad 3)"] == [shown(requests(epoch)) for epoch in epochs]


def test_epochs_start_anew_unless_they_roll_over() -> None:
    assert ["012 345 601(pad 2)"] * 2 == [shown(requests(order(7, batch_size=3).epoch(n))) for n in (0, 1)]


# What decides the order


def test_shuffled_the_whole_has_one_order_whatever_the_number_of_parts() -> None:
    for kind in ("shuffled", "by blocks"):
        for rng, data in cases(kind, 12):
            number = rng.randrange(3)
            (whole,) = shares(data, number, 1)
            for parts in (2, 3, 8):
                assert [whole[part::parts] for part in range(parts)] == shares(data, number, parts)


def test_parts_of_fixed_runs_keep_their_records_and_shuffle_them_anew() -> None:
    for kind in ("each part shuffled", "by blocks in each part"):
        data = next(data for _, data in cases(kind, 99) if data.count == 100)
        first, second = shares(data, 0, 3), shares(data, 1, 3)
        runs = [[*range(33)], [*range(33, 66)], [*range(66, 100)]]

        assert runs == [*map(sorted, first)] == [*map(sorted, second)]
        assert all(one != other for one, other in zip(first, second, strict=True))
        assert [n - 33 for n in first[1]] != first[0]  # each part by a key of its own


def test_seed_and_epoch_change_the_order_and_nothing_else_does() -> None:
    data = Data(100, None, {"shuffle": True, "batch_size": 10})
    (first,) = shares(data, 0, 1)

    assert [*range(100)] != first
    assert [first] == shares(data, 0, 1)
    for other in ({"batch_size": 7}, {"last_batch": "keep"}, {"seed_aug": 5}, {"shuffle_chunk_seed": 5}):
        assert [first] == shares(data._replace(given={**data.given, **other}), 0, 1)
    others = [shares(data, 1, 1), shares(data._replace(given={**data.given, "seed": 1}), 0, 1)]
    assert 3 == len({tuple(share) for (share,) in [[first], *others]})


def test_the_seed_of_the_pieces_changes_an_order_by_blocks() -> None:
    data = Data(100, np.arange(0, 101, 5), {**ORDERS["by blocks"], "batch_size": 10})
    other = data._replace(given={**data.given, "shuffle_chunk_seed": 1})

    assert shares(data, 0, 1) != shares(other, 0, 1)


PUBLISHED: dict[str, Any] = {
    "free": [[[5, 7, 0, 2, 1, 4, 8, 6, 3]], [[7, 3, 2, 8, 4, 6, 0, 1, 5]]],
    "parts": [[3, 0, 1, 2], [8, 5, 4, 7, 6]],
    "blocks": [[4, 5, 6, 3, 2, 0, 7, 1, 8]],
}


def test_the_orders_that_seeds_stand_for_stay_as_they_are() -> None:
    given = {"batch_size": 4, "shuffle": True, "seed": 3, "num_parts": 2, "last_batch": "keep"}
    data = Data(9, np.array([0, 2, 5, 9]), given)
    free = data._replace(starts=None)

    assert PUBLISHED == {
        "free": [shares(free, number, 1) for number in (0, 1)],
        "parts": shares(free._replace(given={**given, "shuffle_scope": "part"}), 0, 2),
        "blocks": shares(data, 0, 1),
    }


# Rolling over


def test_rolled_over_epochs_are_those_of_the_reference() -> None:
    seven = order(7, batch_size=3, last_batch="roll_over")
    expected = ["012 345 601(pad 2)", "234 560(pad 1)", "123 456", "012 345 601(pad 2)"]

    assert expected == [shown(requests(seven.epoch(number))) for number in range(4)]
    assert [0, 1, 1] == seven.epoch(0).request(2).epochs


@in_every_order
def test_rolled_over_epochs_are_one_endless_stream_cut_into_batches(kind: str) -> None:
    for rng, data in cases(kind, 12, last_batch="roll_over", equal_batches=False):
        parts, epochs, size = rng.randrange(1, 5), 4, data.given["batch_size"]
        part = rng.randrange(parts)
        plain = data._replace(given={**data.given, "last_batch": "keep"})
        rows = [requests(data.epoch(number, part, num_parts=parts)) for number in range(epochs)]
        cut = [[*zip(row.epochs, row.records, strict=True)] for epoch in rows for row in epoch]

        beyond = max((e for batch in cut for e, _ in batch), default=0)
        stream = [(e, n) for e in range(beyond + 1) for n in shares(plain, e, parts)[part]]
        assert stream[: len(cut) * size] == [*itertools.chain(*cut)]
        assert {size} >= {*map(len, cut)}
        for number, epoch in enumerate(rows):
            assert [sum(e > number for e in row.epochs) for row in epoch] == [row.pad for row in epoch]
            assert all(row.epochs[0] == number for row in epoch)  # a batch belongs to the epoch of its first row


# Going on


def delivered(data: Data, number: int, splits: tuple[Delivery, ...]) -> list[int]:
    """What all parts deliver in the last of *splits* until they have as much as it says."""
    *before, last = splits
    so_far, batches = (*before, Delivery(last.parts, 0)), last.delivered // data.given["batch_size"]
    each = [data.epoch(number, part, so_far, num_parts=last.parts) for part in range(last.parts)]
    return [n for epoch in each for n in records(data, requests(epoch, end=batches))]


def going_on(kind: str, how_many: int, **more: Any) -> Iterator[tuple[Data, int, tuple[Delivery, ...]]]:
    """An epoch that is begun by so many parts, goes on in another number of them, and ends in a third."""
    for rng, data in cases(kind, how_many, **more):
        size, most = data.given["batch_size"], data.count // data.given["batch_size"] + 2
        first, second = (Delivery(rng.randrange(1, 6), size * rng.randrange(most)) for _ in range(2))
        yield data, rng.randrange(3), (first, second, Delivery(rng.randrange(1, 6), size * most))


@in_every_order
@pytest.mark.parametrize("policy", ["pad", "keep"])
def test_an_epoch_that_goes_on_in_other_parts_delivers_every_record_once(kind: str, policy: str) -> None:
    for data, number, splits in going_on(kind, 12, last_batch=policy):
        in_turn = [delivered(data, number, splits[: n + 1]) for n in range(3)]

        assert [*range(data.count)] == sorted(itertools.chain(*in_turn))
        sharing = data.epoch(number, 0, splits[:1]).sharing
        assert len(in_turn[0]) == sharing.delivered_in_all(splits[0].delivered)
        assert data.count - len(in_turn[0]) == data.epoch(number, 0, (splits[0], Delivery(1, 0))).sharing.count


@in_every_order
def test_an_epoch_that_goes_on_discarding_delivers_nothing_twice(kind: str) -> None:
    for data, number, splits in going_on(kind, 8, last_batch="discard"):
        in_turn = [n for end in range(1, 4) for n in delivered(data, number, splits[:end])]

        assert len({*in_turn}) == len(in_turn)
        assert {*in_turn} <= {*range(data.count)}


@in_every_order
@pytest.mark.parametrize("policy", ["pad", "keep", "discard", "roll_over"])
def test_an_epoch_that_goes_on_in_the_same_parts_goes_on_batch_for_batch(kind: str, policy: str) -> None:
    for data, number, (first, second, _) in going_on(kind, 8, last_batch=policy):
        before = () if policy == "roll_over" else (first,)  # which goes on in the same parts only
        for part in range(second.parts):
            whole = data.epoch(number, part, (*before, Delivery(second.parts, 0)), num_parts=second.parts)
            again = data.epoch(number, part, (*before, second), num_parts=second.parts)
            assert same(requests(whole), requests(again))
            if not before:
                assert same(requests(whole), requests(data.epoch(number, part, num_parts=second.parts)))


def same(some: list[BatchRequest], other: list[BatchRequest]) -> bool:
    def plain(rows: list[BatchRequest]) -> list[Any]:
        return [(row.records, row.epochs, row.pad) for row in rows]

    return plain(some) == plain(other)


def test_what_is_left_of_a_shuffled_whole_keeps_its_order() -> None:
    for data, number, (first, second, _) in going_on("shuffled", 12):
        (whole,) = shares(data, number, 1)
        rest = [
            records(
                data, requests(data.epoch(number, part, (first, Delivery(second.parts, 0)), num_parts=second.parts))
            )
            for part in range(second.parts)
        ]

        left = whole[first.parts * first.delivered :]
        assert [left[part :: second.parts] for part in range(second.parts)] == rest


def test_an_epoch_that_was_delivered_whole_has_no_batch_left_in_any_parts() -> None:
    for kind in ORDERS:
        for _, data in cases(kind, 4):
            everything = Delivery(2, data.count + 12)
            assert {0} == {data.epoch(0, part, (everything, Delivery(3, 0)), num_parts=3).batches for part in range(3)}


def taken(sharing: Partition, gone: int) -> set[int]:
    """The places of the first *gone* of every part."""
    indices = [np.arange(min(gone, sharing.length(part))) for part in range(sharing.parts)]
    return {place for part, index in enumerate(indices) for place in sharing.place(part, index).tolist()}


def test_a_sharing_of_what_is_left_counts_what_is_gone_in_every_part() -> None:
    for count, parts, gone in itertools.product((0, 1, 5, 12), (1, 2, 5, 7), (0, 1, 2, 99)):
        for turns in (True, False):
            sharing = Partition(count, parts, turns=turns)
            left, places = sharing.left(gone)
            assert count == sum(sharing.length(part) for part in range(parts))
            assert {*range(count)} - taken(sharing, gone) == {*places(np.arange(left)).tolist()}
            assert count - left == sharing.delivered_in_all(gone)

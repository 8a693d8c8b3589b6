"""Laws of the order: every record once an epoch, parts that make the whole, and epochs that are resumed elsewhere."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iterator_helpers import ORDERS, in_every_order, permutation_table

from im2rec.pipeline.order import BatchRequest, Delivery, Epoch, Order, Partition
from im2rec.pipeline.params import ImageRecordParams, OrderParams
from im2rec.pipeline.permutation import Permutation

pytestmark = pytest.mark.usefixtures("kept_permutations")

COUNTS = [0, 1, 2, 3, 7, 20, 33, 64, 100, 150]


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an epoch of these few records one of many stretches."""
    monkeypatch.setattr("im2rec.pipeline.order._STRETCH", 7)


def test_tables_of_permutations_equal_the_permutations() -> None:
    for count in (0, 1, 5, 64, 255, 256, 300):
        assert Permutation(count, count)(np.arange(count)).tolist() == permutation_table(count, count).tolist()


class Data(NamedTuple):
    """Records, the first of each block, and the parameters to read them with."""

    count: int
    starts: np.ndarray | None
    params: dict[str, Any]

    @property
    def batch_size(self) -> int:
        return int(self.params["batch_size"])

    def replaced(self, **params: Any) -> Data:
        """These records, with other *params*."""
        return self._replace(params={**self.params, **params})

    def epoch(self, number: int, part: int, deliveries: tuple[Delivery, ...] = (), **params: Any) -> Epoch:
        """An epoch of one part, of which *deliveries* were delivered before."""
        num_parts = {"num_parts": deliveries[-1].num_parts} if deliveries else {}
        params = {**num_parts, **self.params, "part_index": part, **params}
        return order(self.count, self.starts, **params).epoch(number, deliveries)


class Case(NamedTuple):
    """Sizes and numbers drawn for one example; *cuts* are places where blocks may start."""

    count: int
    cuts: set[int]
    seed: int
    batch_size: int
    num_parts: int
    part: int
    epoch: int

    def data(self, kind: str, **params: Any) -> Data:
        """Records to be read in an order of that *kind*."""
        starts = None
        if "shuffle_chunk_size" in ORDERS[kind]:
            starts = np.array([0, *sorted(cut for cut in self.cuts if cut < self.count), self.count])
        return Data(self.count, starts, {**ORDERS[kind], "seed": self.seed, "batch_size": self.batch_size, **params})


@st.composite
def cases(draw: st.DrawFn, max_parts: int = 8) -> Case:
    num_parts = draw(st.integers(1, max_parts))
    return Case(
        count=draw(st.sampled_from(COUNTS)),
        cuts=draw(st.sets(st.integers(1, max(COUNTS)), max_size=19)),
        seed=draw(st.integers(0, 11)),
        batch_size=draw(st.integers(1, 12)),
        num_parts=num_parts,
        part=draw(st.integers(0, num_parts - 1)),
        epoch=draw(st.integers(0, 2)),
    )


class Resumed(NamedTuple):
    """A case whose epoch is begun by some parts, resumed by others, and ended by a third number of them."""

    case: Case
    deliveries: tuple[Delivery, Delivery, Delivery]


@st.composite
def resumed_cases(draw: st.DrawFn) -> Resumed:
    case = draw(cases())
    enough = case.count // case.batch_size + 2
    num_parts, batches = st.integers(1, 5), st.integers(0, enough - 1)
    first, second = (Delivery(draw(num_parts), case.batch_size * draw(batches)) for _ in range(2))
    return Resumed(case, (first, second, Delivery(draw(num_parts), case.batch_size * enough)))


def order(count: int, starts: np.ndarray | None = None, **params: Any) -> Order:
    read = ImageRecordParams(path_imgrec="x.rec", data_shape=(3, 8, 8), **params)
    return Order(count, OrderParams.of(read), starts)


def requests(epoch: Epoch, end: int | None = None) -> list[BatchRequest]:
    """The requests for the batches of *epoch*, or for those before *end*."""
    return [epoch.request(batch) for batch in range(epoch.batches if end is None else min(end, epoch.batches))]


def values(batches: list[BatchRequest]) -> list[Any]:
    """Everything that decides the rows of *batches*, as values that compare."""
    return [(batch.records, batch.epochs, batch.pad) for batch in batches]


def records(data: Data, batches: list[BatchRequest]) -> list[int]:
    """The records of *batches* without the filler."""
    return [record for batch in batches for record in batch.records[: data.batch_size - batch.pad]]


def shares(data: Data, number: int, num_parts: int) -> list[list[int]]:
    """The records of each part in an epoch, in order."""
    return [records(data, requests(data.epoch(number, part, num_parts=num_parts))) for part in range(num_parts)]


# One epoch, any parts


@in_every_order
@pytest.mark.parametrize("policy", ["pad", "keep"])
@settings(max_examples=12)
@given(case=cases())
def test_parts_are_disjoint_and_complete_and_differ_by_at_most_one_record(kind: str, policy: str, case: Case) -> None:
    of_parts = shares(case.data(kind, last_batch=policy), case.epoch, case.num_parts)

    assert [*range(case.count)] == sorted(itertools.chain(*of_parts))
    assert max(map(len, of_parts)) - min(map(len, of_parts)) <= 1


@in_every_order
@settings(max_examples=12)
@given(case=cases())
def test_discarding_drops_only_records_that_do_not_fill_a_batch(kind: str, case: Case) -> None:
    data, size = case.data(kind, last_batch="discard"), case.batch_size
    of_parts = shares(data, case.epoch, case.num_parts)
    whole = shares(data.replaced(last_batch="keep"), case.epoch, case.num_parts)

    assert [share[: len(some)] for share, some in zip(whole, of_parts, strict=True)] == of_parts
    assert [case.count // case.num_parts // size * size] * case.num_parts == [*map(len, of_parts)]


@pytest.mark.parametrize("policy", ["pad", "keep", "discard"])
@settings(max_examples=40)
@given(case=cases())
def test_with_equal_batches_all_parts_have_the_same_number_of_batches(policy: str, case: Case) -> None:
    data, num_parts, size = case.data("shuffled", last_batch=policy), case.num_parts, case.batch_size
    fewest, most = case.count // num_parts, -(-case.count // num_parts)

    equal = {data.epoch(1, part, num_parts=num_parts).batches for part in range(num_parts)}
    assert {fewest // size if policy == "discard" else -(-most // size)} == equal
    own = {data.epoch(1, part, num_parts=num_parts, equal_batches=False).batches for part in range(num_parts)}
    assert own <= {*((fewest // size, most // size) if policy == "discard" else (-(-fewest // size), *equal))}


@in_every_order
@settings(max_examples=12)
@given(case=cases())
def test_even_parts_extend_their_share_by_the_first_records_of_the_epoch(kind: str, case: Case) -> None:
    data, num_parts = case.data(kind), case.num_parts
    own = shares(data.replaced(last_batch="keep"), case.epoch, num_parts)
    even = shares(data.replaced(last_batch="even"), case.epoch, num_parts)
    rounds = itertools.zip_longest(*own) if ORDERS[kind] and "shuffle_scope" not in ORDERS[kind] else own
    whole = [record for part in rounds for record in part if record is not None]

    assert 1 >= len({*map(len, even)})
    filler = [record for share, part in zip(own, even, strict=True) for record in part[len(share) :]]
    assert own == [part[: len(share)] for share, part in zip(own, even, strict=True)]
    assert [record for record, _ in zip(itertools.cycle(whole), filler)] == filler
    assert 0 == (len(whole) + len(filler)) % num_parts
    assert len(filler) < num_parts


@in_every_order
@settings(max_examples=12)
@given(case=cases())
def test_every_batch_is_full_and_its_filler_is_the_first_records_of_the_part(kind: str, case: Case) -> None:
    data, size = case.data(kind, last_batch="pad"), case.batch_size
    batches = requests(data.epoch(case.epoch, case.part, num_parts=case.num_parts))
    share = shares(data, case.epoch, case.num_parts)[case.part]

    if share:
        rows = [record for batch in batches for record in batch.records]
        assert len(batches) * size == len(rows)
        assert [record for record, _ in zip(itertools.cycle(share), rows)] == rows
    else:  # nothing to repeat: zeros
        assert [(0, size)] * len(batches) == [(len(batch.records), batch.pad) for batch in batches]
    assert len(batches) * size - len(share) == sum(batch.pad for batch in batches)
    assert {case.epoch} >= {epoch for batch in batches for epoch in batch.epochs}


# What decides the order


@pytest.mark.parametrize("kind", ["shuffled", "by blocks"])
@settings(max_examples=12)
@given(case=cases())
def test_shuffled_the_whole_has_one_order_for_any_number_of_parts(kind: str, case: Case) -> None:
    data = case.data(kind)
    (whole,) = shares(data, case.epoch, 1)

    for num_parts in (2, 3, 8):
        assert [whole[part::num_parts] for part in range(num_parts)] == shares(data, case.epoch, num_parts)


@pytest.mark.parametrize("kind", ["each part shuffled", "by blocks in each part"])
@settings(max_examples=12)
@given(case=cases())
def test_parts_that_are_shuffled_on_their_own_keep_their_records_in_every_epoch(kind: str, case: Case) -> None:
    data = case._replace(count=100).data(kind)
    first, second = shares(data, 0, 3), shares(data, 1, 3)

    runs = [[*range(33)], [*range(33, 66)], [*range(66, 100)]]
    assert runs == [*map(sorted, first)] == [*map(sorted, second)]
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert [record - 33 for record in first[1]] != first[0]  # each part has a key of its own


# Rolling over


@in_every_order
@settings(max_examples=8)
@given(case=cases(max_parts=4))
def test_epochs_that_roll_over_are_one_endless_stream_cut_into_batches(kind: str, case: Case) -> None:
    data, epochs = case.data(kind, last_batch="roll_over", equal_batches=False), 4
    batches = [requests(data.epoch(number, case.part, num_parts=case.num_parts)) for number in range(epochs)]
    cut = [[*zip(batch.epochs, batch.records, strict=True)] for epoch in batches for batch in epoch]

    last = max((epoch for batch in cut for epoch, _ in batch), default=0)
    plain = data.replaced(last_batch="keep")
    stream = [
        (epoch, record) for epoch in range(last + 1) for record in shares(plain, epoch, case.num_parts)[case.part]
    ]
    assert stream[: len(cut) * case.batch_size] == [*itertools.chain(*cut)]
    assert {case.batch_size} >= {*map(len, cut)}
    for number, epoch in enumerate(batches):
        assert [sum(other > number for other in batch.epochs) for batch in epoch] == [batch.pad for batch in epoch]
        assert all(batch.epochs[0] == number for batch in epoch)  # a batch belongs to the epoch of its first row


# Resuming


def delivered(data: Data, number: int, deliveries: tuple[Delivery, ...]) -> list[int]:
    """The records that all parts deliver of an epoch in the last of *deliveries*."""
    *before, last = deliveries
    begun, batches = (*before, Delivery(last.num_parts, 0)), last.per_part // data.batch_size
    epochs = [data.epoch(number, part, begun, num_parts=last.num_parts) for part in range(last.num_parts)]
    return [record for epoch in epochs for record in records(data, requests(epoch, end=batches))]


@in_every_order
@pytest.mark.parametrize("policy", ["pad", "keep"])
@settings(max_examples=12)
@given(resumed=resumed_cases())
def test_an_epoch_resumed_with_other_parts_delivers_every_record_once(kind: str, policy: str, resumed: Resumed) -> None:
    (case, deliveries), data = resumed, resumed.case.data(kind, last_batch=policy)
    in_turn = [delivered(data, case.epoch, deliveries[: number + 1]) for number in range(3)]

    assert [*range(case.count)] == sorted(itertools.chain(*in_turn))
    partition = data.epoch(case.epoch, 0, deliveries[:1]).partition
    assert len(in_turn[0]) == partition.delivered(deliveries[0].per_part)
    rest = data.epoch(case.epoch, 0, (deliveries[0], Delivery(1, 0))).partition
    assert case.count - len(in_turn[0]) == rest.count


@in_every_order
@settings(max_examples=8)
@given(resumed=resumed_cases())
def test_a_resumed_epoch_that_discards_delivers_no_record_twice(kind: str, resumed: Resumed) -> None:
    (case, deliveries), data = resumed, resumed.case.data(kind, last_batch="discard")
    in_turn = [record for end in range(1, 4) for record in delivered(data, case.epoch, deliveries[:end])]

    assert len({*in_turn}) == len(in_turn)
    assert {*in_turn} <= {*range(case.count)}


@in_every_order
@pytest.mark.parametrize("policy", ["pad", "keep", "even", "discard", "roll_over"])
@settings(max_examples=8)
@given(resumed=resumed_cases())
def test_an_epoch_resumed_with_the_same_parts_has_the_same_batches(kind: str, policy: str, resumed: Resumed) -> None:
    (case, (first, second, _)), data = resumed, resumed.case.data(kind, last_batch=policy)
    before = () if policy == "roll_over" else (first,)  # which resumes with the same parts only

    for part in range(second.num_parts):
        begun = data.epoch(case.epoch, part, (*before, Delivery(second.num_parts, 0)), num_parts=second.num_parts)
        again = data.epoch(case.epoch, part, (*before, second), num_parts=second.num_parts)
        assert values(requests(begun)) == values(requests(again))
        if not before:
            plain = data.epoch(case.epoch, part, num_parts=second.num_parts)
            assert values(requests(begun)) == values(requests(plain))


@settings(max_examples=12)
@given(resumed=resumed_cases())
def test_the_rest_of_a_shuffled_whole_keeps_its_order(resumed: Resumed) -> None:
    (case, (first, second, _)), data = resumed, resumed.case.data("shuffled")
    (whole,) = shares(data, case.epoch, 1)
    deliveries, num_parts = (first, Delivery(second.num_parts, 0)), second.num_parts

    rest = whole[first.num_parts * first.per_part :]
    assert [rest[part::num_parts] for part in range(num_parts)] == [
        records(data, requests(data.epoch(case.epoch, part, deliveries, num_parts=num_parts)))
        for part in range(num_parts)
    ]


@in_every_order
@settings(max_examples=4)
@given(case=cases())
def test_an_epoch_that_was_delivered_whole_has_no_batch_left_for_any_parts(kind: str, case: Case) -> None:
    data, deliveries = case.data(kind), (Delivery(2, case.count + 12), Delivery(3, 0))

    assert {0} == {data.epoch(0, part, deliveries, num_parts=3).batches for part in range(3)}


def first_places(partition: Partition, per_part: int) -> set[int]:
    """The places of the first *per_part* of every part."""
    indices = [np.arange(min(per_part, partition.length(part))) for part in range(partition.num_parts)]
    return {place for part, index in enumerate(indices) for place in partition.places(part, index).tolist()}


@in_every_order
@settings(max_examples=8)
@given(resumed=resumed_cases())
def test_an_epoch_resumed_by_even_parts_delivers_every_record(kind: str, resumed: Resumed) -> None:
    (case, deliveries), data = resumed, resumed.case.data(kind, last_batch="even")
    in_turn = [delivered(data, case.epoch, deliveries[: number + 1]) for number in range(3)]

    assert {*range(case.count)} == {*itertools.chain(*in_turn)}
    assert all(not len(records) % delivery.num_parts for records, delivery in zip(in_turn, deliveries, strict=True))


@settings(max_examples=100)
@given(count=st.integers(0, 20), num_parts=st.integers(1, 7), per_part=st.integers(0, 25), interleaved=st.booleans())
def test_delivered_and_undelivered_places_make_the_whole(
    count: int, num_parts: int, per_part: int, *, interleaved: bool
) -> None:
    partition = Partition(count, num_parts, interleaved=interleaved)
    left, rest = partition.undelivered(per_part)

    assert count == sum(partition.length(part) for part in range(num_parts))
    assert [*sorted({*range(count)} - first_places(partition, per_part))] == rest(np.arange(left)).tolist()
    assert count - left == partition.delivered(per_part)

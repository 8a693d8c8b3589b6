"""The order of records: exact batches of small epochs, divided, rolled over and resumed, and published orders."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from im2rec.pipeline.order import BatchRequest, Delivery, Order, Partition, Stride, batch_count, piece_size
from im2rec.pipeline.params import DISCARD, EVEN, KEEP, PAD, ROLL_OVER, OrderParams


def order(count: int, *, starts: Sequence[int] | None = None, **params: Any) -> Order:
    """An order of *count* records in batches of three; blocks begin at *starts*."""
    blocks = None if starts is None else np.array(starts)
    return Order(count, OrderParams(**{"batch_size": 3, "policy": PAD, **params}), blocks)


def batches(made: Order, number: int = 0, deliveries: tuple[Delivery, ...] = ()) -> str:
    """The batches of an epoch, as "012 345 601(pad 2)"."""
    epoch = made.epoch(number, deliveries)
    requests = [epoch.request(batch) for batch in range(epoch.batches)]
    return " ".join(
        "".join(map(str, request.records)) + (f"(pad {request.pad})" if request.pad else "") for request in requests
    )


def of_parts(count: int, num_parts: int, number: int = 0, **params: Any) -> list[str]:
    """The batches of every part."""
    return [batches(order(count, num_parts=num_parts, part_index=part, **params), number) for part in range(num_parts)]


def records(count: int, number: int = 0, **params: Any) -> list[int]:
    """The records of an epoch, in one batch."""
    return order(count, **{"batch_size": count, "policy": KEEP, **params}).epoch(number).request(0).records


# The last batch.


def test_each_epoch_starts_at_its_first_record_which_also_fills_its_last_batch() -> None:
    assert ["012 345 601(pad 2)"] * 2 == [batches(order(7), number) for number in (0, 1)]
    assert "012 345" == batches(order(6))
    assert "000(pad 2)" == batches(order(1))


def test_the_last_batch_of_keep_has_no_rows_after_the_last_record() -> None:
    kept = order(7, policy=KEEP)

    assert "012 345 6(pad 2)" == batches(kept, 4)
    assert [[4, 4, 4], [4, 4, 4], [4]] == [kept.epoch(4).request(batch).epochs for batch in range(3)]


def test_discard_has_full_batches_only() -> None:
    assert ["012 345", "012", ""] == [batches(order(count, policy=DISCARD)) for count in (7, 5, 2)]


def test_epochs_that_roll_over_are_those_of_the_reference() -> None:
    seven = order(7, policy=ROLL_OVER)

    assert ["012 345 601(pad 2)", "234 560(pad 1)", "123 456", "012 345 601(pad 2)"] == [
        batches(seven, number) for number in range(4)
    ]
    assert [0, 1, 1] == seven.epoch(0).request(2).epochs


@pytest.mark.parametrize(
    ("policy", "counts"),
    [(PAD, [4, 4, 4]), (KEEP, [4, 4, 4]), (EVEN, [4, 4, 4]), (DISCARD, [2, 2, 2]), (ROLL_OVER, [4, 3, 3])],
)
def test_batches_are_counted_by_the_longest_part_or_for_discard_by_the_shortest(policy: str, counts: list[int]) -> None:
    params = OrderParams(batch_size=3, policy=policy)

    assert counts == [batch_count(epoch, params, shortest=8, longest=10) for epoch in range(3)]


# Parts.


def test_places_are_interleaved_or_in_runs() -> None:
    def places(*, interleaved: bool) -> list[list[int]]:
        partition = Partition(7, 3, interleaved=interleaved)
        return [partition.places(part, np.arange(partition.length(part))).tolist() for part in range(3)]

    assert [[0, 3, 6], [1, 4], [2, 5]] == places(interleaved=True)
    assert [[0, 1], [2, 3], [4, 5, 6]] == places(interleaved=False)
    assert [0, 0, 1, 1, 2, 2, 2] == Partition(7, 3, interleaved=False).part_of(np.arange(7)).tolist()


def test_the_rest_of_a_partition_keeps_the_order_of_the_sequence() -> None:
    def rest(per_part: int, *, interleaved: bool) -> list[int]:
        partition = Partition(7, 3, interleaved=interleaved)
        count, places = partition.undelivered(per_part)
        assert 7 - count == partition.delivered(per_part)
        return places(np.arange(count)).tolist()

    assert [[*range(7)], [3, 4, 5, 6], [6], []] == [rest(per_part, interleaved=True) for per_part in range(4)]
    assert [[*range(7)], [1, 3, 5, 6], [6], []] == [rest(per_part, interleaved=False) for per_part in range(4)]


def test_a_shorter_part_repeats_its_first_records_in_an_additional_batch() -> None:
    assert ["0123 0123(pad 4)", "4567 8456(pad 3)"] == of_parts(9, 2, batch_size=4)
    assert ["0123", "4567 8456(pad 3)"] == of_parts(9, 2, batch_size=4, equal_batches=False)


@pytest.mark.parametrize("shuffle", [False, True])  # in runs the last part has 5 of 9 records, interleaved the first
def test_equal_batches_count_the_longest_part_or_for_discard_the_shortest(*, shuffle: bool) -> None:
    def counts(policy: str, **params: Any) -> list[int]:
        options = {"batch_size": 4, "num_parts": 2, "shuffle": shuffle, "policy": policy, **params}
        return [order(9, part_index=part, **options).epoch(0).batches for part in range(2)]

    assert [2, 2] == counts(KEEP)
    assert [1, 1] == counts(DISCARD)
    assert [1, 2] == sorted(counts(KEEP, equal_batches=False))
    assert [0, 1] == sorted(counts(DISCARD, batch_size=5, equal_batches=False))


def test_even_parts_have_equally_many_rows_the_missing_ones_from_the_start_of_the_sequence() -> None:
    assert ["01 0(pad 1)", "23 1(pad 1)", "45 6(pad 1)"] == of_parts(7, 3, batch_size=2, policy=EVEN)
    assert ["0123456"] == of_parts(7, 1, batch_size=7, policy=EVEN)
    assert ["01", "23"] == of_parts(4, 2, batch_size=2, policy=EVEN)
    first, *_ = whole = records(7, shuffle=True)
    of_three = [[*whole[0::3]], [*whole[1::3], first], [*whole[2::3], whole[1]]]
    shares = ["".join(map(str, share)) for share in of_three]
    assert shares == of_parts(7, 3, batch_size=3, policy=EVEN, shuffle=True)


@pytest.mark.parametrize("shuffle", [False, True])
def test_even_parts_repeat_the_sequence_where_there_are_more_parts_than_records(*, shuffle: bool) -> None:
    first, second = records(2, shuffle=shuffle)
    shares = of_parts(2, 5, batch_size=2, policy=EVEN, shuffle=shuffle)

    assert {f"{first}(pad 1)", f"{second}(pad 1)"} == {*shares}
    assert 3 == shares.count(f"{first}(pad 1)")
    assert ["", ""] == of_parts(0, 2, policy=EVEN, shuffle=shuffle)


def test_the_rest_of_an_epoch_is_shared_out_evenly_as_well() -> None:
    # Three parts delivered 0, 2 and 5 of 0 1, 2 3 4 and 5 6 7; two parts take 1 3 4 6 7, which are left.
    rest = [order(8, num_parts=2, part_index=part, policy=EVEN) for part in range(2)]

    assert ["131", "467"] == [batches(part, 0, (Delivery(3, 1), Delivery(2, 0))) for part in rest]


def test_long_parts_are_shuffled_each_on_its_own() -> None:
    shares = [
        records(600, batch_size=300, num_parts=2, part_index=part, shuffle=True, scope="part", policy=KEEP)
        for part in range(2)
    ]

    assert [[*range(300)], [*range(300, 600)]] == [sorted(share) for share in shares]
    assert [record - 300 for record in shares[1]] != shares[0] != [*range(300)]


def test_a_part_without_records_has_batches_of_zeros_to_match_the_others() -> None:
    assert ["(pad 2)", "00(pad 1)"] == of_parts(1, 2, batch_size=2)
    assert ["", "00(pad 1)"] == of_parts(1, 2, batch_size=2, equal_batches=False)
    assert ["(pad 2)", "00(pad 1)"] == of_parts(1, 2, batch_size=2, policy=ROLL_OVER)
    assert ["", ""] == of_parts(0, 2, shuffle=True, scope="part")
    assert ["00(pad 1)", "(pad 2)", "(pad 2)"] == of_parts(1, 3, batch_size=2, shuffle=True)


def test_parts_that_roll_over_have_the_same_number_of_batches_in_every_epoch() -> None:
    for number in range(9):
        parts = [order(7, num_parts=2, part_index=part, policy=ROLL_OVER) for part in range(2)]
        assert 1 == len({part.epoch(number).batches for part in parts})


def test_a_shorter_part_that_rolls_over_repeats_its_first_record_at_the_end() -> None:
    assert ["010", "234"] == of_parts(5, 2, policy=ROLL_OVER)


# Random orders.


def test_the_order_of_a_shuffled_epoch_never_changes() -> None:
    shuffled: dict[str, Any] = {"shuffle": True, "seed": 3}

    assert [5, 7, 0, 2, 1, 4, 8, 6, 3] == records(9, **shuffled)
    assert [7, 3, 2, 8, 4, 6, 0, 1, 5] == records(9, 1, **shuffled)
    assert ["3012(pad 1)", "85476"] == of_parts(9, 2, scope="part", batch_size=5, policy=KEEP, **shuffled)
    assert [4, 5, 6, 3, 2, 0, 7, 1, 8] == records(9, starts=[0, 2, 5, 9], **shuffled)


def test_seed_and_epoch_change_the_order_and_nothing_else_does() -> None:
    first = records(100, shuffle=True)

    assert [*range(100)] != first
    assert [*range(100)] == sorted(first)
    assert first == records(100, shuffle=True, shuffle_chunk_seed=5)
    assert (
        first
        == [
            record
            for batch in range(15)
            for record in order(100, shuffle=True, batch_size=7).epoch(0).request(batch).records
        ][:100]
    )
    assert 3 == len({tuple(first), tuple(records(100, 1, shuffle=True)), tuple(records(100, shuffle=True, seed=1))})


def test_shuffle_chunk_seed_changes_an_order_by_blocks() -> None:
    by_blocks: dict[str, Any] = {"shuffle": True, "starts": range(0, 101, 5)}

    assert records(100, **by_blocks) != records(100, shuffle_chunk_seed=1, **by_blocks)


def test_an_epoch_of_many_stretches_is_one_sequence() -> None:
    count = 3 * 4096 + 5
    made = order(count, batch_size=5000, policy=KEEP, shuffle=True)
    rows = [record for batch in range(3) for record in made.epoch(0).request(batch).records]

    assert [*range(count)] == sorted(rows)
    assert rows == records(count, shuffle=True)
    assert rows[4096] == made.epoch(0).request(0).records[4096]


# Requests.


def test_requests_continue_until_no_later_epoch_has_a_batch() -> None:
    def first(count: int, **params: Any) -> list[list[int]]:
        return [request.records for request in itertools.islice(order(count, **params).requests(0, 0), 3)]

    assert [[0, 1, 2]] * 3 == first(3)
    assert [[0, 0, 0]] * 3 == first(1, policy=ROLL_OVER)  # two of three epochs have no batch
    assert [] == first(0)
    assert [] == first(0, policy=ROLL_OVER)
    assert [] == first(2, policy=DISCARD)


def test_requests_start_at_any_batch_of_any_epoch() -> None:
    requests = list(itertools.islice(order(7).requests(2, 1), 4))

    assert [[3, 4, 5], [6, 0, 1], [0, 1, 2], [3, 4, 5]] == [request.records for request in requests]
    assert [2, 2, 3, 3] == [request.epochs[0] for request in requests]


def test_requests_by_a_stride_are_every_so_manieth_of_each_epoch() -> None:
    requests = list(itertools.islice(order(13).requests(4, 2, (), Stride(first=1, step=3)), 4))

    assert [6, 3, 12, 3] == [request.records[0] for request in requests]
    assert [4, 5, 5, 6] == [request.epochs[0] for request in requests]


@pytest.mark.parametrize("policy", [PAD, KEEP, EVEN, DISCARD, ROLL_OVER])
def test_requests_end_where_no_epoch_has_the_first_batch_of_the_stride(policy: str) -> None:
    made = order(6, policy=policy)

    assert [[3, 4, 5]] == [request.records for request in made.requests(0, 1, (), Stride(first=2, step=3))]
    assert 9 == len(list(itertools.islice(made.requests(0, 1, (), Stride(first=1, step=3)), 9)))


def test_an_epoch_is_resumed_with_other_parts_where_the_others_stopped() -> None:
    # Two parts delivered 0 1 2 of 0 to 4, and 5 6 7 of 5 to 9; then one part 3 4 8 of the rest.
    two, one, three = Delivery(2, 3), Delivery(1, 3), Delivery(3, 0)
    last = [order(10, num_parts=3, part_index=part, batch_size=1) for part in range(3)]

    assert "348 934(pad 2)" == batches(order(10), 0, (two, Delivery(1, 0)))
    assert ["9", "(pad 1)"] == sorted({batches(part, 0, (two, one, three)) for part in last}, reverse=True)
    requests = list(itertools.islice(order(10).requests(0, 1, (two, one)), 2))
    assert [[9, 3, 4], [0, 1, 2]] == [request.records for request in requests]  # the next epoch is whole again


def test_requests_hold_ordinals_where_positions_have_some() -> None:
    ordinals = np.array([1, 4, 5, 9])
    made = Order(4, OrderParams(batch_size=4, policy=PAD), None, ordinals.__getitem__)

    assert [1, 4, 5, 9] == made.epoch(0).request(0).records


def test_a_request_is_cut_into_pieces_that_keep_their_rows() -> None:
    whole = BatchRequest([*range(20)], [7] * 20, 3, [*"abcdefghijklmnopqrst"])
    first, second, third = whole.cut(9)  # of 8 rows at least

    assert BatchRequest([*range(8)], [7] * 8, 3, [*"abcdefgh"], 0) == first
    assert BatchRequest([*range(8, 16)], [7] * 8, 3, [*"ijklmnop"], 8) == second
    assert BatchRequest([*range(16, 20)], [7] * 4, 3, [*"qrst"], 16) == third
    assert [5, 15] == [piece.first_row for piece in whole._replace(first_row=5).cut(2)]
    plain = BatchRequest([*range(20)], [7] * 20).cut(2)
    assert [(0, None, 0), (0, None, 10)] == [(piece.pad, piece.plans, piece.first_row) for piece in plain]
    assert [] == BatchRequest([], [], 3).cut(2)


def test_pieces_have_equally_many_rows_and_at_least_eight() -> None:
    assert [100, 50, 34, 8] == [piece_size(100, pieces) for pieces in (1, 2, 3, 50)]
    assert 2 == piece_size(100, 50, 1)

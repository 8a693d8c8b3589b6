"""States of RecordIterDataset: resumed by a StatefulDataLoader, and with other numbers of workers and ranks."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of
from iter_dataset_helpers import COUNT, all_of, dataset, epochs, loader, numbers, taken
from iterator_helpers import a_rec
from torchdata.stateful_dataloader import StatefulDataLoader

from im2rec.errors import Im2RecError, InputError, ParameterError

BATCHES = 8


@pytest.fixture(scope="module")
def rec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_rec(tmp_path_factory.mktemp("stateful"), COUNT, "a.rec")


def stateful(rec: Path, workers: int, ds: Any = None, **given: Any) -> Any:
    return loader(ds or dataset(rec), StatefulDataLoader, num_workers=workers, **given)


def stopped(rec: Path, workers: int, batches: int, **given: Any) -> dict[str, Any]:
    """The state of a StatefulDataLoader of which *batches* batches were taken."""
    stopped_loader = stateful(rec, workers, **given)
    iterator = iter(stopped_loader)
    for _ in range(batches):
        next(iterator)
    state: dict[str, Any] = stopped_loader.state_dict()
    return state


# By a StatefulDataLoader with the same number of workers


@pytest.mark.parametrize("batches", [0, 1, 4, 7, BATCHES])
@pytest.mark.parametrize(
    ("workers", "given"), [(0, {}), (2, {}), (3, {"persistent_workers": True}), (2, {"snapshot_every_n_steps": 3})]
)
def test_a_loop_is_resumed_where_the_state_was_taken(rec: Path, workers: int, given: Any, batches: int) -> None:
    first, second, third = epochs(rec, 3)
    resumed = stateful(rec, workers, **given)
    resumed.load_state_dict(stopped(rec, workers, batches, **given))

    assert first[batches:] == numbers(resumed)
    assert second == numbers(resumed)
    assert third == numbers(resumed)


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_after_a_finished_loop_the_next_one_is_the_next_epoch(rec: Path, *, workers: int, persistent: bool) -> None:
    whole = stateful(rec, workers, persistent_workers=persistent)
    numbers(whole)
    resumed = stateful(rec, workers, persistent_workers=persistent)
    resumed.load_state_dict(whole.state_dict())

    assert epochs(rec, 3)[1:] == [numbers(resumed), numbers(resumed)]


def test_spawned_workers_resume(rec: Path) -> None:
    spawned: dict[str, Any] = {"multiprocessing_context": "spawn"}
    resumed = stateful(rec, 2, **spawned)
    resumed.load_state_dict(stopped(rec, 2, 3))

    assert epochs(rec, 1)[0][3:] == numbers(resumed)


def test_set_epoch_to_that_of_the_state_keeps_its_place(rec: Path) -> None:
    first, second = epochs(rec, 2)
    for workers in (0, 2):
        ds = dataset(rec)
        resumed = stateful(rec, workers, ds)
        resumed.load_state_dict(stopped(rec, workers, 3))
        ds.set_epoch(0)
        assert first[3:] == numbers(resumed)
        ds.set_epoch(1)
        assert second == numbers(resumed)


def test_a_state_of_an_earlier_epoch_is_resumed_after_later_ones(rec: Path) -> None:
    state, ds = stopped(rec, 2, 3), dataset(rec)
    resumed = stateful(rec, 2, ds)
    for _ in range(3):
        numbers(resumed)
    resumed.load_state_dict(state)

    assert epochs(rec, 1)[0][3:] == numbers(resumed)
    assert epochs(rec, 2)[1] == numbers(resumed)


# With other numbers of workers and ranks


def test_another_number_of_workers_is_refused_with_what_to_do(rec: Path) -> None:
    for workers in (1, 3):
        resumed = stateful(rec, workers)
        resumed.load_state_dict(stopped(rec, 2, 3))
        with pytest.raises(ParameterError) as caught:
            next(iter(resumed))
        assert (
            f"the state is of a loader with num_workers=2, this one has {workers} (set num_workers=2, or give"
            " the state to RecordIterDataset.load_state_dict, which takes any number)"
        ) in str(caught.value)


@pytest.mark.parametrize("given", [{}, {"snapshot_every_n_steps": 3}, {"persistent_workers": True}])
@pytest.mark.parametrize("batches", [0, 1, 4, 7, BATCHES])
def test_the_data_set_takes_the_state_of_a_loader_for_any_number_of_workers(
    rec: Path, batches: int, given: Any
) -> None:
    (first, second), state = epochs(rec, 2), stopped(rec, 2, batches, **given)
    for workers in (0, 1, 3):
        ds = dataset(rec)
        ds.load_state_dict(state)
        resumed = loader(ds, num_workers=workers)
        assert first[batches:] == numbers(resumed)
        assert second == numbers(resumed)


def test_the_data_set_takes_the_state_of_a_finished_loop(rec: Path) -> None:
    for workers in (0, 2):
        whole, ds = stateful(rec, workers), dataset(rec)
        numbers(whole)
        ds.load_state_dict(whole.state_dict())
        assert epochs(rec, 2)[1] == numbers(loader(ds, num_workers=1))


def own_state(rec: Path, batches: int, **given: Any) -> dict[str, Any]:
    ds = dataset(rec, **given)
    taken(ds, batches)
    state: dict[str, Any] = json.loads(json.dumps(ds.state_dict()))
    return state


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batches", [0, 3, BATCHES])
def test_a_state_of_the_data_set_continues_with_workers_and_without(rec: Path, batches: int, workers: int) -> None:
    (first, second), ds = epochs(rec, 2), dataset(rec)
    ds.load_state_dict(own_state(rec, batches))
    ds.set_epoch(0)

    assert first[batches:] == numbers(loader(ds, num_workers=workers))
    assert second == numbers(loader(ds, num_workers=workers))
    ds.set_epoch(0)
    assert first == numbers(loader(ds, num_workers=workers))


def test_a_state_between_loops_is_the_start_of_the_next(rec: Path) -> None:
    ds, resumed = dataset(rec), dataset(rec)
    numbers(ds)
    resumed.load_state_dict(ds.state_dict())
    assert epochs(rec, 2)[1] == numbers(resumed)
    ds.set_epoch(7)
    resumed.load_state_dict(ds.state_dict())
    assert epochs(rec, 8)[7] == numbers(resumed)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_ranks_shares_the_rest_of_the_epoch(rec: Path, before: int, after: int, workers: int) -> None:
    batches = 2
    begun = [taken(dataset(rec, rank=rank, world=before), batches) for rank in range(before)]
    state = own_state(rec, batches, rank=0, world=before)
    resumed = [dataset(rec, rank=rank, world=after) for rank in range(after)]
    for ds in resumed:
        ds.load_state_dict(state)
    rest = [numbers(loader(ds, num_workers=workers)) for ds in resumed]

    delivered = Counter(itertools.chain(*itertools.chain(*begun, *rest)))
    assert [*range(COUNT)] == sorted(delivered)
    left = COUNT - 3 * batches * before
    assert -left % after == sum(count - 1 for count in delivered.values())  # filled up to equal numbers
    assert 1 == len({tuple(map(len, rank)) for rank in rest})
    following = [numbers(loader(ds, num_workers=workers)) for ds in resumed]
    assert [*range(COUNT)] == sorted({*itertools.chain(*itertools.chain(*following))})


def test_one_rank_with_workers_continues_as_two(rec: Path) -> None:
    state = stopped(rec, 2, 3)
    ranks = [dataset(rec, rank=rank, world=2) for rank in range(2)]
    for ds in ranks:
        ds.load_state_dict(state)

    rest = [numbers(loader(ds, num_workers=2)) for ds in ranks]
    assert all_of(epochs(rec, 1)[0][3:]) == all_of(rest[0] + rest[1])


# What is refused


def test_the_data_set_has_no_state_of_loops_that_its_workers_make(rec: Path) -> None:
    ds = dataset(rec)
    taken(loader(ds, num_workers=2), 1)

    message = "the data set does not know which batches of its workers were used"
    assert f"{message} (ask a torchdata StatefulDataLoader for its state_dict())" == message_of(ds.state_dict)
    taken(ds, 1)
    assert 1 == ds.state_dict()["iterator"]["epoch"]


def test_a_state_is_loaded_before_persistent_workers_start(rec: Path) -> None:
    ds = dataset(rec)
    running = loader(ds, num_workers=1, persistent_workers=True)
    numbers(running)
    ds.load_state_dict(own_state(rec, 3))

    problem = "a state was loaded into the data set while its workers were running"
    with pytest.raises(Im2RecError, match=problem):
        numbers(running)
    del running
    assert epochs(rec, 1)[0][3:] == numbers(loader(ds, num_workers=1))


def test_states_of_other_parameters_and_files_are_refused(rec: Path, tmp_path: Path) -> None:
    state = own_state(rec, 1)

    assert message_of(dataset(rec, seed=6).load_state_dict, state).startswith("seed=6 must be 5, as in the state")
    with pytest.raises(InputError, match="path_imgrec has 9 records, the state is of 23"):
        dataset(a_rec(tmp_path, 9)).load_state_dict(state)


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"_snapshot": {}},
        {"_num_yielded": 1, "dataset_state": None},
        {"version": 1, "worker": 0, "workers": 0, "iterator": None},
        {"_snapshot": {"_worker_snapshots": {}}, "_steps_since_snapshot": 0, "_iterator_finished": False},
    ],
)
def test_what_is_no_state_is_refused(rec: Path, state: Any) -> None:
    message = "the state is not one that RecordIterDataset or a StatefulDataLoader over it gave"
    assert message == message_of(dataset(rec).load_state_dict, state)


def test_the_state_of_one_worker_or_of_another_version_is_refused(rec: Path) -> None:
    ds, state = dataset(rec), own_state(rec, 1)

    message = "the state is of worker 0 of 2 alone (give the state of the loader)"
    assert message == message_of(ds.load_state_dict, {**state, "workers": 2})
    assert "the state has version 2, this im2rec reads 1" == message_of(ds.load_state_dict, {**state, "version": 2})

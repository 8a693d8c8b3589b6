"""States of a RecordIterDataset: of one process that loops over it, or of a StatefulDataLoader with all its workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from im2rec.errors import ParameterError

VERSION = 1
_NOT_A_STATE = "the state is not one that RecordIterDataset or a StatefulDataLoader over it gave"
_ANY_NUMBER = "or give the state to RecordIterDataset.load_state_dict, which takes any number"


def make(iterator_state: dict[str, Any], worker: int, workers: int) -> dict[str, Any]:
    """Return the state of worker number *worker* of *workers*, or with 0 *workers* that of the process itself."""
    return {"version": VERSION, "worker": worker, "workers": workers, "iterator": iterator_state}


def of_worker(state: Mapping[str, Any], worker: int, workers: int) -> Mapping[str, Any]:
    """Return the state of the iterator from the *state* of a worker, to be loaded in number *worker* of *workers*.

    Raises ParameterError for the state of another worker, or of one among another number of workers.
    """
    iterator_state = _checked(state)
    if state["workers"] != workers:
        problem = f"the state is of a loader with num_workers={state['workers']}, this one has {workers}"
        raise ParameterError(problem, hint=f"set num_workers={state['workers']}, {_ANY_NUMBER}")
    if state["worker"] != worker:
        raise ParameterError(f"the state of worker {state['worker']} was given to worker {worker}")
    return iterator_state


def of_rank(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state of the iterator of a whole rank, from a *state* of a process or of a StatefulDataLoader.

    Raises ParameterError for anything else.
    """
    if not isinstance(state, Mapping):
        raise ParameterError(_NOT_A_STATE)
    if "_snapshot" in state:
        return _of_workers(state)
    if "_num_yielded" in state:
        state = state.get("dataset_state") or {}
    iterator_state = _checked(state)
    if state["workers"]:
        problem = f"the state is of worker {state['worker']} of {state['workers']} alone"
        raise ParameterError(problem, hint="give the state of the loader")
    return iterator_state


def _checked(state: Any) -> Mapping[str, Any]:
    is_state = isinstance(state, Mapping) and {"version", "worker", "workers", "iterator"} <= {*state}
    if not is_state or not isinstance(state["iterator"], Mapping):
        raise ParameterError(_NOT_A_STATE)
    if state["version"] != VERSION:
        raise ParameterError(f"the state has version {state['version']}, this im2rec reads {VERSION}")
    iterator_state: Mapping[str, Any] = state["iterator"]
    return iterator_state


def _of_workers(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state of the rank whose StatefulDataLoader gave *state*, which has one for each of its workers."""
    try:
        workers = state["_snapshot"]["_worker_snapshots"].values()
        each = [_checked(worker["dataset_state"]) for worker in workers]
        since = int(state["_steps_since_snapshot"])  # batches that the loader gave after it had asked for the states
        is_finished = bool(state["_iterator_finished"])
        # Batches come from the workers in turn: the first that was not delivered is the first of any worker.
        first = min(each, key=lambda one: int(one["splits"][-1][1]))
        *before, (num_parts, per_part) = first["splits"]
        per_part += since * int(first["parameters"]["batch_size"])
        epoch = int(first["epoch"])
    except (KeyError, TypeError, ValueError, IndexError):
        raise ParameterError(_NOT_A_STATE) from None
    if is_finished:
        return {**first, "epoch": epoch + 1, "splits": [[num_parts, 0]]}
    return {**first, "splits": [*before, [num_parts, per_part]]}

"""Saving and loading the position of an iterator in its epoch, to resume in another process or with other parts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from im2rec.errors import Im2RecError, InputError, ParameterError
from im2rec.pipeline.order import Delivery
from im2rec.pipeline.params import MAX_PARTS, MAX_ROWS, MXNET, OURS, ROLL_OVER

VERSION = 1
_MAX_EPOCHS = 1 << 31
_NOT_A_STATE = "the state is not one that state_dict() gave"
_HINT = "make the iterator with the parameters and files of the one that gave the state"

# Parameters that may differ for every iterator: the parts, names, and how the work is done.
_FREE = (
    "num_parts",
    "part_index",
    "data_name",
    "label_name",
    "prefetch_buffer",
    "round_batch",  # its meaning is in last_batch
    "ctx",
    "device_id",
)


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """Everything that decides the batches of an iterator, to compare it with that of a saved state.

    *source* is the parameter that names the record files, *records* and *file_sizes* (bytes) describe them. *checksums*
    has one for each parameter that names another file, by name of the parameter.
    """

    source: str
    parameters: dict[str, Any]
    records: int
    file_sizes: list[int]
    checksums: dict[str, int]

    def digest(self) -> str:
        """Return a checksum of all fields: 16 hexadecimal digits."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check_can_save(self) -> None:
        """Raise ParameterError for an iterator that cannot be resumed: one with ``rng=mxnet``."""
        if self.parameters.get("rng") == MXNET:
            problem = f"rng={MXNET} has no state_dict: its numbers follow from all before"
            raise ParameterError(problem, hint=f"set rng={OURS}")


def deciding(params: Any, free: Iterable[str]) -> dict[str, Any]:
    """Return the parameters that decide the batches, as JSON would load them, without those that are *free* to differ.

    ``last_batch`` is the policy that follows from ``last_batch`` and ``round_batch`` together.
    """
    left_out = {*_FREE, *free}
    values = {key: value for key, value in dataclasses.asdict(params).items() if key not in left_out}
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return values | {"last_batch": params.policy}


def save(fingerprint: Fingerprint, epoch: int, deliveries: tuple[Delivery, ...], delivered: int) -> dict[str, Any]:
    """Return the state as plain values, which JSON, pickle and torch.save can all store.

    *delivered* is the number of records that all parts have delivered of *epoch*; it is there for its readers alone.
    """
    return {
        "version": VERSION,
        "seed": fingerprint.parameters.get("seed", 0),
        "epoch": epoch,
        "delivered": delivered,
        "splits": [list(delivery) for delivery in deliveries],
        "digest": fingerprint.digest(),
        **dataclasses.asdict(fingerprint),
    }


def load(state: Mapping[str, Any], fingerprint: Fingerprint, num_parts: int) -> tuple[int, tuple[Delivery, ...]]:
    """Return the epoch and its deliveries; the last of them, if any, is one of *num_parts* parts.

    Raises ParameterError for a state of other parameters (naming them), InputError for one of other files.
    """
    if not isinstance(state, Mapping) or not isinstance(state.get("parameters", {}), Mapping):
        raise ParameterError(_NOT_A_STATE)
    try:
        if state.get("version") != VERSION:
            raise ParameterError(f"the state has version {state.get('version')}, this im2rec reads {VERSION}")
        _check_same(state, fingerprint)
    except Im2RecError:
        raise
    except (TypeError, ValueError, RecursionError):  # names of several types; arrays, which are not just equal; lists
        raise ParameterError(_NOT_A_STATE) from None  # in lists in lists, which have no text
    try:
        epoch = int(state["epoch"])
        deliveries = tuple(Delivery(int(parts), int(per_part)) for parts, per_part in state["splits"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ParameterError(_NOT_A_STATE) from None
    # The state may come from a file that anyone wrote: numbers out of bounds would fail deep in the order, or hang.
    max_per_part = fingerprint.records + MAX_ROWS  # the last batch counts whole, and may be longer than what is left
    is_valid = all(1 <= each.num_parts <= MAX_PARTS and 0 <= each.per_part <= max_per_part for each in deliveries)
    if not is_valid or not 0 <= epoch <= _MAX_EPOCHS:
        raise ParameterError(_NOT_A_STATE)
    if deliveries and deliveries[-1].num_parts != num_parts:
        if fingerprint.parameters["last_batch"] == ROLL_OVER:
            # Rows of each part rolled over into its next epoch; other parts cannot take them over.
            problem = f"num_parts={num_parts} must be {deliveries[-1].num_parts}, as in the state, with roll_over"
            raise ParameterError(problem, hint=_HINT)
        deliveries = (*deliveries, Delivery(num_parts, 0))
    return epoch, deliveries


def _check_same(state: Mapping[str, Any], fingerprint: Fingerprint) -> None:
    """Raise ParameterError or InputError, naming the first difference of *state* from *fingerprint*."""
    if state.get("digest") == fingerprint.digest():
        return
    if "parameters" not in state:
        raise ParameterError(_NOT_A_STATE)
    theirs, ours = state["parameters"], fingerprint.parameters
    for name in sorted({*theirs, *ours}):
        if theirs.get(name) != ours.get(name):
            problem = f"{name}={ours.get(name)} must be {theirs.get(name)}, as in the state"
            raise ParameterError(problem, hint=_HINT)
    for key, unit in (("records", "records"), ("file_sizes", "bytes in its files")):
        if state.get(key) != getattr(fingerprint, key):
            problem = f"{fingerprint.source} has {getattr(fingerprint, key)} {unit}, the state is of {state.get(key)}"
            raise InputError(problem, hint=_HINT)
    checksums = state.get("checksums")
    if not isinstance(checksums, Mapping):
        raise ParameterError(_NOT_A_STATE)
    for name, checksum in fingerprint.checksums.items():
        if checksums.get(name) != checksum:
            raise InputError(f"{name} is not the one the state is of", hint=_HINT)
    raise ParameterError(_NOT_A_STATE)

"""Where an iterator is in its epoch, to go on there: in another process, or with another number of parts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from im2rec.errors import InputError, ParameterError
from im2rec.pipeline.order import Delivery
from im2rec.pipeline.params import MOST_PARTS, MOST_ROWS, MXNET, OURS, ROLL_OVER

VERSION = 1
_MOST_EPOCHS = 1 << 31
_NO_STATE = "the state is not one that state_dict() gave"
_HINT = "make the iterator with the parameters and files of the one that gave the state"

# What may differ for every iterator: who reads which part, names, and how the work is done.
_FREE = (
    "num_parts",
    "part_index",
    "data_name",
    "label_name",
    "prefetch_buffer",
    "round_batch",  # in last_batch
    "ctx",
    "device_id",
)


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What decides the batches: parameters, the number of records, sizes of the files, checksums of what they name.

    *checksums* are by the name of the parameter; *source* is the one that names the records.
    """

    source: str
    parameters: dict[str, Any]
    records: int
    file_sizes: list[int]
    checksums: dict[str, int]

    def digest(self) -> str:
        """A checksum of all of it."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check_can_save(self) -> None:
        """Raise ParameterError where there is no state to save."""
        if self.parameters.get("rng") == MXNET:
            problem = f"rng={MXNET} has no state_dict: its numbers follow from all before"
            raise ParameterError(problem, hint=f"set rng={OURS}")


def deciding(params: Any, free: Iterable[str]) -> dict[str, Any]:
    """The parameters that decide what batches are, as JSON gives them back; not those that are *free* to differ."""
    left_out = {*_FREE, *free}
    values = {key: value for key, value in dataclasses.asdict(params).items() if key not in left_out}
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return values | {"last_batch": params.policy}


def save(fingerprint: Fingerprint, epoch: int, splits: tuple[Delivery, ...], delivered: int) -> dict[str, Any]:
    """The state as plain values, which any format keeps."""
    return {
        "version": VERSION,
        "seed": fingerprint.parameters.get("seed", 0),
        "epoch": epoch,
        "delivered": delivered,
        "splits": [list(split) for split in splits],
        "digest": fingerprint.digest(),
        **dataclasses.asdict(fingerprint),
    }


def load(state: Mapping[str, Any], fingerprint: Fingerprint, num_parts: int) -> tuple[int, tuple[Delivery, ...]]:
    """The epoch, and what was delivered of it; the last split is in *num_parts* parts.

    Raises ParameterError for a state of other parameters (naming them), InputError for one of other files.
    """
    if not isinstance(state, Mapping) or not isinstance(state.get("parameters", {}), Mapping):
        raise ParameterError(_NO_STATE)
    if state.get("version") != VERSION:
        raise ParameterError(f"the state has version {state.get('version')}, this im2rec reads {VERSION}")
    _check_same(state, fingerprint)
    try:
        epoch = int(state["epoch"])
        splits = tuple(Delivery(int(parts), int(delivered)) for parts, delivered in state["splits"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ParameterError(_NO_STATE) from None
    most = fingerprint.records + MOST_ROWS  # the last batch may be longer than what is left
    right = all(1 <= parts <= MOST_PARTS and 0 <= delivered <= most for parts, delivered in splits)
    if not right or not 0 <= epoch <= _MOST_EPOCHS:
        raise ParameterError(_NO_STATE)
    if splits and splits[-1].parts != num_parts:
        if fingerprint.parameters["last_batch"] == ROLL_OVER:
            problem = f"num_parts={num_parts} must be {splits[-1].parts}, as in the state, with roll_over"
            raise ParameterError(problem, hint=_HINT)
        splits = (*splits, Delivery(num_parts, 0))
    return epoch, splits


def _check_same(state: Mapping[str, Any], fingerprint: Fingerprint) -> None:
    if state.get("digest") == fingerprint.digest():
        return
    if "parameters" not in state:
        raise ParameterError(_NO_STATE)
    theirs, ours = state["parameters"], fingerprint.parameters
    for name in sorted({*theirs, *ours}):
        if theirs.get(name) != ours.get(name):
            problem = f"{name}={ours.get(name)} must be {theirs.get(name)}, as in the state"
            raise ParameterError(problem, hint=_HINT)
    for key, what in (("records", "records"), ("file_sizes", "bytes in its files")):
        if state.get(key) != getattr(fingerprint, key):
            problem = f"{fingerprint.source} has {getattr(fingerprint, key)} {what}, the state is of {state.get(key)}"
            raise InputError(problem, hint=_HINT)
    checksums = state.get("checksums")
    if not isinstance(checksums, Mapping):
        raise ParameterError(_NO_STATE)
    for name, checksum in fingerprint.checksums.items():
        if checksums.get(name) != checksum:
            raise InputError(f"{name} is not the one the state is of", hint=_HINT)
    raise ParameterError(_NO_STATE)

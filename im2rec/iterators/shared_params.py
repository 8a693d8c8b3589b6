"""Parameters that all iterators take, each declared once; and what the order of records needs to know of them.

A class of parameters lists those it takes among its own, in the order of its table::

    num_parts: int = shared("num_parts")
"""

from __future__ import annotations

from typing import Any, Protocol

from im2rec.errors import ParameterError
from im2rec.params import param

PAD, ROLL_OVER, KEEP, DISCARD = "pad", "roll_over", "keep", "discard"
OURS, MXNET = "im2rec", "mxnet"
MOST_PARTS = 1 << 20
MOST_ROWS = (1 << 31) - 1
_ROUND_BATCH = {True: (PAD, ROLL_OVER), False: (KEEP, DISCARD)}


class OrderParams(Protocol):
    """What decides which records a batch holds."""

    @property
    def batch_size(self) -> int:
        """Rows of a batch."""

    @property
    def policy(self) -> str:
        """What happens to the last batch: PAD, ROLL_OVER, KEEP or DISCARD."""

    @property
    def equal_batches(self) -> bool:
        """Whether all parts give as many batches."""

    @property
    def num_parts(self) -> int:
        """In how many parts the data is read."""

    @property
    def part_index(self) -> int:
        """The part to read, from 0."""

    @property
    def shuffle(self) -> bool:
        """Whether every epoch has an order of its own."""

    @property
    def scope(self) -> str:
        """What one order is of: ``all`` of the data, or each ``part`` in itself."""

    @property
    def seed(self) -> int:
        """What the orders follow from."""

    @property
    def shuffle_chunk_seed(self) -> int:
        """What the orders of pieces follow from besides."""


class WholeOrder:
    """What an order asks for besides, of iterators with one order of the whole data."""

    @property
    def scope(self) -> str:
        """One order of the whole data."""
        return "all"

    @property
    def shuffle_chunk_seed(self) -> int:
        """There are no pieces."""
        return 0


_SHARED: dict[str, dict[str, Any]] = {
    "num_parts": {
        "default": 1,
        "doc": "In how many parts the data is read, by as many processes.",
        "low": 1,
        "high": MOST_PARTS,
    },
    "part_index": {"default": 0, "doc": "The part to read, from 0.", "low": 0},
    "data_name": {"default": "data", "doc": "Name in provide_data."},
    "label_name": {"default": "softmax_label", "doc": "Name in provide_label."},
    "batch_size": {"doc": "Rows of a batch.", "low": 1, "high": MOST_ROWS},
    "round_batch": {
        "default": None,
        "doc": "1 means last_batch=pad, 0 means last_batch=keep.",
        "unset": "1",
        "reference": "differs: 1 starts each epoch at its own first record, 0 zeroes the rows left and has a right pad",
    },
    "last_batch": {
        "default": None,
        "doc": "The last rows of the last batch. pad: the epoch's first pictures; roll_over: those of the next epoch,"
        " which starts behind them; keep: zeros; discard: no such batch.",
        "choices": (PAD, ROLL_OVER, KEEP, DISCARD),
        "unset": "by round_batch",
        "reference": "ours; roll_over is round_batch=1 of the reference",
    },
    "equal_batches": {
        "default": True,
        "doc": "Parts that would end a batch earlier give another one, so that all give as many.",
        "reference": "ours",
    },
    "prefetch_buffer": {
        "default": 4,
        "doc": "Batches made ahead of the one asked for.",
        "low": 1,
        "high": 1024,
        "reference": "differs: there always 16",
    },
    "ctx": {"default": None, "doc": "Has no effect here.", "choices": ("cpu", "gpu"), "reference": "no effect"},
}


def shared(name: str, **other: Any) -> Any:
    """The parameter *name*; *other* is declared otherwise where it is taken."""
    return param(**{**_SHARED[name], **other})


def check_part(params: OrderParams) -> None:
    """Raise ParameterError for a part that is not one of them."""
    if params.part_index >= params.num_parts:
        allowed = f"0 to {params.num_parts - 1}" if params.num_parts > 1 else "0"
        raise ParameterError(f"part_index={params.part_index} must be {allowed} with num_parts={params.num_parts}")


def policy_of(last_batch: str | None, round_batch: bool | None, default: str) -> str:
    """What happens to the last batch, as both parameters say, or else *default*. Raises ParameterError."""
    if round_batch is None:
        return last_batch or default
    allowed = _ROUND_BATCH[round_batch]
    if last_batch is not None and last_batch not in allowed:
        problem = f"last_batch={last_batch} must be {' or '.join(allowed)} with round_batch={int(round_batch)}"
        raise ParameterError(problem, hint="leave one of the two out")
    if last_batch is None:
        return default if round_batch and default in allowed else allowed[0]
    return last_batch

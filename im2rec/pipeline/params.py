"""Parameters of ImageRecordIter, in the five groups of MXNet's manual, and those that all iterators share.

Each is declared once, here or in :mod:`im2rec.augment.params`. A class of parameters takes a shared one by name, at the
place where its table is to list it::

    num_parts: int = shared("num_parts")
"""

from __future__ import annotations

import dataclasses
from typing import Any

from im2rec.augment.params import DTYPES, LAYOUTS, NCHW, AugmentationParams, check_augmentation
from im2rec.errors import ParameterError
from im2rec.format.listfile import MAX_LABELS
from im2rec.images.choices import ITERATOR_ENGINES
from im2rec.params import check, param

PAD, ROLL_OVER, KEEP, EVEN, DISCARD = "pad", "roll_over", "keep", "even", "discard"
DROP = "drop"
OURS, MXNET = "im2rec", "mxnet"
MAX_PARTS = 1 << 20
MAX_ROWS = (1 << 31) - 1
_ROUND_BATCH = {True: (PAD, ROLL_OVER), False: (KEEP, EVEN, DISCARD)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrderParams:
    """The parameters that decide which records a batch holds.

    *policy* applies to the last batch: PAD, ROLL_OVER, KEEP, EVEN or DISCARD. *scope* is ``all`` for one random order
    of all the data, or ``part`` for a random order within each part.
    """

    batch_size: int
    policy: str
    equal_batches: bool = True
    num_parts: int = 1
    part_index: int = 0
    shuffle: bool = False
    scope: str = "all"
    seed: int = 0
    shuffle_chunk_size: int = 0
    shuffle_chunk_seed: int = 0

    @classmethod
    def of(cls, params: Any) -> OrderParams:
        """Take each field from *params*, the parameters of an iterator, if they have it; else its default."""
        names = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: getattr(params, name) for name in names if hasattr(params, name)})


_SHARED: dict[str, dict[str, Any]] = {
    "num_parts": {
        "default": 1,
        "doc": "Parts that the data is divided into, one for each process.",
        "low": 1,
        "high": MAX_PARTS,
    },
    "part_index": {"default": 0, "doc": "The part to read, from 0.", "low": 0},
    "data_name": {"default": "data", "doc": "Name in provide_data."},
    "label_name": {"default": "softmax_label", "doc": "Name in provide_label."},
    "batch_size": {"doc": "Rows of a batch.", "low": 1, "high": MAX_ROWS},
    "round_batch": {
        "default": None,
        "doc": "1 means last_batch=pad, 0 means last_batch=keep.",
        "unset": "1",
        "reference": "differs: 1 starts each epoch at its own first record, 0 zeroes the rows left and has a right pad",
    },
    "last_batch": {
        "default": None,
        "doc": "The last rows of the last batch. pad: the epoch's first images; roll_over: those of the next epoch,"
        " which starts after them; keep: zeros; even: zeros, once a part with an image less than others has one of the"
        " epoch's first; discard: no such batch.",
        "choices": (PAD, ROLL_OVER, KEEP, EVEN, DISCARD),
        "unset": "by round_batch",
        "reference": "ours; roll_over is round_batch=1 of the reference",
    },
    "equal_batches": {
        "default": True,
        "doc": "Give shorter parts one more batch, so that all parts have equally many.",
        "reference": "ours",
    },
    "prefetch_buffer": {
        "default": 4,
        "doc": "Batches made in advance.",
        "low": 1,
        "high": 1024,
        "reference": "differs: always 16 there",
    },
    "ctx": {"default": None, "doc": "Has no effect here.", "choices": ("cpu", "gpu"), "reference": "no effect"},
}


def shared(name: str, **changes: Any) -> Any:
    """Declare the shared parameter *name*, with *changes* to its default, bounds or documentation."""
    return param(**{**_SHARED[name], **changes})


def check_part(params: Any) -> None:
    """Raise ParameterError if ``part_index`` is not below ``num_parts``."""
    if params.part_index >= params.num_parts:
        allowed = f"0 to {params.num_parts - 1}" if params.num_parts > 1 else "0"
        raise ParameterError(f"part_index={params.part_index} must be {allowed} with num_parts={params.num_parts}")


def policy_of(last_batch: str | None, round_batch: bool | None, default: str) -> str:
    """Return the policy for the last batch that *last_batch* and *round_batch* give together, or else *default*.

    ``round_batch`` is MXNet's, and has several policies for each of its values; ``last_batch`` names one.
    Raises ParameterError if they contradict each other.
    """
    if round_batch is None:
        return last_batch or default
    allowed = _ROUND_BATCH[round_batch]
    if last_batch is not None and last_batch not in allowed:
        choices = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        problem = f"last_batch={last_batch} must be {choices} with round_batch={int(round_batch)}"
        raise ParameterError(problem, hint="leave one of the two out")
    if last_batch is None:
        return default if round_batch and default in allowed else allowed[0]
    return last_batch


CHANNELS = (1, 3, 4)
IMAGES, ALL = "images", "all"
NO_INDEX = "none"  # as path_imgidx
RAISE, SKIP, WARN = "raise", "skip", "warn"
AUTO, THREADS, PROCESSES = "auto", "threads", "processes"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetParams:
    """The records, the part of them to read, and their labels."""

    path_imgrec: str = param(
        doc="The .rec; several joined by ';', a folder (its *.rec by name), or a pattern.",
        reference="as the reference, but a shell pattern instead of a regular expression",
    )
    path_imgidx: str = param(
        "",
        doc="The index; several joined by ';'. Not given: the one beside each .rec, if any. none: no index, a scan.",
        reference="as the reference; looked for when not given, none is ours; keys do not matter",
    )
    path_imglist: str = param(
        "",
        doc="A .lst whose labels take the place of those in the records, by id.",
        reference="differs: every id and label is checked on opening",
    )
    data_shape: tuple[int, ...] = param(
        doc="Channels (1, 3 or 4), height and width that images are cropped to. Smaller images are enlarged first,"
        " larger ones only scaled by resize."
    )
    label_width: int | None = param(
        None,
        doc="Labels per record; auto: as many as the first image has. Of longer vectors the first ones are used.",
        low=1,
        high=MAX_LABELS,
        unset="auto",
        reference="differs: the default is 1 there, and other widths are errors",
    )
    num_parts: int = shared("num_parts")
    part_index: int = shared("part_index")
    records: str = param(
        IMAGES,
        doc="images: leave out records with labels and no image, as face sets have them; all: take every record.",
        choices=(IMAGES, ALL),
        reference="ours; all is what the reference does",
    )
    doubtful: str = param(
        KEEP,
        doc="Records that end at damage and that nothing proves whole. keep: take them; drop: they count as lost.",
        choices=(KEEP, DROP),
        reference="ours; the reference ends at damage",
    )
    data_name: str = shared("data_name")
    label_name: str = shared("label_name")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchParams:
    """The size, type and layout of batches, and the policy for the last one."""

    batch_size: int = shared("batch_size")
    round_batch: bool | None = shared("round_batch")
    last_batch: str | None = shared("last_batch")
    equal_batches: bool = shared("equal_batches")
    dtype: str | None = param(
        None,
        doc="Type of the data. uint8: mirrored, not normalised; int8: the mean subtracted, rounded and clipped.",
        choices=DTYPES,
        unset="float32",
        reference="as the reference, and float16",
    )
    layout: str = param(NCHW, doc="Order of the axes of the data.", choices=LAYOUTS, reference="ours")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackendParams:
    """Threads, memory and libraries; only ``engine`` and ``rng`` change the contents of a batch."""

    preprocess_threads: int = param(
        4,
        doc="Threads, or processes, that decode.",
        low=1,
        high=1024,
        reference="differs: not lowered to half of the CPUs; changes no image",
    )
    prefetch_buffer: int = shared("prefetch_buffer")
    reuse_buffers: bool = param(
        False,
        doc="Write a batch into an earlier one's arrays: they are valid until the next is requested.",
        reference="ours; the reference always does",
    )
    engine: str = param(
        "auto",
        doc="Library that resizes and warps; reference: MXNet's own arithmetic, slow and exact.",
        choices=ITERATOR_ENGINES,
        reference="ours",
    )
    rng: str = param(
        OURS,
        doc="mxnet: the order, parts and random numbers of an MXNet run with one decode thread.",
        choices=(OURS, MXNET),
        reference="ours",
    )
    backend: str = param(
        AUTO,
        doc="Decode in threads or processes; auto: processes, if there are several and 1000 records and more, but"
        " threads where the compiled decoder does all of it and images are large.",
        choices=(AUTO, THREADS, PROCESSES),
        reference="ours",
    )
    ctx: str | None = shared("ctx")
    device_id: int | None = param(None, doc="Has no effect here.", reference="no effect")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuxiliaryParams:
    """Checking and debugging."""

    verbose: bool = param(
        True, doc="Log what is opened and made, at level INFO.", reference="as the reference, by logging"
    )
    on_error: str = param(
        RAISE,
        doc="A record that gives no image or label. raise: an error; skip: counted, its row filled.",
        choices=(RAISE, SKIP),
        reference="ours; the reference stops for good",
    )
    on_truncated: str = param(
        WARN,
        doc="A JPEG that is cut short. warn: decoded as far as it goes, counted, one warning; raise: as on_error says.",
        choices=(WARN, RAISE),
        reference="ours; the reference says nothing",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageRecordParams(AuxiliaryParams, BackendParams, AugmentationParams, BatchParams, DatasetParams):
    """All parameters of ImageRecordIter."""

    def __post_init__(self) -> None:
        check(self)
        _check_shape(self.data_shape)
        check_part(self)
        _check_last_batch(self)
        check_augmentation(self)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.data_shape
        return channels, height, width

    @property
    def data_dtype(self) -> str:
        """The dtype of the data, by name."""
        return self.dtype or "float32"

    @property
    def draws_seed(self) -> int:
        """The seed of the random numbers that augment images."""
        return self.seed if self.seed_aug is None else self.seed_aug

    @property
    def policy(self) -> str:
        """The policy for the last batch: PAD, ROLL_OVER, KEEP, EVEN or DISCARD."""
        # rng=mxnet replays the reference, whose round_batch=1 rolls over.
        return policy_of(self.last_batch, self.round_batch, ROLL_OVER if self.rng == MXNET else PAD)

    @property
    def scope(self) -> str:
        """The scope of one random order: ``all`` of the data, or each ``part`` on its own."""
        return self.shuffle_scope or "all"


# In the order of MXNet's manual, which is also that of the tables in the documentation.
GROUPS = {
    "Dataset": DatasetParams,
    "Batch": BatchParams,
    "Augmentation": AugmentationParams,
    "Backend": BackendParams,
    "Auxiliary": AuxiliaryParams,
}


def _check_shape(shape: tuple[int, ...]) -> None:
    text = ",".join(map(str, shape))
    if len(shape) != 3 or min(shape) < 1:
        raise ParameterError(f"data_shape={text} must be channels, height and width, each 1 or more")
    if shape[0] not in CHANNELS:
        hint = f"channels come first: {shape[2]},{shape[0]},{shape[1]}" if shape[2] in CHANNELS else ""
        raise ParameterError(f"data_shape={text} must have 1, 3 or 4 channels, not {shape[0]}", hint=hint)


def _check_last_batch(params: ImageRecordParams) -> None:
    if params.policy in (PAD, EVEN) and params.rng == MXNET:
        raise ParameterError(f"last_batch={params.policy} must be roll_over, keep or discard with rng=mxnet")

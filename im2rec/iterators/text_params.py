"""Parameters of CSVIter and LibSVMIter, in the groups and the order of MXNet's manual."""

from __future__ import annotations

import dataclasses
import math

from im2rec.errors import ParameterError
from im2rec.params import changed, check, param
from im2rec.pipeline.params import PAD, check_part, policy_of, shared

FLOAT32 = "float32"
DTYPES = (FLOAT32, "float64", "int32", "int64")
_MAX_ROW_NUMBERS = 2**63 - 1  # the largest int64, the type of array indices
_FILES = "a file, several joined by ';', or a folder (its files by name)"
_LAST_ROWS = (
    "The last rows of the last batch. pad: the epoch's first rows; roll_over: those of the next epoch,"
    " which starts after them; keep: zeros; even: zeros, once a part with a row less than others has one of the epoch's"
    " first; discard: no such batch."
)
_NO_PREFETCH = "Has no effect here: rows are read in blocks, not in batches."


class _TextParams:
    """Properties that the parameters of both iterators share."""

    round_batch: bool | None
    last_batch: str | None
    dtype: str | None

    @property
    def policy(self) -> str:
        """Treatment of an incomplete last batch: PAD, ROLL_OVER, KEEP, EVEN or DISCARD."""
        return policy_of(self.last_batch, self.round_batch, PAD)

    @property
    def data_dtype(self) -> str:
        """Name of the dtype of data and labels."""
        return self.dtype or FLOAT32


@dataclasses.dataclass(frozen=True, kw_only=True)
class CSVParams(_TextParams):
    """All parameters of CSVIter."""

    data_csv: str = param(doc=f"The rows: {_FILES}.", reference="as the reference, and by name")
    data_shape: tuple[int, ...] = param(doc="Shape of a row; any number of dimensions.")
    label_csv: str | None = param(
        None,
        doc=f"The labels, a line for each row: {_FILES}. Not given: zeros.",
        unset="null",
        reference="differs: too many lines are an error as well",
    )
    label_shape: tuple[int, ...] = param((1,), doc="Shape of a label.")
    num_parts: int = shared("num_parts", reference="ours")
    part_index: int = shared("part_index", reference="ours")
    data_name: str = shared("data_name")
    label_name: str = shared("label_name")
    batch_size: int = shared("batch_size")
    round_batch: bool | None = shared("round_batch")
    last_batch: str | None = shared("last_batch", doc=_LAST_ROWS)
    equal_batches: bool = shared("equal_batches")
    dtype: str | None = param(
        None,
        doc="Type of data and labels. int32, int64: decimals are cut off.",
        choices=DTYPES,
        unset=FLOAT32,
        reference="as the reference, and float64; differs: exact, out of range is an error",
    )
    prefetch_buffer: int = shared("prefetch_buffer", doc=_NO_PREFETCH, reference="no effect")
    ctx: str | None = shared("ctx")

    def __post_init__(self) -> None:
        check(self)
        _check_shape("data_shape", self.data_shape)
        _check_shape("label_shape", self.label_shape)
        check_part(self)
        _ = self.policy  # raises if last_batch and round_batch contradict each other


@dataclasses.dataclass(frozen=True, kw_only=True)
class LibSVMParams(_TextParams):
    """All parameters of LibSVMIter."""

    data_libsvm: str = param(doc=f"The rows: {_FILES}.", reference="as the reference, and by name")
    data_shape: tuple[int, ...] = param(doc="Columns of a row, one number: indices are below it.")
    label_libsvm: str | None = param(
        None,
        doc=f"Sparse labels, a line for each row, whose own first number is ignored: {_FILES}."
        " Not given: the first number of each row is its label.",
        unset="null",
        reference="differs: too many lines are an error as well",
    )
    label_shape: tuple[int, ...] = param((1,), doc="Columns of a sparse label, one number above 1.")
    num_parts: int = shared("num_parts", reference="differs: rows are shared out equally, not bytes")
    part_index: int = shared("part_index")
    data_name: str = shared("data_name")
    label_name: str = shared("label_name")
    batch_size: int = shared("batch_size")
    round_batch: bool | None = shared("round_batch", reference="differs: as for the other iterators; 0 fails there")
    last_batch: str | None = shared("last_batch", doc=_LAST_ROWS)
    equal_batches: bool = shared("equal_batches")
    dtype: str | None = param(
        None, doc="Type of data and labels.", choices=(FLOAT32,), unset=FLOAT32, reference="others fail there"
    )
    prefetch_buffer: int = shared("prefetch_buffer", doc=_NO_PREFETCH, reference="no effect")
    ctx: str | None = shared("ctx")

    def __post_init__(self) -> None:
        check(self)
        _check_shape("data_shape", self.data_shape, max_dimensions=1)
        _check_shape("label_shape", self.label_shape, max_dimensions=1)
        if self.label_libsvm is None and self.label_shape != (1,):
            problem = f"label_shape={self.label_shape[0]} must be 1 without label_libsvm"
            raise ParameterError(problem, hint="labels of several columns are in a file of their own")
        if self.label_libsvm is not None and self.label_shape == (1,):
            raise ParameterError("label_shape=1 must be 2 or more with label_libsvm")
        check_part(self)
        _ = self.policy  # as in CSVParams


def ignored_parameters(params: CSVParams | LibSVMParams) -> list[str]:
    """Return a warning for each parameter that was given and has no effect."""
    warnings = [f"{name} has no effect here" for name in changed(params, ("prefetch_buffer", "ctx"))]
    if isinstance(params, CSVParams) and params.label_csv is None and params.label_shape != (1,):
        warnings.append("label_shape has no effect without label_csv")
    return warnings


def _check_shape(name: str, shape: tuple[int, ...], max_dimensions: int | None = None) -> None:
    text = ",".join(map(str, shape))
    if not shape or min(shape) < 1:
        raise ParameterError(f"{name}={text} must be 1 or more numbers, each 1 or more")
    if max_dimensions is not None and len(shape) > max_dimensions:
        raise ParameterError(f"{name}={text} must be one number")
    if math.prod(shape) > _MAX_ROW_NUMBERS:
        raise ParameterError(f"{name}={text} must make fewer than 2^63 numbers")

"""The label vector of a record, as scripts written for MXNet use it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class LabelVector(np.ndarray[Any, np.dtype[np.float32]]):
    """Labels of a record, float32 (k,), of which a single one, ``label[0]``, is a float64: equal, and a Python float.

    ``torch.tensor(label[0], dtype=torch.long)`` raises TypeError for a float32 of numpy. Slices, copies, results of
    arithmetic and pickled copies are plain arrays.
    """

    def __getitem__(self, key: Any) -> Any:
        """Return one label as float64, or several as a plain array."""
        return _plain(super().__getitem__(key))

    def __array_wrap__(self, array: npt.NDArray[Any], context: Any = None, return_scalar: bool = False) -> Any:
        plain = np.asarray(array)
        return plain[()] if plain.ndim == 0 else plain

    def copy(self, order: Any = "C") -> Any:
        """Return a plain copy."""
        return np.array(self, order=order)

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        """Return a plain array of another type."""
        return np.asarray(self).astype(*args, **kwargs)

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """Return a plain array of another shape."""
        return np.asarray(self).reshape(*shape, **kwargs)

    def __copy__(self) -> Any:
        return np.array(self)

    def __deepcopy__(self, memo: Any) -> Any:
        return np.array(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return np.asarray(self).__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return repr(np.asarray(self))


def _plain(value: Any) -> Any:
    if isinstance(value, np.float32):
        return np.float64(value)
    return np.asarray(value) if isinstance(value, LabelVector) else value

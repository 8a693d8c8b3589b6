"""A verification file as a map-style dataset of PyTorch: two images, and whether both show the same person."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from im2rec.errors import ImageError
from im2rec.images.codec import COLOR
from im2rec.storage.files import Closeable, PathLike
from im2rec.torch.forms import FORMS, check_options, own_pixels
from im2rec.verification.bin_file import PairFile

_LOG = logging.getLogger(__name__)
_SIDES = ("first", "second")


class PairDataset(Dataset[Any], Closeable):
    """The pairs of a verification file, such as ``lfw.bin``: ``(image1, image2, same)`` by position, in file order.

    >>> from im2rec.torch import PairDataset
    >>> from torch.utils.data import DataLoader
    >>> ds = PairDataset("pairs.bin", lambda image: (image / 255 - 0.5) / 0.5)
    >>> image1, image2, same = ds[3]
    >>> len(ds), image1.shape, same
    (20, torch.Size([3, 112, 112]), False)
    >>> for images1, images2, same in DataLoader(ds, batch_size=10):
    ...     print(images1.shape, same.sum().item())
    torch.Size([10, 3, 112, 112]) 5
    torch.Size([10, 3, 112, 112]) 5

    *transform* is called with each image. *decode* and *color* say what an image is, as in
    :class:`~im2rec.torch.dataset.RecordDataset`: by default a uint8 tensor (3, height, width), RGB. *same* is a bool;
    in a batch it is a tensor of bools. Images are decoded one at a time when they are asked for, and stay in the file
    until then. The pickle is read without running anything that it names.

    Workers of a DataLoader may be forked or spawned: a pickled dataset opens its file again. An image that cannot be
    decoded raises ImageError with path, pair and side. Opening raises InputError for whatever is no verification file,
    and ParameterError.
    """

    def __init__(
        self,
        path: PathLike,
        transform: Callable[[Any], Any] | None = None,
        *,
        decode: str | None = "tensor",
        color: int = COLOR,
    ) -> None:
        check_options(decode, color)
        self.root = os.fspath(path)
        self.transform = transform
        self.decode, self.color = decode, color
        self._has_warned = False
        self._pairs = PairFile(path)

    @property
    def same(self) -> npt.NDArray[np.bool_]:
        """Whether both images show the same person: bool (n,), of all pairs."""
        return self._pairs.same

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: SupportsIndex) -> tuple[Any, Any, bool]:
        number = self._pairs.number(index)
        return self._image(number, 0), self._image(number, 1), self._pairs.found.same[number]

    def _image(self, number: int, side: int) -> Any:
        content, form = self._pairs.content(2 * number + side), FORMS[self.decode]
        image: Any = content
        if form is not None:
            where = f"pair {number}, {_SIDES[side]} image"
            try:
                pixels, is_cut = own_pixels(content, self.color)
            except ImageError as error:
                raise _located(f"{where}: {error.problem}", self.root, error.reason) from None
            if is_cut and not self._has_warned:
                self._has_warned = True
                _LOG.warning(
                    "%s, %s: ends early: decoded as far as it goes; further ones are not named", self.root, where
                )
            image = form(pixels)
        return image if self.transform is None else self.transform(image)

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._pairs.close()

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"Number of pairs: {len(self)}", f"Root location: {self.root}"]
        lines += [f"Transform: {self.transform!r}"] if self.transform is not None else []
        return "\n    ".join(lines)


def _located(problem: str, path: str, reason: str) -> ImageError:
    error = ImageError(problem, reason=reason)
    error.path = path
    return error

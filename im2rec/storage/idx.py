"""IDX files on a disk: MNIST's pictures and labels, gzipped or not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from im2rec.errors import IdxFormatError
from im2rec.format.mnistfile import Bytes, decompressed
from im2rec.storage.files import InputFile, PathLike, with_path


def read_idx(path: PathLike, parse: Callable[[bytes], Bytes]) -> Bytes:
    """What *parse*, of :mod:`im2rec.format.mnistfile`, makes of the file *path*. Raises InputError, IdxFormatError."""
    with contextlib.closing(InputFile(path)) as file:
        content = file.read_at(0, file.size)
    try:
        return parse(decompressed(content))
    except IdxFormatError as error:
        raise with_path(error, Path(path)) from None

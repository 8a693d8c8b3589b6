"""The image files that a list names: their paths below ROOT, their bytes, and which lie outside ROOT.

This module imports no image library, as the parent process of a dry run uses it too.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from im2rec.errors import MAX_PAYLOAD, ImageError
from im2rec.format.irheader import HEADER_BYTES
from im2rec.packing.report import MISSING, OUTSIDE, TOO_LARGE, UNREADABLE
from im2rec.storage.files import PathLike, check_regular, check_size, file_name, read_file, reason
from im2rec.storage.missing_files import describe_missing

MAX_IMAGE_BYTES = MAX_PAYLOAD - HEADER_BYTES  # of an image file: a record holds no more, so a larger one is not read
ALLOW, REFUSE = "allow", "refuse"


class ImageFolder(NamedTuple):
    """The folder *root* that the paths of a list start from.

    *limit* is empty, or the folder that no image may lie outside of, links followed: the real path of *root*, with a
    separator at its end. With *as_given* a path that names a file as it is, from the working directory, is that file.
    """

    root: str
    limit: str = ""
    as_given: bool = False

    def path(self, name: str) -> str:
        """Return the path of the image *name* of a list. Raises ImageError for one outside of *limit*, and OSError.

        As in im2rec.py, an absolute path stays one, and a path may lead out of the folder by ``..``.
        """
        path = file_name(name)
        if not (self.as_given and os.path.isfile(path)):  # noqa: PTH113 - in a third of Path's time, as below
            path = os.path.join(self.root, path)  # noqa: PTH118
        if self.limit and not os.path.normcase(os.path.realpath(path)).startswith(self.limit):
            raise ImageError("lies outside of ROOT", reason=OUTSIDE)
        return path

    def read(self, name: str) -> bytes:
        """Return the bytes of the image file *name*. Raises ImageError."""
        try:
            return read_file(self.path(name), MAX_IMAGE_BYTES)
        except (OSError, ValueError) as error:
            raise _image_error(name, self.root, error) from None

    def size(self, name: str) -> int:
        """Return the size of the image file *name* in bytes, without opening it. Raises ImageError as :meth:`read`."""
        try:
            status = os.stat(self.path(name))  # noqa: PTH116 - as above
            check_regular(status)
            check_size(status.st_size, MAX_IMAGE_BYTES)
        except (OSError, ValueError) as error:
            raise _image_error(name, self.root, error) from None
        return status.st_size


def image_folder(root: PathLike, outside: str, *, as_given: bool = False) -> ImageFolder:
    """Return the :class:`ImageFolder` of *root*; *outside* is ``allow`` or ``refuse``."""
    limit = os.path.normcase(os.path.join(os.path.realpath(root), "")) if outside == REFUSE else ""  # noqa: PTH118
    return ImageFolder(os.fspath(root), limit, as_given)


def _image_error(name: str, root: str, error: OSError | ValueError) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError(describe_missing(name, root), reason=MISSING)
    if isinstance(error, OSError):
        return ImageError(reason(error), reason=TOO_LARGE if error.errno == errno.EFBIG else UNREADABLE)
    if isinstance(error, UnicodeEncodeError):
        return ImageError(reason(error), reason=UNREADABLE)
    return ImageError("a zero byte in the name" if "\0" in name else str(error), reason=UNREADABLE)

"""Read a pair list and the image files that it names, and refuse it as a whole if one of them cannot be taken."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from im2rec.errors import ImageError, InputError
from im2rec.format.pairlist import ListedImage, PairList, parse_pairs
from im2rec.images.codec import image_info
from im2rec.images.signatures import NOT_AN_IMAGE, not_an_image, sniff
from im2rec.storage.files import PathLike, file_name, read_file, reason, with_path
from im2rec.storage.list_lines import list_lines, opened_list
from im2rec.storage.missing_files import NO_SUCH_FILE, why_missing
from im2rec.verification.doubles import content_digest

MISSING, UNREADABLE = "missing", "unreadable"
_ROOT = "is ROOT the folder that the paths start from?"


class PairedImage(NamedTuple):
    """An image file of a list: its path, its format and size, the size of the file, and a hash of its content.

    *height* and *width* are in pixels, before any EXIF orientation. *name* is the path in the list, with the suffix.
    """

    path: str
    name: str
    kind: str
    height: int
    width: int
    nbytes: int
    digest: bytes


def read_pair_list(path: PathLike, form: str | None = None) -> PairList:
    """Return the pairs of the list *path*; *form* is as for :func:`~im2rec.format.pairlist.parse_pairs`.

    The text is UTF-8, with or without a byte order mark. Raises InputError with path and line.
    """
    try:
        with opened_list(path) as stream:
            lines = (line.decode("utf-8", "surrogateescape") for line in list_lines(path, stream))
            return parse_pairs(lines, form)
    except InputError as error:
        if ".lst" in error.hint:  # as the words for other lists say
            error.hint = "name a list of pairs"
        raise with_path(error, path) from None


def read_images(listed: PairList, path: PathLike, root: PathLike, progress: Callable[[int], None]) -> list[PairedImage]:
    """Return the two images of each pair of *listed*, one after the other, found below *root* and checked.

    Each file is read once, and its content not kept; *path* is that of the list. *progress* is called with the number
    of images of the list so far. Raises InputError if any file is missing, or holds no image that can be read: it names
    the first one with its line, and says how many there are.
    """
    found: dict[str, PairedImage | ImageError] = {}
    images: list[PairedImage] = []
    first: tuple[ListedImage, ImageError] | None = None
    for number, pair in enumerate(listed.pairs, 1):
        for image in (pair.first, pair.second):
            if image.path not in found:
                found[image.path] = _read_image(image.path, listed.suffixes, os.fspath(root))
            each = found[image.path]
            if isinstance(each, PairedImage):
                images.append(each)
            else:
                first = first or (image, each)
        progress(2 * number)
    if first is not None:
        raise _refusal(path, *first, [each for each in found.values() if isinstance(each, ImageError)])
    return images


def _read_image(name: str, suffixes: tuple[str, ...], root: str) -> PairedImage | ImageError:
    """Return the image *name*, with the first of the *suffixes* of which there is a file, or why it is not taken."""
    for suffix in suffixes:
        path = os.path.join(root, file_name(name + suffix))  # noqa: PTH118 - in a third of Path's time
        try:
            return _checked(path, name + suffix, read_file(path))
        except FileNotFoundError:
            continue
        except (OSError, UnicodeEncodeError) as error:
            return ImageError(f"{name}{suffix}: cannot be read: {reason(error)}", reason=UNREADABLE)
        except ImageError as error:
            return ImageError(f"{name}{suffix}: {error}", reason=error.reason)
    name, others = name + suffixes[0], f", nor with {' or '.join(suffixes[1:])}" if suffixes[1:] else ""
    why = why_missing(name, root)
    problem = f"{name}: {NO_SUCH_FILE}{others}" + (f": {why}" if why else "")
    return ImageError(problem, reason=MISSING, hint="" if why else _ROOT)


def _checked(path: str, name: str, content: bytes) -> PairedImage:
    """Return what there is to know of the image *content*. Raises ImageError if it cannot be read."""
    if sniff(content) in (NOT_AN_IMAGE, ""):
        raise not_an_image(content, NOT_AN_IMAGE)
    info = image_info(content)
    return PairedImage(path, name, info.kind, info.height, info.width, len(content), content_digest(content))


def _refusal(path: PathLike, image: ListedImage, error: ImageError, all_: list[ImageError]) -> InputError:
    counts = Counter(each.reason for each in all_)
    in_all = ", ".join(f"{count:,} {why}" for why, count in counts.most_common())
    hint = error.hint if set(counts) == {MISSING} else ""
    problem = error.problem + (f"; in all: {in_all}" if len(all_) > 1 else "")
    return InputError(problem, path=Path(path), line=image.line, hint=hint or "nothing was written")

"""The facts of each image of a verification file: kind, size, digest, and whether it can be decoded.

An image that the pickle uses several times is looked at once.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from im2rec.errors import ImageError
from im2rec.format.pickled_bytes import Stored
from im2rec.images.codec import decode, image_info
from im2rec.images.signatures import sniff
from im2rec.parallel import available_cpus, run_ordered
from im2rec.progress import Progress
from im2rec.storage.files import InputFile
from im2rec.verification.bin_file import PairFile, read_content
from im2rec.verification.doubles import content_digest

_BATCH = 64  # images of one task of a worker: about 20 ms of decoding
_FEW = 1000  # images that are decoded sooner than processes are started


class ImageFacts(NamedTuple):
    """Facts of one image. *height* and *width*, in pixels, are 0 where *reason* says why it is none.

    *reason* is a short constant text, *detail* a sentence, *flaw* a harmless flaw of an image that was decoded; each is
    empty where there is none.
    """

    kind: str
    height: int
    width: int
    nbytes: int
    digest: bytes
    reason: str = ""
    detail: str = ""
    flaw: str = ""


def read_facts(
    pairs: PairFile,
    *,
    decoded: bool,
    workers: int | None = None,
    max_pixels: int | None = None,
    progress: Progress | None = None,
) -> list[ImageFacts]:
    """Return the facts of all images of *pairs*, two for each pair, from their headers, or *decoded*.

    Decoding turns images upright, as readers do, so its sizes may be others; it is done in *workers* processes
    (default: all CPUs). *max_pixels* limits the size of an image, as in :func:`~im2rec.images.codec.decode`. *progress*
    is called with the number of images done and their share. Raises InputError, WorkerDiedError.
    """
    contents = pairs.found.contents
    places = {id(content): place for place, content in enumerate(contents)}  # the last place of each
    distinct = sorted(places.values())
    count = (available_cpus() if workers is None else workers) if decoded else 1
    if workers is None and len(distinct) < _FEW:
        count = 1
    batches = [distinct[at : at + _BATCH] for at in range(0, len(distinct), _BATCH)]
    items = ([contents[place] for place in batch] for batch in batches)
    work = functools.partial(_batch_facts, pairs.path, decoded, max_pixels)
    facts: dict[int, ImageFacts] = {}
    results = run_ordered(work, items, workers=count, processes=count > 1, name=_describe_batch)
    with contextlib.closing(results), contextlib.ExitStack() as stack:
        stack.callback(_opened.cache_clear)  # one worker is this process, where the path may mean another file later
        for batch, found in zip(batches, results, strict=True):
            facts.update(zip(batch, found, strict=True))
            if progress:
                progress(len(facts), len(facts) / len(distinct))
    return [facts[places[id(content)]] for content in contents]


def _describe_batch(contents: Sequence[bytes | Stored]) -> str:
    offsets = [content.offset for content in contents if isinstance(content, Stored)]
    return f"images from byte {offsets[0]} on" if offsets else "images"


@functools.lru_cache(maxsize=1)
def _opened(path: Path) -> InputFile:
    return InputFile(path)


def _batch_facts(
    path: Path, decoded: bool, max_pixels: int | None, contents: Sequence[bytes | Stored]
) -> list[ImageFacts]:
    file = _opened(path)
    return [_facts(read_content(file, content), decoded=decoded, max_pixels=max_pixels) for content in contents]


def _facts(content: bytes, *, decoded: bool, max_pixels: int | None) -> ImageFacts:
    kind, digest, flaw = sniff(content), content_digest(content), ""
    try:
        if decoded:
            pixels, flaw = decode(content, max_pixels=max_pixels)
            height, width = pixels.shape[:2]
        else:
            _, height, width, _ = image_info(content)
    except ImageError as error:
        return ImageFacts(kind, 0, 0, len(content), digest, error.reason, str(error))
    return ImageFacts(kind, height, width, len(content), digest, flaw=flaw)

"""The face of the decoder: an image's content in, pixels in an array out.

    kernel, reason = load()  # im2rec.jpeg.loading
    head = kernel.head(content)  # its size, before a crop is chosen
    problem = kernel.decode_into(content, (top, left, height, width), batch[row], mirror=True)

The same pixels as ``simplejpeg.decode_jpeg(content, "RGB")``, cropped, scaled and mirrored, or a word for why not: then
it is for the caller to have libjpeg decode the image, or refuse it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.images.jpeg import TOO_LARGE, is_upright
from im2rec.jpeg.markers import MAX_SIDE, Component, HuffmanSpec, JpegHeader, read_header
from im2rec.jpeg.scaling import (
    EIGHT_TAPS,
    METHODS,
    TAPS,
    UNSCALED,
    Resize,
    kind_of,
    methods_that_agree,
    scratch_numbers,
    write_lanczos_weights,
)
from im2rec.jpeg.verdict import SOUND, verdict

Array = npt.NDArray[Any]
Crop = tuple[int, int, int, int]  # top, left, height, width

# ITU-T T.81, figure A.6: where in its block, row by row, the n-th coefficient of a scan belongs.
ZIGZAG = (
    *(0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21),
    *(28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61),
    *(54, 47, 55, 62, 63),
)
# Of the statuses of entropy.py, in their order.
REASONS = (
    *("", "no end marker", "marker within the data", "bad code", "block too long", "cut short", "stray bytes"),
    *("coefficients too large", "coefficients too large"),
)
_TABLE_SETS_KEPT = 32  # of 200 kB at the most
_HEADS_KEPT = 512
_MAX_KEPT_BYTES = 32 << 20  # bytes of memory that a thread keeps for the next image
_THREAD_MEMORY = threading.local()
_NO_LEVELS, _NO_VALUES = np.empty(0, np.uint8), np.empty(0, np.float32)
_NO_JPEG, _TOO_LARGE, _TURNED = JpegHeader("no JPEG"), JpegHeader(TOO_LARGE), JpegHeader("turned by EXIF")
_NO_MEAN, _NO_FACTOR = np.zeros(3, np.float32), np.ones(3, np.float32)
_NO_SCRATCH = tuple(np.empty(0, dtype) for dtype in (np.int16, np.int32, np.float32))
_NOT_SCALED: tuple[int, ...] = (UNSCALED, 0, 0, 0, 0, 0, 0)
_SCRATCH_STEP = 1 << 12  # numbers that memory for scaling grows by


class Sizes(NamedTuple):
    """Sizes that the compiled code was made with."""

    table: int  # numbers of a Huffman table
    lanes: int  # blocks of a group
    reach: int  # coefficients that a damaged block can get to
    spare: int  # bytes behind the data
    image: int  # numbers that describe an image
    state: int  # numbers of the bit reader


class Compiled(NamedTuple):
    """The compiled functions: a crop of an image, the look-ups of a Huffman table, a resize; and their sizes."""

    decode: Callable[..., int]
    fill_table: Callable[..., None]
    resize: Callable[..., None]
    sizes: Sizes


class Kernel:
    """The compiled decoder. Threads may share it; each has memory of its own."""

    def __init__(self, compiled: Compiled, name: str) -> None:
        self.name = name
        self._decode, self._fill, self._resize, self._sizes = compiled
        self._prepared = functools.lru_cache(maxsize=_HEADS_KEPT)(self._prepare)
        self._table_set = functools.lru_cache(maxsize=_TABLE_SETS_KEPT)(self._fill_tables)

    @staticmethod
    def head(content: bytes) -> JpegHeader:
        """Size and kind of an image; its *reason* is empty where the kernel will try it."""
        return read_header(content)[0]

    @staticmethod
    def whole_head(content: bytes, max_pixels: int) -> JpegHeader:
        """The same of any file; only a JPEG that is decoded as it is stored, of *max_pixels* or fewer, is tried."""
        if not content.startswith(b"\xff\xd8"):
            return _NO_JPEG
        head, _ = read_header(content)
        if head.reason:
            return head
        if head.height * head.width > max_pixels:
            return _TOO_LARGE
        return head if is_upright(content) else _TURNED

    def decode(self, content: bytes) -> Array | str:
        """The whole image, uint8 (height, width, 3), a new array; or the reason why not."""
        head, _ = read_header(content)
        if head.reason:
            return head.reason
        out = np.empty((head.height, head.width, 3), np.uint8)
        return self.decode_into(content, (0, 0, head.height, head.width), out, planes=False) or out

    def verdict(self, content: bytes) -> str | None:
        """What is wrong with a JPEG, nothing, or None where there is no telling; see :mod:`im2rec.jpeg.verdict`."""
        return verdict(content) if isinstance(self.decode(content), str) else SOUND

    def decode_into(
        self,
        content: bytes,
        crop: Crop,
        out: Array,
        *,
        inter_method: int | None = None,
        mirror: bool = False,
        planes: bool = True,
        mean: Array = _NO_MEAN,
        factor: Array = _NO_FACTOR,
    ) -> str:
        """Write *crop*, from left to right or mirrored, to *out*; return nothing, or the reason why it is not written.

        *out* is contiguous, uint8 or float32, (3, height, width) or where not *planes* (height, width, 3); after a
        failure it holds anything. With an *inter_method*, 0 to 4, the crop is scaled to the height and width of *out*
        by that interpolation, bit for bit as ``engine=reference`` does, and then mirrored. Where *out* is float32 the
        values are ``(level - mean) * factor``, in 32 bits, each step rounded; *mean* and *factor* are float32, one a
        channel, contiguous.
        Raises ValueError when the crop is not in the image, or *out* does not fit.
        """
        head, start = read_header(content)
        if head.reason:
            return head.reason
        top, left, height, width = crop
        if not (0 <= top < top + height <= head.height and 0 <= left < left + width <= head.width):
            raise ValueError(f"a crop of {crop} is not within {head.height} x {head.width}")
        size = out.shape[1:] if planes else out.shape[:2]
        fits = out.ndim == 3 and out.shape[0 if planes else 2] == 3
        if not fits or (inter_method is None and size != (height, width)) or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.shape}, which does not fit a crop of {height} x {width}, or not contiguous")
        scale, scratch = _NOT_SCALED, _NO_SCRATCH
        if inter_method is not None and size != (height, width):
            scale, scratch = self._scaling(inter_method, (height, width), size, mirror=mirror)
        if mean.shape != (3,) or factor.shape != (3,):
            raise ValueError("mean and factor are one a channel")
        image, tables, quanta = self._prepared(head)
        flat = out.reshape(-1)
        is_value = out.dtype == np.float32
        levels, values = (_NO_LEVELS, flat) if is_value else (flat, _NO_VALUES)
        status = self._decode(
            np.frombuffer(content, np.uint8),
            start,
            image,
            tables,
            quanta,
            (top, left, height, width, int(mirror), 2 * is_value + (not planes)),
            scale,
            *self._memory(len(content), max(width, size[1])),
            *scratch,
            levels,
            values,
            mean,
            factor,
        )
        return REASONS[status]

    def resize(self, image: Array, width: int, height: int, inter_method: int) -> Array:
        """*image*, uint8 (h, w, 3), scaled to *width* x *height* pixels by interpolation 0 to 4; a new array.

        Bit for bit as ``engine=reference`` does.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"an image of {image.dtype} {image.shape} is not uint8 (height, width, 3)")
        old = image.shape[:2]
        if old == (height, width):
            return image.copy()
        scale, scratch = self._scaling(inter_method, old, (height, width), mirror=False)
        out = np.empty((height, width, 3), np.uint8)
        rows = np.empty(6 * max(width, old[1]), np.uint8)
        flat = np.ascontiguousarray(image).reshape(-1)
        self._resize(flat, scale, rows, *scratch, out.reshape(-1), _NO_VALUES, _NO_MEAN, _NO_FACTOR)
        return out

    def scales_like(self, resize: Resize) -> frozenset[int]:
        """The interpolations by which *resize* (image, width, height, method) gives the very pixels of :meth:`resize`.

        They are compared on a few images, which are always the same.
        """
        return methods_that_agree(self.resize, resize)

    @staticmethod
    def _scaling(
        inter_method: int, old: tuple[int, int], new: tuple[int, int], *, mirror: bool
    ) -> tuple[tuple[int, ...], tuple[Array, ...]]:
        """How to scale from *old* to *new* (height, width), which differ; and memory to do it in, for this thread."""
        if inter_method not in METHODS or min(*old, *new) < 1:
            raise ValueError(f"from {old} to {new} by {inter_method}: sizes are above 0, interpolations 0 to 4")
        kind = kind_of(inter_method, old, new)
        need = scratch_numbers(old[1], new)
        scratch: tuple[Array, ...] = getattr(_THREAD_MEMORY, "scratch", _NO_SCRATCH)
        if need > len(scratch[1]):
            numbers = np.empty(-(-need // _SCRATCH_STEP) * _SCRATCH_STEP, np.int32)
            scratch = numbers.view(np.int16), numbers, numbers.view(np.float32)
            if numbers.nbytes <= _MAX_KEPT_BYTES:
                _THREAD_MEMORY.scratch = scratch
        if kind == EIGHT_TAPS:
            write_lanczos_weights(scratch[1], old, new, mirror=mirror)
        return (kind, TAPS[kind], *old, *new, int(mirror)), scratch

    def _prepare(self, head: JpegHeader) -> tuple[Array, Array, Array]:
        """The numbers and tables of *head*, as the compiled code wants them; shared by all threads, never changed."""
        specs = list(dict.fromkeys(spec for component in head.components for spec in _specs(component)))
        places = [self._sizes.table * specs.index(spec) for part in head.components for spec in _specs(part)]
        numbers = (head.height, head.width, head.luma_v, head.luma_h, len(head.components), *places)
        image = np.zeros(self._sizes.image, np.int64)
        image[: len(numbers)] = numbers
        reach = self._sizes.reach
        quanta = np.zeros((3, reach), np.int32)
        for number, component in enumerate(head.components):
            quanta[number, :64] = component.quanta
        # The places of a damaged block's coefficients past the last are those of the last.
        order = np.array(ZIGZAG + ZIGZAG[-1:] * (reach - 64), np.int32) * self._sizes.lanes
        return image, self._table_set(tuple(specs)), (quanta << 16 | order).reshape(-1)

    def _fill_tables(self, specs: tuple[tuple[HuffmanSpec, bool], ...]) -> Array:
        """The look-ups of Huffman tables, one behind the other."""
        tables = np.empty((len(specs), self._sizes.table), np.int32)
        for table, ((counts, symbols), is_dc) in zip(tables, specs, strict=True):
            self._fill(np.frombuffer(counts, np.uint8), np.frombuffer(symbols, np.uint8), is_dc, table)
        return tables.reshape(-1)

    def _memory(self, nbytes: int, width: int) -> tuple[Array, ...]:
        """What the decoder needs in scratch, for this thread: for files of *nbytes* and crops of *width* or less."""
        held: tuple[int, int, tuple[Array, ...]] = getattr(_THREAD_MEMORY, "memory", (0, 0, ()))
        if nbytes <= held[0] and width <= held[1]:
            return held[2]
        nbytes, width = max(nbytes, held[0], 1 << 16), max(width, held[1], 256)
        memory = self._allocate(nbytes, width)
        if sum(part.nbytes for part in memory) <= _MAX_KEPT_BYTES:
            _THREAD_MEMORY.memory = nbytes, width, memory
        return memory

    def _allocate(self, nbytes: int, width: int) -> tuple[Array, ...]:
        sizes = self._sizes
        # MCUs of the narrowest kind; one begun on each side, and one for the margin of the chroma.
        mcus = min(width, MAX_SIDE) // 8 + 3
        blocks = -(-max(3 * mcus, 6 * (mcus // 2 + 2)) // sizes.lanes) * sizes.lanes
        strips = np.empty(2 * 64 * blocks, np.uint8)
        rows = np.empty(8 * (width // 2 * 2 + 8), np.uint8)
        return (
            np.empty((6, 5), np.int64),  # the blocks of an MCU
            np.empty(sizes.state, np.uint64),
            np.empty(nbytes + sizes.spare, np.uint8),  # the data without stuffing
            np.empty(64 * blocks, np.int16),  # coefficients
            np.empty(64 * sizes.lanes, np.int32),  # scratch the two passes
            strips,
            strips.view(np.uint32),
            np.empty(width // 2 + 8, np.uint16),  # chroma, blended
            rows,
            rows.view(np.uint16),
        )


def _specs(component: Component) -> tuple[tuple[HuffmanSpec, bool], ...]:
    return (component.dc, True), (component.ac, False)

"""The interface of the compiled JPEG decoder ("the kernel"): encoded bytes in, pixels in an array out.

    kernel, reason = load()  # im2rec.jpeg.loading
    header = kernel.header(content)  # the size, to choose a crop
    problem = kernel.decode_into(content, (top, left, height, width), batch[row], mirror=True)

The pixels are exactly those of ``simplejpeg.decode_jpeg(content, "RGB")``, cropped, scaled and mirrored. If the decoder
does not support the image, or finds it damaged, the reason is returned instead; the caller then decodes with libjpeg.
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

# ITU-T T.81, figure A.6: the index in its block, row by row, of the n-th coefficient in zigzag order.
ZIGZAG = (
    *(0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21),
    *(28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61),
    *(54, 47, 55, 62, 63),
)
# By the statuses of entropy.py.
REASONS = (
    *("", "no end marker", "marker within the data", "bad code", "block too long", "cut short", "stray bytes"),
    *("coefficients too large", "coefficients too large"),
)
_MAX_CACHED_TABLE_SETS = 32  # each of at most 200 kB: six tables
_MAX_CACHED_HEADERS = 512
_MAX_KEPT_BYTES = 32 << 20  # of working memory that a thread keeps for its next image; more is freed
_THREAD_MEMORY = threading.local()
_NO_LEVELS, _NO_VALUES = np.empty(0, np.uint8), np.empty(0, np.float32)
_NO_JPEG, _TOO_LARGE, _ROTATED = JpegHeader("no JPEG"), JpegHeader(TOO_LARGE), JpegHeader("turned by EXIF")
_NO_MEAN, _NO_FACTOR = np.zeros(3, np.float32), np.ones(3, np.float32)
_NO_SCRATCH = tuple(np.empty(0, dtype) for dtype in (np.int16, np.int32, np.float32))
_NOT_SCALED: tuple[int, ...] = (UNSCALED, 0, 0, 0, 0, 0, 0)
_SCRATCH_STEP = 1 << 12  # numbers; the size of memory for scaling is rounded up, as each image needs a bit more or less


class Sizes(NamedTuple):
    """Sizes of arrays that the compiled code expects."""

    table: int  # numbers of a Huffman table
    lanes: int  # blocks of a group
    reach: int  # quanta of a component: 64, and those past the end that a damaged block reads
    spare: int  # bytes after the data
    image: int  # numbers that describe an image
    state: int  # numbers of the bit reader


class Compiled(NamedTuple):
    """The compiled functions of entry.py, and the sizes of the arrays that they take."""

    decode: Callable[..., int]
    fill_table: Callable[..., None]
    resize: Callable[..., None]
    sizes: Sizes


class Kernel:
    """The compiled JPEG decoder, whose *name* is the compiler and its version; see the module for its use.

    Threads may share one: each has its own working memory, and the decoder runs without the GIL.
    """

    def __init__(self, compiled: Compiled, name: str) -> None:
        self.name = name
        self._decode, self._fill, self._resize, self._sizes = compiled
        self._cached_arrays = functools.lru_cache(maxsize=_MAX_CACHED_HEADERS)(self._make_arrays)
        self._cached_tables = functools.lru_cache(maxsize=_MAX_CACHED_TABLE_SETS)(self._fill_tables)

    @staticmethod
    def header(content: bytes) -> JpegHeader:
        """The header of a JPEG; its *reason* is empty if the decoder supports the image, which may still be damaged."""
        return read_header(content)[0]

    @staticmethod
    def checked_header(content: bytes, max_pixels: int) -> JpegHeader:
        """The header of any file; it has a *reason* also if the file is no JPEG, is rotated by EXIF, or too large.

        Too large is an image of more than *max_pixels*.
        """
        if not content.startswith(b"\xff\xd8"):
            return _NO_JPEG
        header, _ = read_header(content)
        if header.reason:
            return header
        if header.height * header.width > max_pixels:
            return _TOO_LARGE
        return header if is_upright(content) else _ROTATED

    def decode(self, content: bytes) -> Array | str:
        """The whole image, uint8 (height, width, 3), RGB, a new array; or the reason why it is not decoded."""
        header, _ = read_header(content)
        if header.reason:
            return header.reason
        out = np.empty((header.height, header.width, 3), np.uint8)
        return self.decode_into(content, (0, 0, header.height, header.width), out, planes=False) or out

    def verdict(self, content: bytes) -> str | None:
        """The damage of a JPEG, empty if it is sound, None if unknown; see :func:`im2rec.jpeg.verdict.verdict`."""
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
        """Decode *crop* into *out*, mirrored left to right if *mirror*; return an empty string, or why it failed.

        *out* is RGB, contiguous, uint8 or float32, of shape (3, height, width), or (height, width, 3) if not *planes*;
        after a failure its content is undefined. With an *inter_method*, 0 to 4, the crop is scaled to the height and
        width of *out* by that interpolation, bit for bit as ``engine=reference`` does, and then mirrored. If *out* is
        float32, the values are ``(level - mean) * factor``, each operation rounded to float32; *mean* and *factor* are
        contiguous float32 arrays of three, one for each channel.
        Raises ValueError if the crop is not within the image, or *out* does not fit it.
        """
        header, start = read_header(content)
        if header.reason:
            return header.reason
        top, left, height, width = crop
        if not (0 <= top < top + height <= header.height and 0 <= left < left + width <= header.width):
            raise ValueError(f"a crop of {crop} is not within {header.height} x {header.width}")
        size = out.shape[1:] if planes else out.shape[:2]
        fits = out.ndim == 3 and out.shape[0 if planes else 2] == 3
        if not fits or (inter_method is None and size != (height, width)) or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.shape}, which does not fit a crop of {height} x {width}, or not contiguous")
        scale, scratch = _NOT_SCALED, _NO_SCRATCH
        if inter_method is not None and size != (height, width):
            scale, scratch = self._scaling(inter_method, (height, width), size, mirror=mirror)
        if mean.shape != (3,) or factor.shape != (3,):
            raise ValueError("mean and factor are one a channel")
        image, tables, quanta = self._cached_arrays(header)
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
        """Scale *image*, uint8 (h, w, 3), to *width* x *height* pixels by interpolation 0 to 4; returns a new array.

        The result equals that of ``engine=reference`` bit for bit.
        Raises ValueError if the image, the sizes or the interpolation are not of these kinds.
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
        """The interpolations by which *resize* (image, width, height, method) gives the same pixels as :meth:`resize`.

        They are found by scaling a few images both ways, always the same ones; see ``trial_images`` of scaling.py.
        """
        return methods_that_agree(self.resize, resize)

    @staticmethod
    def _scaling(
        inter_method: int, old: tuple[int, int], new: tuple[int, int], *, mirror: bool
    ) -> tuple[tuple[int, ...], tuple[Array, ...]]:
        """The *scale* of scale.py from *old* to *new*, (height, width) that differ, and this thread's memory for it."""
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

    def _make_arrays(self, header: JpegHeader) -> tuple[Array, Array, Array]:
        """The arrays *image*, *tables* and *quanta* of ``decode_crop``; shared by all threads, never changed."""
        specs = list(dict.fromkeys(spec for component in header.components for spec in _specs(component)))
        places = [self._sizes.table * specs.index(spec) for part in header.components for spec in _specs(part)]
        numbers = (header.height, header.width, header.luma_v, header.luma_h, len(header.components), *places)
        image = np.zeros(self._sizes.image, np.int64)
        image[: len(numbers)] = numbers
        reach = self._sizes.reach
        quanta = np.zeros((3, reach), np.int32)
        for number, component in enumerate(header.components):
            quanta[number, :64] = component.quanta
        # Coefficients of a damaged block past the last one are written over the last one.
        order = np.array(ZIGZAG + ZIGZAG[-1:] * (reach - 64), np.int32) * self._sizes.lanes
        return image, self._cached_tables(tuple(specs)), (quanta << 16 | order).reshape(-1)

    def _fill_tables(self, specs: tuple[tuple[HuffmanSpec, bool], ...]) -> Array:
        """The look-up tables of Huffman tables, one after another, each once even if components share it."""
        tables = np.empty((len(specs), self._sizes.table), np.int32)
        for table, ((counts, symbols), is_dc) in zip(tables, specs, strict=True):
            self._fill(np.frombuffer(counts, np.uint8), np.frombuffer(symbols, np.uint8), is_dc, table)
        return tables.reshape(-1)

    def _memory(self, nbytes: int, width: int) -> tuple[Array, ...]:
        """The thread's working memory for files of at most *nbytes* and crops of at most *width* pixels.

        It only grows, so that images of different sizes do not replace it in turn.
        """
        kept: tuple[int, int, tuple[Array, ...]] = getattr(_THREAD_MEMORY, "memory", (0, 0, ()))
        if nbytes <= kept[0] and width <= kept[1]:
            return kept[2]
        nbytes, width = max(nbytes, kept[0], 1 << 16), max(width, kept[1], 256)
        memory = self._allocate(nbytes, width)
        if sum(part.nbytes for part in memory) <= _MAX_KEPT_BYTES:
            _THREAD_MEMORY.memory = nbytes, width, memory
        return memory

    def _allocate(self, nbytes: int, width: int) -> tuple[Array, ...]:
        """Allocate the working memory of ``decode_crop``, from *plan* to *pairs*."""
        sizes = self._sizes
        # MCUs of 8 pixels: one more than fit the crop for each side that it cuts, and one for the margin of the chroma.
        # A strip has 3 blocks for each (4:4:4), or 6 for each MCU of 16 pixels (4:2:0), rounded up to whole groups.
        mcus = min(width, MAX_SIDE) // 8 + 3
        blocks = -(-max(3 * mcus, 6 * (mcus // 2 + 2)) // sizes.lanes) * sizes.lanes
        strips = np.empty(2 * 64 * blocks, np.uint8)  # two, of eight lines
        rows = np.empty(8 * (width // 2 * 2 + 8), np.uint8)  # eight lines, of an even length to view them as pairs
        return (
            np.empty((6, 5), np.int64),  # plan: at most six blocks in an MCU
            np.empty(sizes.state, np.uint64),
            np.empty(nbytes + sizes.spare, np.uint8),  # data without stuffing
            np.empty(64 * blocks, np.int16),  # coefficients
            np.empty(64 * sizes.lanes, np.int32),  # work: between the two passes of the IDCT
            strips,
            strips.view(np.uint32),
            np.empty(width // 2 + 8, np.uint16),  # sums of chroma rows
            rows,
            rows.view(np.uint16),
        )


def _specs(component: Component) -> tuple[tuple[HuffmanSpec, bool], ...]:
    """The DC and the AC table of a component, each with whether it is for DC."""
    return (component.dc, True), (component.ac, False)

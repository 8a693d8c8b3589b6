"""Contact sheets: small images in rows, with lines of text below each, a title, and perhaps a heading above a row."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw

from im2rec.images.codec import Image as Pixels
from im2rec.images.fonts import draw_text, text_length
from im2rec.images.wrapping import MAX_NAME, clipped, wrap, wrap_paragraphs

COLUMNS = 10  # of a row of images that belong together
CELL = 128  # pixels per side of the square for the image
MARGIN = 8  # pixels between cells and around the sheet
FEWEST_COLUMNS, MOST_COLUMNS = 4, 16
_SHAPE = 1.5  # width by height that is preferred of a sheet
_LEAST_WIDTH = 4 * (CELL + MARGIN) + MARGIN  # so that a title has few lines
_TITLE_SIZE, _TEXT_SIZE = 16, 12  # pixels
_TITLE_STEP, _TEXT_STEP = 21, 15  # pixels from line to line
_HEADING_SIZE, _HEADING_STEP = 13, 17  # pixels of the line above a row
_APART = 8  # more pixels above a heading than between other rows
_MOST_LINES = 4  # below an image that has fewer texts
_PAPER, _GROUND, _BAD_GROUND = "#ffffff", "#f3f3f3", "#fdf1f1"
_TEXT, _GREY, _FRAME, _ERROR = "#202020", "#6a6a6a", "#d8d8d8", "#c02020"
_MAX_LABELS = 3  # shown of a label vector


class Tile(NamedTuple):
    """One cell of a sheet: a fitted image, or None and the *reason*, and the *lines* of text below it.

    A line that is wider than the cell goes on in further ones while there is room for them.
    """

    image: Image.Image | None
    reason: str
    lines: Sequence[str]


Row = tuple[str, Sequence[Tile]]
"""A heading, which may be empty, and the tiles below it."""


def record_lines(id_: object, labels: Sequence[float], name: str | None = None) -> list[str]:
    """Return the texts below the image of a record: its id and its *labels*, and the *name* of its class, if any."""
    text = labelled(labels)
    return [f"id {id_}, {text}", name] if name else [f"id {id_}", text]


def labelled(labels: Sequence[float], name: str | None = None) -> str:
    """Return :func:`labels_text` with the word ``label``, or ``labels``, before it."""
    return f"{'label' if len(labels) == 1 else 'labels'} {labels_text(labels, name)}"


def labels_text(labels: Sequence[float], name: str | None = None) -> str:
    """Return the first three *labels* as text, with the number of the others, and the *name* of a class."""
    if name:
        return f"{number_text(labels[0])} {clipped(name, MAX_NAME)}"
    others = f" +{len(labels) - _MAX_LABELS}\N{NO-BREAK SPACE}more" if len(labels) > _MAX_LABELS else ""
    return " ".join(map(number_text, labels[:_MAX_LABELS])) + others


def number_text(number: float) -> str:
    """Return *number* in six digits, or in full if it is a whole number: a label above a million is not ``1e+06``."""
    number = float(number)  # NumPy warns of infinities below
    return f"{number:.0f}" if number == number // 1 else f"{number:g}"


def fitted(pixels: Pixels, cell: int = CELL) -> Image.Image:
    """Scale *pixels*, uint8 (height, width, 3), to the size at which a cell of *cell* pixels shows them.

    A large image is reduced until its longer edge fills the cell. A small one is enlarged by a whole factor, so that
    each of its pixels is a square.
    """
    image = Image.fromarray(pixels)
    scale = cell / max(image.size)
    size = tuple(max(1, round(edge * (scale if scale < 1 else math.floor(scale)))) for edge in image.size)
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return image.resize((size[0], size[1]), method)


def columns_for(count: int) -> int:
    """Return the number of columns of a sheet of *count* images.

    Of 4 to 16 columns it is the one that leaves the fewest cells of the last row empty, and of several such the one
    whose sheet is nearest to three wide by two high.
    """

    def cost(columns: int) -> tuple[int, float]:
        rows = math.ceil(count / columns)
        return rows * columns - count, abs(math.log(columns / rows / _SHAPE))

    return min(range(FEWEST_COLUMNS, MOST_COLUMNS + 1), key=cost) if count > FEWEST_COLUMNS else max(1, count)


def draw_sheet(
    tiles: Sequence[Tile], title: str | Sequence[str], *, columns: int | None = None, cell: int = CELL
) -> bytes:
    """Draw *tiles* row by row in *columns*, by default those of :func:`columns_for`; return a PNG file.

    *title* is above them, its first line in larger letters and the others in grey; they go on in further lines where
    the sheet is narrow. *cell* is the size of the square for an image in pixels, as given to :func:`fitted`.
    """
    return draw_rows([("", tiles)], title, columns=columns or columns_for(len(tiles)), cell=cell)


def draw_rows(
    rows: Sequence[Row], title: str | Sequence[str], *, columns: int | None = None, cell: int = CELL, together: int = 1
) -> bytes:
    """Return a PNG file of *rows* of tiles, which may differ in length, with their headings, below *title*.

    A row of more tiles than *columns* goes on in the next line of cells. Of so many cells as *together* says, which
    divides *columns*, the gaps are narrow. *title* and *cell* are as in :func:`draw_sheet`.
    """
    columns = min(columns or MOST_COLUMNS, max((len(tiles) for _, tiles in rows), default=1)) or 1
    width = max(_LEAST_WIDTH, MARGIN + columns * (cell + MARGIN))
    texts = list(_title_lines(title, width - 2 * MARGIN))
    lines = [
        _Line(width, cell, together, heading if start == 0 else "", tiles[start : start + columns])
        for heading, tiles in rows
        for start in range(0, max(len(tiles), 1 if heading else 0), columns)
    ]
    upper = MARGIN + sum(step for _, _, step, _ in texts) + MARGIN
    sheet = Image.new("RGB", (width, upper + sum(line.height for line in lines)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    upper = MARGIN
    for text, size, step, color in texts:
        draw_text(draw, (MARGIN, upper), text, size, color)
        upper += step
    upper += MARGIN
    for line in lines:
        line.draw(sheet, draw, upper)
        upper += line.height
    return png_bytes(sheet)


def _title_lines(title: str | Sequence[str], width: int) -> Iterator[tuple[str, int, int, str]]:
    """Yield each line of *title* with the size of its letters, the pixels to the next line, and its color."""
    first, *others = [title] if isinstance(title, str) else title or [""]
    for text in wrap(first, width, functools.partial(text_length, size=_TITLE_SIZE)):
        yield text, _TITLE_SIZE, _TITLE_STEP, _TEXT
    for other in others:
        for text in wrap(other, width, functools.partial(text_length, size=_TEXT_SIZE)):
            yield text, _TEXT_SIZE, _TEXT_STEP + 1, _GREY


class _Line:
    """One line of cells of a sheet with the texts below them, and the heading above them."""

    def __init__(self, width: int, cell: int, together: int, heading: str, tiles: Sequence[Tile]) -> None:
        self._cell, self._together, self._tiles = cell, together, tiles
        length = functools.partial(text_length, size=_TEXT_SIZE)
        heading_length = functools.partial(text_length, size=_HEADING_SIZE)
        self._heading = wrap(heading, width - 2 * MARGIN, heading_length) if heading else []
        self._texts = [
            wrap_paragraphs(tile.lines, cell, max(_MOST_LINES, len(tile.lines)), length) for tile in tiles
        ]  # fmt: skip
        most = max((sum(map(len, texts)) for texts in self._texts), default=0)
        self._above = len(self._heading) * _HEADING_STEP + (_APART + 3 if heading else 0)
        self.height = self._above + (cell + 3 + most * _TEXT_STEP if tiles else 0) + MARGIN

    def draw(self, sheet: Image.Image, draw: ImageDraw.ImageDraw, upper: int) -> None:
        """Draw it on *sheet* from the row *upper* on."""
        for number, text in enumerate(self._heading):
            draw_text(draw, (MARGIN, upper + _APART + number * _HEADING_STEP), text, _HEADING_SIZE, _TEXT)
        upper += self._above
        for column, (tile, texts) in enumerate(zip(self._tiles, self._texts, strict=True)):
            left = MARGIN + column * (self._cell + MARGIN) - column % self._together * (MARGIN - 1)
            _draw_image(sheet, draw, tile, left, upper, self._cell)
            place = upper + self._cell + 3
            for number, lines in enumerate(texts):
                for text in lines:
                    color = _GREY if number == 0 and len(texts) > 1 else _TEXT
                    _draw_centred(draw, text, left, place, self._cell, color)
                    place += _TEXT_STEP


def _draw_image(sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, left: int, upper: int, cell: int) -> None:
    ground, frame = (_BAD_GROUND, _ERROR) if tile.image is None else (_GROUND, _FRAME)
    draw.rectangle((left - 1, upper - 1, left + cell, upper + cell), ground, frame)
    if tile.image is not None:
        sheet.paste(tile.image, (left + (cell - tile.image.width) // 2, upper + (cell - tile.image.height) // 2))
        return
    length = functools.partial(text_length, size=_TEXT_SIZE)
    (lines,) = wrap_paragraphs([tile.reason], cell - 2 * MARGIN, (cell - 2 * MARGIN) // _TEXT_STEP, length)
    first = upper + (cell - len(lines) * _TEXT_STEP) // 2
    for number, text in enumerate(lines):
        _draw_centred(draw, text, left, first + number * _TEXT_STEP, cell, _ERROR)


def _draw_centred(draw: ImageDraw.ImageDraw, text: str, left: int, upper: int, cell: int, color: str) -> None:
    """Draw *text*, which fits, in the middle of a cell's width."""
    draw_text(draw, (left + round((cell - text_length(text, _TEXT_SIZE)) / 2), upper), text, _TEXT_SIZE, color)


def png_bytes(image: Image.Image) -> bytes:
    """Encode *image* as a PNG file."""
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()

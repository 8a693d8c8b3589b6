"""The images of a report: reduced, in the page itself, with their captions as text."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from PIL import Image

from im2rec.errors import CorruptRecordError, ImageError
from im2rec.format.irheader import ImageRecord, decode_image_record, labels_of
from im2rec.format.recordio import read_record
from im2rec.images.codec import COLOR, decode
from im2rec.images.sheet import number_text
from im2rec.images.wrapping import MAX_NAME, clipped
from im2rec.inspection.html.page import element, named
from im2rec.storage.classes import ClassNames, class_name
from im2rec.storage.files import InputFile

CELL = 128  # pixels of the longer edge, at most; on the page it is about as large, or somewhat smaller
_TINY = 64  # up to so many pixels an edge, an image is enlarged so that each of its pixels is a square
_QUALITY = 80
_MAX_LABELS = 3  # shown of a label vector


def sheet(file: InputFile, offsets: Iterable[int], names: ClassNames | None, max_pixels: int | None) -> Element:
    """Return the images of the records at *offsets* of *file*, with ids, labels and *names* of classes below them.

    Where an image cannot be decoded, its place has the reason. *max_pixels* limits the size, as in
    :func:`~im2rec.images.codec.decode`.
    """
    figures = [_figure(file, offset, names, max_pixels, with_label=True) for offset in offsets]
    return element("div", *figures, class_="sheet")


def row(file: InputFile, offsets: Iterable[int], max_pixels: int | None) -> Element:
    """Return up to ten images as :func:`sheet` does, without labels, for a heading says of whom they are."""
    figures = [_figure(file, offset, None, max_pixels, with_label=False) for offset in offsets]
    return element("div", *figures, class_="sheet row")


def _figure(
    file: InputFile, offset: int, names: ClassNames | None, max_pixels: int | None, *, with_label: bool
) -> Element:
    try:
        record = decode_image_record(read_record(file, offset)[0])
    except (CorruptRecordError, ImageError):
        return element("figure", _failed("damaged record"), element("figcaption", element("span", f"byte {offset}")))
    header = record.header
    labels = labels_of(header)
    text, name = _labels_text(labels), class_name(names, labels) or ""
    caption = element("figcaption", element("span", f"id {header.id}"), named(text, name) if with_label else None)
    words = " ".join(filter(None, (f"id {header.id}, {text}", clipped(name, MAX_NAME))))
    return element("figure", _tile(record, words, max_pixels), caption)


def _labels_text(labels: Sequence[float]) -> str:
    """Return a label in full, and of several the first ones in three digits, with the number of the others."""
    if len(labels) == 1:
        return f"label {number_text(labels[0])}"
    first = map(float, labels[:_MAX_LABELS])
    shown = (number_text(label) if label.is_integer() else f"{label:.3g}" for label in first)
    more = len(labels) - _MAX_LABELS
    return f"labels {' '.join(shown)}" + (f" +{more:,}\N{NO-BREAK SPACE}more" if more > 0 else "")


def _tile(record: ImageRecord, text: str, max_pixels: int | None) -> Element:
    try:
        pixels = decode(record.content, COLOR, at_least=(CELL, CELL), max_pixels=max_pixels).pixels
    except ImageError as error:
        return _failed(error.reason)
    image = Image.fromarray(pixels)
    is_tiny = max(image.size) <= _TINY
    image.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    shown = element(
        "img", src=_data_uri(image, "PNG" if is_tiny else "JPEG"), alt=text, class_="tiny" if is_tiny else None
    )
    return element("div", shown, class_="tile")


def _failed(reason: str) -> Element:
    return element("div", clipped(reason, MAX_NAME), class_="tile failed")


def _data_uri(image: Image.Image, kind: str) -> str:
    encoded = io.BytesIO()
    image.save(encoded, kind, quality=_QUALITY, optimize=True)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encoded.getvalue()).decode()}"

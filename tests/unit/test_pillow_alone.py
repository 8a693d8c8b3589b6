"""JPEGs decoded by Pillow, without simplejpeg and the compiled decoder, differ as docs/differences.md documents."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import numpy as np
import pytest
from jpeg_helpers import SIMPLEJPEG, drawn, encoded
from PIL import Image as PillowImage

from im2rec.errors import ImageError
from im2rec.images import codec
from im2rec.images.codec import CUT, decode

END = b"\xff\xd9"
SOUND = ""


def baseline(pixels: np.ndarray) -> bytes:
    return encoded(pixels, quality=90)


def progressive(pixels: np.ndarray) -> bytes:
    return encoded(pixels, quality=90, progressive=True)


def cmyk(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(pixels).convert("CMYK").save(file, "JPEG", quality=90)
    return file.getvalue()


def files(encode: Callable[[np.ndarray], bytes], count: int = 20) -> list[bytes]:
    rng = np.random.default_rng(3)
    return [encode(drawn(rng, *(int(side) for side in rng.integers(60, 120, 2)))) for _ in range(count)]


def flipped(content: bytes) -> bytes:
    """*content* with one bit of its image data flipped; which one depends on *content*."""
    draws, data = random.Random(content), bytearray(content)
    data[draws.randrange(content.index(b"\xff\xda") + 14, len(data) - 2)] ^= 1 << draws.randrange(8)
    return bytes(data)


def verdict(content: bytes) -> str:
    """The flaw of a file that decodes, or the reason why it does not."""
    try:
        return decode(content).flaw
    except ImageError as error:
        return error.reason


@pytest.fixture
def _without_simplejpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_simplejpeg", None)


KINDS = pytest.mark.parametrize("encode", [baseline, progressive, cmyk])


@pytest.mark.skipif(SIMPLEJPEG is None, reason="compares with simplejpeg")
@pytest.mark.parametrize(("encode", "levels"), [(baseline, 0), (progressive, 0), (cmyk, 1)])
def test_a_sound_file_has_the_pixels_of_simplejpeg_and_a_cmyk_one_within_a_level(
    encode: Callable[[np.ndarray], bytes], levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = files(encode)
    expected = [decode(content).pixels.astype(int) for content in contents]
    monkeypatch.setattr(codec, "_simplejpeg", None)
    found = [decode(content).pixels for content in contents]

    assert levels == max(int(abs(one - other).max()) for one, other in zip(expected, found, strict=True))


@KINDS
@pytest.mark.usefixtures("_without_simplejpeg")
def test_a_cut_before_an_end_marker_is_mostly_overlooked(encode: Callable[[np.ndarray], bytes]) -> None:
    found = [verdict(content[: int(0.8 * len(content))] + END) for content in files(encode)]

    assert found.count(SOUND) > 15


@KINDS
@pytest.mark.usefixtures("_without_simplejpeg")
def test_flipped_bits_are_overlooked_or_refused(encode: Callable[[np.ndarray], bytes]) -> None:
    found = [verdict(flipped(content)) for content in files(encode)]

    assert {SOUND, "does not decode"} >= set(found)
    assert found.count(SOUND) > 15


@pytest.mark.skipif(SIMPLEJPEG is None, reason="uses simplejpeg")
@KINDS
def test_simplejpeg_detects_flipped_bits_in_some_files(encode: Callable[[np.ndarray], bytes]) -> None:
    found = [verdict(flipped(content)) for content in files(encode, 60)]

    assert 5 < 60 - found.count(SOUND) < 40
    assert "stray bytes" in found


@KINDS
@pytest.mark.usefixtures("_without_simplejpeg")
def test_stray_bytes_are_overlooked(encode: Callable[[np.ndarray], bytes]) -> None:
    assert {SOUND} == {verdict(content.replace(b"\xff\xc4", b"\1\2\3\xff\xc4", 1)) for content in files(encode)}


@KINDS
@pytest.mark.usefixtures("_without_simplejpeg")
def test_a_file_that_is_cut_or_mostly_one_without_end_marker_is_cut_short(
    encode: Callable[[np.ndarray], bytes],
) -> None:
    contents = files(encode)

    assert {CUT} == {verdict(content[: int(0.8 * len(content))]) for content in contents}
    without_end = [verdict(content[:-2]) for content in contents]
    assert {CUT, SOUND} >= set(without_end)
    assert without_end.count(CUT) > 15


@pytest.mark.usefixtures("_without_simplejpeg")
def test_a_marker_without_a_segment_in_the_header_is_an_error() -> None:
    content = files(baseline, 1)[0]
    assert "does not decode" == verdict(content[:2] + b"\xff\x01" + content[2:])

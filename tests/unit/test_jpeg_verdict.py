"""The verdict on a damaged JPEG without simplejpeg is that of simplejpeg."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from image_helpers import encoded as as_file
from jpeg_helpers import SIMPLEJPEG, Array, any_jpeg, drawn, encoded, segment

from im2rec.errors import ImageError
from im2rec.images import codec
from im2rec.images.codec import AS_STORED, COLOR, CUT, GREY, NO_END, STRAY, decode
from im2rec.jpeg.loading import load
from im2rec.jpeg.verdict import SOUND, UNKNOWN, verdict

END = b"\xff\xd9"
PIXELS = drawn(np.random.default_rng(0), 90, 120)
JPEG = encoded(PIXELS, quality=90)
SCAN = JPEG.index(b"\xff\xda") + 14
TABLES = JPEG.index(b"\xff\xc4")
LATE = len(JPEG) - 40


def put(at: int, data: bytes) -> bytes:
    return JPEG[:at] + data + JPEG[at:]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (JPEG, SOUND),
        (JPEG + b"after the end", SOUND),
        (JPEG[:-2] + b"\xff\xff" + END, SOUND),
        (JPEG[:-2] + segment(0xFE, b"a comment") + END, SOUND),
        (JPEG[:-2] + b"\xff\xd0" + END, SOUND),
        (JPEG[:-2] + b"\xff\xd7" + END, SOUND),
        (JPEG[:-2] + b"\xff\x01" + END, SOUND),
        (JPEG[:-2] + segment(0xDC, b"\0\x5a") + END, SOUND),
        (JPEG[:-2] + segment(0xE0, b"JFIF\0\x02") + segment(0xEF, bytes(9)) + segment(0xFE, b"") + END, SOUND),
        (JPEG[:-2] + segment(0xFE, b"") + b"\0" + segment(0xFE, b"") + END, STRAY),
        (JPEG[:-2] + segment(0xDD, b"\0\1") + END, UNKNOWN),
        (JPEG[:-2] + b"\xff\xfe\0\1" + END, UNKNOWN),
        (JPEG[:-2] + b"\xff\xfe", CUT),
        (JPEG[:-2] + b"\xff\xfe\0", CUT),
        (JPEG[:-2], NO_END),
        (JPEG[:-2] + segment(0xFE, b"a comment"), NO_END),
        (JPEG[:-1], NO_END),
        (JPEG[:-2] + b"\xff\xe7", CUT),  # a segment that is not there
        (JPEG[:LATE], CUT),
        (JPEG[:LATE] + END, CUT),
        (JPEG[: SCAN + 5] + END, CUT),
        (put(LATE, b"\xff\xd3"), CUT),
        (put(LATE, segment(0xFE, b"a comment")), CUT),
        (JPEG[:-2] + bytes(20) + END, STRAY),
        (JPEG[:-2] + bytes(20), CUT),  # simplejpeg reports stray bytes, but then Pillow finds it cut
        (put(2, b"stray"), STRAY),
        (put(TABLES, b"\x01\x02"), STRAY),
        (put(LATE, b"\xff\x12"), UNKNOWN),  # not a marker of libjpeg
        (put(LATE, JPEG[: JPEG.index(b"\xff\xdb")]), UNKNOWN),  # a second beginning
        (JPEG[: SCAN - 5], UNKNOWN),  # no scan begins
        (JPEG[:TABLES] + JPEG[SCAN - 14 :], UNKNOWN),  # no Huffman tables: libjpeg takes those of T.81, annex K.3
        (JPEG[:2] + b"\1" + JPEG[2:TABLES] + JPEG[SCAN - 14 :], STRAY),
        (put(TABLES, b"\x01")[: SCAN + 40], STRAY),  # before the data end early
        (put(2, b"\xff\xdd\0\4\0\1"), UNKNOWN),  # restart markers are not supported
        (encoded(PIXELS, progressive=True), UNKNOWN),
        (b"\xff\xd8\xff", UNKNOWN),
    ],
)
def test_each_kind_of_damage_has_its_verdict(content: bytes, expected: str | None) -> None:
    assert expected == verdict(content)


def test_a_missing_code_is_damage_only_near_the_end_of_the_file() -> None:
    # All ones are no code. Stuffed, they are 16 bits of it in each two bytes and more.
    ones = b"\xff\0" * 4
    content = encoded(drawn(np.random.default_rng(1), 400, 400), quality=95)
    early = content[:2000] + ones + content[2000:]
    late = content[:-60] + ones + content[-60:]

    assert len(content) > 10_000
    assert STRAY == verdict(late)
    assert simplejpeg_says(early) in (verdict(early), "not installed")
    assert simplejpeg_says(late) in (STRAY, "not installed")


def simplejpeg_says(content: bytes) -> str | None:
    """The verdict of simplejpeg's strict mode, as codec.py reads its words."""
    if SIMPLEJPEG is None:
        return "not installed"
    try:
        SIMPLEJPEG.decode_jpeg(content, "RGB")
    except ValueError as error:
        problem = str(error)
    else:
        return SOUND
    if "Premature end of JPEG" in problem and not content.endswith(END) and simplejpeg_says(content + END) == SOUND:
        return NO_END
    if "premature end" in problem.lower():
        return CUT
    return STRAY if problem.startswith("Corrupt JPEG data") else UNKNOWN


def flipped(draws: random.Random, data: bytearray, first: int) -> None:
    for _ in range(draws.randint(1, 3)):
        data[draws.randrange(first, len(data))] ^= 1 << draws.randrange(8)


def overwritten(draws: random.Random, data: bytearray, first: int) -> None:
    for _ in range(draws.randint(1, 5)):
        data[draws.randrange(first, len(data))] = draws.choice([0, 255, 0xD0, 0xD9, draws.randrange(256)])


def shortened(draws: random.Random, data: bytearray, first: int) -> None:
    del data[draws.randrange(first, len(data)) :]
    data += draws.choice([b"", END, b"\xff"])


def holed(draws: random.Random, data: bytearray, first: int) -> None:
    at = draws.randrange(first, len(data))
    del data[at : at + draws.randint(1, 40)]


def lengthened(draws: random.Random, data: bytearray, first: int) -> None:
    at = draws.randrange(first, len(data))
    data[at:at] = draws.choice([draws.randbytes(draws.randint(1, 20)), b"\xff" + draws.randbytes(1), b"\xff\xff\0"])


DAMAGES = [flipped, overwritten, shortened, holed, lengthened]
Damage = Callable[[random.Random, bytearray, int], None]


def damaged(damage: Damage, seed: int, count: int) -> list[bytes]:
    """JPEGs of all kinds that the kernel supports, with a damaged scan."""
    draws, rng = random.Random(seed), np.random.default_rng(seed)
    found = []
    for number in range(count):
        content = any_jpeg(rng, 120) if number % 5 else encoded(drawn(rng, 120, 160), quality=95)
        data = bytearray(content)
        damage(draws, data, data.rindex(b"\xff\xda") + (14 if data[data.rindex(b"\xff\xda") + 4] == 3 else 10))
        found.append(bytes(data))
    return found


@pytest.mark.skipif(SIMPLEJPEG is None, reason="compares with simplejpeg")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_scan_has_the_verdict_of_simplejpeg(damage: Damage) -> None:
    contents = damaged(damage, 5, 60)
    expected = [simplejpeg_says(content) for content in contents]
    # Where simplejpeg finds stray bytes and the file has no end, Pillow finds it cut; see the cases above.
    found = [STRAY if verdict(one) == CUT and END not in one and said == STRAY else verdict(one)
             for one, said in zip(contents, expected, strict=True)]  # fmt: skip

    assert expected == found
    assert len(set(expected)) > 1


def small_scan() -> tuple[bytes, int]:
    """A grey JPEG with 600 to 800 bytes of data, and where they start: the slow loop reads the last 512 of the file."""
    pixels = np.ascontiguousarray(drawn(np.random.default_rng(12), 32, 40)[:, :, 0])
    for quality in range(99, 5, -1):
        content = encoded(pixels, quality=quality)
        start = content.rindex(b"\xff\xda") + 10
        if len(content) - start < 800:
            break
    assert 600 < len(content) - start < 800
    return content, start


@pytest.mark.skipif(SIMPLEJPEG is None, reason="compares with simplejpeg")
@pytest.mark.parametrize(
    "damage",
    [
        lambda content, at: content[:at] + END,
        lambda content, at: content[:at] + b"\xff\0" * 3 + content[at:],
        lambda content, at: content[:at] + b"\xff\xff\0" + content[at:],
        lambda content, at: content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :],
        lambda content, at: content[:at] + content[at + 1 :],
    ],
    ids=["cut", "a missing code", "stuffed twice", "a flipped bit", "a byte less"],
)
def test_damage_at_any_byte_of_a_small_scan_has_the_verdict_of_simplejpeg(
    damage: Callable[[bytes, int], bytes],
) -> None:
    content, start = small_scan()
    places = [*range(start, len(content) - 2, 7), *range(len(content) - 540, len(content) - 490, 2), len(content) - 3]
    contents = [damage(content, at) for at in places]
    expected = [simplejpeg_says(one) for one in contents]

    assert expected == [verdict(one) for one in contents]


def test_a_missing_code_is_damage_before_a_byte_that_is_stuffed_twice() -> None:
    content, _ = small_scan()
    at = len(content) - 518
    damaged = content[:at] + b"\xff\0" * 2 + b"\xff\xff\0" + content[at:] + bytes(600)  # far from the end of the file

    assert STRAY == verdict(damaged)
    assert simplejpeg_says(damaged) in (STRAY, "not installed")


def answer(content: bytes, color: int, *, cut_ok: bool, ask: codec.Verdict | None) -> tuple[str, Array]:
    """The flaw and the pixels; or the reason and the message of the error."""
    try:
        pixels, flaw = decode(content, color, cut_ok=cut_ok, verdict=ask)
    except ImageError as error:
        return error.reason, str(error)
    return flaw, pixels


@pytest.mark.skipif(SIMPLEJPEG is None, reason="compares with simplejpeg")
@pytest.mark.parametrize("color", [COLOR, GREY, AS_STORED])
@pytest.mark.parametrize("cut_ok", [True, False])
def test_damaged_files_are_decoded_alike_with_the_verdict_and_with_simplejpeg(
    color: int, cut_ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [content for seed, damage in enumerate(DAMAGES) for content in damaged(damage, seed, 8)]
    expected = [answer(content, color, cut_ok=cut_ok, ask=None) for content in contents]
    monkeypatch.setattr(codec, "_simplejpeg", None)
    found = [answer(content, color, cut_ok=cut_ok, ask=verdict) for content in contents]

    assert [reason for reason, _ in expected] == [reason for reason, _ in found]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(expected, found, strict=True))
    assert len({reason for reason, _ in found}) > 2


def test_the_codec_acts_on_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_simplejpeg", None)
    whole = decode(JPEG).pixels

    for content, flaw in ((JPEG, SOUND), (JPEG[:-2], NO_END), (put(TABLES, b"stray"), STRAY)):
        found = decode(content, verdict=verdict)
        assert flaw == found.flaw
        assert np.array_equal(whole, found.pixels)
    with pytest.raises(ImageError, match="the image data ends early") as caught:
        decode(JPEG[:LATE] + END, verdict=verdict)
    assert CUT == caught.value.reason
    assert CUT == decode(JPEG[:LATE] + END, cut_ok=True, verdict=verdict).flaw


def test_an_image_of_too_many_pixels_is_refused_without_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_simplejpeg", None)
    with pytest.raises(ImageError, match="max_pixels=100"):
        decode(JPEG, max_pixels=100, verdict=lambda _: pytest.fail("asked"))


def test_other_formats_are_decoded_without_a_verdict() -> None:
    assert np.array_equal(PIXELS, decode(as_file(PIXELS, "PNG"), verdict=lambda _: pytest.fail("asked")).pixels)


@pytest.mark.parametrize("at", [2, SCAN])
def test_long_runs_of_fill_bytes_take_linear_time(at: int) -> None:
    run = b"\xff" * 10**6  # in quadratic time, an hour
    for end in (b"", b"\0", b"\1", b"\xd9"):
        verdict(JPEG[:at] + run + end + JPEG[at:])
        verdict(JPEG[:at] + run + end)
    assert SOUND == verdict(JPEG[:-2] + run + END)


def test_the_kernel_has_a_verdict_for_files_that_it_refuses() -> None:
    pytest.importorskip("numba")
    kernel = load().kernel
    if kernel is None:
        pytest.skip("the kernel is turned off")

    assert [SOUND, CUT, STRAY] == [kernel.verdict(one) for one in (JPEG, JPEG[:LATE], put(2, b"stray"))]

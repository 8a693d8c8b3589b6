"""The header of a JPEG, and which images the compiled decoder leaves to libjpeg."""

from __future__ import annotations

import io

import numpy as np
import pytest
from jpeg_helpers import drawn, encoded, segment
from PIL import Image as PillowImage

from im2rec.jpeg.markers import Component, HuffmanSpec, read_header

PIXELS = drawn(np.random.default_rng(0), 40, 56)
JPEG = encoded(PIXELS)
SOF = JPEG.index(b"\xff\xc0")
SOS = JPEG.index(b"\xff\xda")


def after_start(*segments: bytes) -> bytes:
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


def test_a_header_has_size_sampling_and_the_offset_of_the_data() -> None:
    head, start = read_header(JPEG)

    assert "" == head.reason
    assert (40, 56) == (head.height, head.width)
    assert (2, 2) == (head.luma_v, head.luma_h)
    assert 3 == len(head.components)
    assert SOS + 2 + JPEG[SOS + 3] == start


@pytest.mark.parametrize(("subsampling", "expected"), [(0, (1, 1)), (1, (1, 2)), (2, (2, 2))])
def test_three_samplings_of_colour_images_are_supported(subsampling: int, expected: tuple[int, int]) -> None:
    head, _ = read_header(encoded(PIXELS, subsampling=subsampling))

    assert ("", *expected) == (head.reason, head.luma_v, head.luma_h)


def test_images_with_equal_headers_share_the_object() -> None:
    assert read_header(JPEG)[0] is read_header(JPEG + b"more")[0]


def test_long_headers_are_read_and_shared_without_their_metadata() -> None:
    long = after_start(segment(0xE1, b"Exif\0\0" + JPEG[:600]), segment(0xFE, b"x" * 3000))
    head, start = read_header(long)

    assert "" == head.reason
    assert read_header(JPEG)[0].components == head.components
    assert read_header(JPEG)[1] + len(long) - len(JPEG) == start
    assert head is read_header(after_start(segment(0xE1, bytes(5000))))[0]


def saved(image: PillowImage.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def changed(at: int, *values: int) -> bytes:
    return JPEG[:at] + bytes(values) + JPEG[at + len(values) :]


JFIF = segment(0xE0, b"JFIF\0\x02\x01" + bytes(7))
BARE = JPEG[:2] + JPEG[JPEG.index(b"\xff\xdb") :]  # without JFIF
ADOBE = segment(0xEE, b"Adobe\0d\0\0\0\0\0")


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("progressive", encoded(PIXELS, progressive=True)),
        ("CMYK", saved(PillowImage.fromarray(PIXELS).convert("CMYK"))),
        ("restart markers", encoded(PIXELS, restart_marker_blocks=2)),
        ("arithmetic coding", changed(SOF + 1, 0xC9)),
        ("kind of frame or marker", changed(SOF + 1, 0xC5)),
        ("bits a sample", changed(SOF + 4, 12)),
        ("sampling factors", changed(SOF + 11, 0x12)),
        ("sampling factors", changed(SOF + 14, 0x22)),
        ("several scans", changed(SOS + 4, 1)),
        ("version of JFIF", after_start(JFIF)),
        ("RGB", BARE[:2] + ADOBE + BARE[2:]),
        ("RGB", BARE.replace(b"\x01\x22\x00\x02\x11\x01\x03\x11\x01", b"R\x22\x00G\x11\x01B\x11\x01").replace(
            b"\x03\x01\x00\x02\x11\x03\x11\x00", b"\x03R\x00G\x11B\x11\x00")),
        ("no table", changed(SOF + 12, 3)),
        ("damaged head", changed(SOF + 5, 0, 0)),
        ("damaged head", JPEG[:SOS]),
        ("damaged head", JPEG[: SOS + 5]),
        ("damaged head", b""),
        ("damaged head", after_start(b"\0")),
        ("quantisation", after_start(segment(0xDB, b"\x10" + b"\xff" * 128))),
        ("damaged head", after_start(segment(0xDB, bytes(64)))),
        ("damaged head", after_start(segment(0xC4, b"\x00" + b"\x02" + bytes(15) + b"\0\1"))),
        ("damaged head", after_start(segment(0xC4, b"\x00" + b"\x01" + bytes(15) + b"\x10"))),
        ("damaged head", after_start(segment(0xC4, b"\x00" + b"\xff" * 16))),
    ],
)  # fmt: skip
def test_unsupported_and_damaged_headers_have_a_reason(reason: str, content: bytes) -> None:
    assert reason == read_header(content)[0].reason


def test_a_refused_header_has_no_size() -> None:
    head = read_header(JPEG[:100])[0]

    assert ("damaged head", 0, 0, ()) == (head.reason, head.height, head.width, head.components)


@pytest.mark.parametrize("fill", range(1, 4))
def test_fill_bytes_before_a_marker_are_skipped(fill: int) -> None:
    assert "" == read_header(JPEG[:SOF] + b"\xff" * fill + JPEG[SOF:])[0].reason


# Headers written segment by segment.


def spec(*codes: int, symbols: bytes) -> HuffmanSpec:
    """A table whose numbers of codes of 1 bit, 2 bits, ... are *codes*."""
    return HuffmanSpec(bytes(codes) + bytes(16 - len(codes)), symbols)


DC_0, DC_1 = spec(0, 2, symbols=b"\x00\x0f"), spec(0, 1, 3, symbols=b"\x03\x02\x01\x00")
AC_0, AC_1 = spec(0, 2, 1, symbols=b"\x00\x01\xf0"), spec(1, 1, symbols=b"\x10\x00")
TABLES = {0x00: DC_0, 0x01: DC_1, 0x10: AC_0, 0x11: AC_1}
QUANTA_0, QUANTA_1 = tuple(range(1, 65)), tuple(range(1000, 1064))
YCC = b"\x01\x22\x00\x02\x11\x01\x03\x11\x03"
RGB_IDS = b"R\x22\x00G\x11\x01B\x11\x03"


def dht(tables: dict[int, HuffmanSpec]) -> bytes:
    return segment(0xC4, b"".join(bytes([number]) + b"".join(table) for number, table in tables.items()))


def dqt(quanta: dict[int, tuple[int, ...]]) -> bytes:
    """A segment of quantisation tables; those numbered from 0x10 on have values of 16 bits."""
    return segment(0xDB, b"".join(
        bytes([number]) + b"".join(value.to_bytes(1 + (number >> 4), "big") for value in values)
        for number, values in quanta.items()
    ))  # fmt: skip


def sof(components: bytes = YCC, *, height: int = 40, width: int = 56, bits: int = 8, more: bytes = b"") -> bytes:
    sizes = bytes([bits]) + height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return segment(0xC0, sizes + bytes([len(components) // 3]) + components + more)


def sos(components: bytes = b"\x01\x00\x02\x11\x03\x01", last: bytes = b"\0\x3f\0") -> bytes:
    return segment(0xDA, bytes([len(components) // 2]) + components + last)


QUANTISATION = dqt({0x00: QUANTA_0, 0x11: QUANTA_1, 0x03: QUANTA_0[::-1]})
START = b"\xff\xd8"
RGB_SCAN = sos(b"R\x00G\x11B\x01")


def reason_of(*segments: bytes, dqt: bytes = QUANTISATION, dht: bytes = dht(TABLES), **more: bytes) -> str:
    """Why a header is refused that has *segments* before the others."""
    parts = [START, *segments, dqt, dht, more.get("sof", sof()), more.get("sos", sos())]
    return read_header(b"".join(parts) + b"data")[0].reason


def test_components_have_the_tables_that_the_scan_assigns_to_them() -> None:
    head, start = read_header(START + QUANTISATION + dht(TABLES) + sof() + sos() + b"data")

    assert "" == head.reason
    assert (
        Component(QUANTA_0, DC_0, AC_0),
        Component(QUANTA_1, DC_1, AC_1),
        Component(QUANTA_0[::-1], DC_0, AC_1),
    ) == head.components
    assert len(START + QUANTISATION + dht(TABLES) + sof() + sos()) == start


def test_a_grey_image_has_one_component_without_subsampling() -> None:
    head, _ = read_header(START + QUANTISATION + dht(TABLES) + sof(b"\x07\x11\x00") + sos(b"\x07\x01"))

    assert (Component(QUANTA_0, DC_0, AC_1),) == head.components
    assert (1, 1) == (head.luma_v, head.luma_h)


def test_a_table_that_is_defined_again_replaces_the_earlier_one() -> None:
    again = dqt({0x00: QUANTA_0[::-1]}) + dht({0x00: DC_1})
    head, _ = read_header(START + QUANTISATION + dht(TABLES) + again + sof() + sos())

    assert Component(QUANTA_0[::-1], DC_1, AC_0) == head.components[0]


FULL_DC = spec(*[1] * 15, 1, symbols=bytes(range(16)))
NO_TABLE = {number: table for number, table in TABLES.items() if number != 0x11}


@pytest.mark.parametrize(
    ("reason", "given"),
    [
        ("", {"dqt": dqt({0x00: QUANTA_0, 0x11: (32767,) * 64, 0x03: QUANTA_0})}),
        ("quantisation", {"dqt": dqt({0x00: QUANTA_0, 0x11: (1,) * 63 + (32768,), 0x03: QUANTA_0})}),
        ("damaged head", {"dqt": QUANTISATION + dqt({0x04: QUANTA_0})}),
        ("damaged head", {"dqt": QUANTISATION + dqt({0x20: QUANTA_0})}),
        ("damaged head", {"dqt": QUANTISATION + segment(0xDB, b"\x10" + bytes(127))}),
        ("no table", {"dqt": dqt({0x00: QUANTA_0, 0x03: QUANTA_0})}),
        ("no table", {"dht": dht(NO_TABLE)}),
        ("", {"dht": dht({**TABLES, 0x02: FULL_DC, 0x13: AC_0})}),
        ("damaged head", {"dht": dht({**TABLES, 0x04: DC_0})}),
        ("damaged head", {"dht": dht({**TABLES, 0x20: AC_0})}),
        ("damaged head", {"dht": dht({**TABLES, 0x02: spec(0, 1, symbols=b"\x10")})}),
        ("", {"dht": dht({**TABLES, 0x12: spec(0, 3, symbols=b"\x01\x02\x03")})}),
        ("damaged head", {"dht": dht({**TABLES, 0x12: spec(0, 4, symbols=b"\x01\x02\x03\x04")})}),  # a code of all ones
        ("damaged head", {"dht": dht({**TABLES, 0x12: spec(1, 1, 2, symbols=b"\x01\x02\x03\x04")})}),
        ("", {"dht": dht({**TABLES, 0x12: spec(*[0] * 14, 1, 255, symbols=bytes(range(256)))})}),
        ("damaged head", {"dht": dht({**TABLES, 0x12: spec(*[0] * 14, 2, 255, symbols=bytes(257))})}),
        ("damaged head", {"dht": dht(TABLES) + segment(0xC4, b"\x12" + AC_0.counts + AC_0.symbols[:-1])}),
        ("", {"sof": sof(height=65500, width=65500)}),
        ("damaged head", {"sof": sof(height=65501)}),
        ("damaged head", {"sof": sof(width=65501)}),
        ("damaged head", {"sof": sof(width=0)}),
        ("", {"sof": sof(height=1, width=1)}),
        ("damaged head", {"sof": sof(more=b"\0")}),
        ("damaged head", {"sof": sof() + sof()}),
        ("damaged head", {"sof": segment(0xC0, b"\x08\0\x01\0\x01")}),
        ("damaged head", {"sof": b""}),
        ("bits a sample", {"sof": sof(bits=12)}),
        ("components", {"sof": sof(b"")}),
        ("components", {"sof": sof(YCC[:6])}),
        ("CMYK", {"sof": sof(YCC + b"\x04\x22\x00")}),
        ("damaged head", {"sof": sof(YCC[:6] + b"\x01\x11\x03")}),  # an id twice
        ("several scans", {"sos": sos(b"\x01\x00")}),
        ("several scans", {"sos": segment(0xDA, b"")}),
        ("damaged head", {"sos": sos(b"\x01\x00\x03\x11\x02\x01")}),
        ("damaged head", {"sos": sos(last=b"\x01\x3f\0")}),
        ("damaged head", {"sos": sos(last=b"\0\x3e\0")}),
        ("damaged head", {"sos": sos(last=b"\0\x3f\x10")}),
    ],
)  # fmt: skip
def test_tables_sizes_and_scans_at_and_past_their_limits(reason: str, given: dict[str, bytes]) -> None:
    assert reason == reason_of(**given)


@pytest.mark.parametrize(
    ("reason", "segments"),
    [
        ("", [segment(0xDD, b"\0\0")]),
        ("restart markers", [segment(0xDD, b"\0\1")]),
        ("damaged head", [segment(0xDD, b"\0\0\0")]),
        ("", [segment(0xE0, b""), segment(0xEF, b"x"), segment(0xFE, b"")]),
        ("damaged head", [b"\xff\xe1\0\1"]),
        ("progressive", [segment(0xC2, b"")]),
        ("lossless", [segment(0xC3, b"")]),
        ("arithmetic coding", [segment(0xC9, b"")]),
        ("arithmetic coding", [segment(0xCA, b"")]),
        ("kind of frame or marker", [segment(0xDF, b"")]),
        ("kind of frame or marker", [segment(0xF0, b"")]),
        ("", [segment(0xFE, b"not \xff\xda\0\x0c the scan")]),
    ],
)
def test_other_segments_are_ignored_or_have_their_reason(reason: str, segments: list[bytes]) -> None:
    assert reason == reason_of(*segments)


JFIF_1 = b"JFIF\0\x01\x02" + bytes(7)


@pytest.mark.parametrize(
    ("reason", "marker", "data"),
    [
        ("RGB", 0xFE, b""),
        ("", 0xE0, JFIF_1),
        ("RGB", 0xE0, JFIF_1[:13]),  # too short to be JFIF
        ("RGB", 0xE1, JFIF_1),
        ("", 0xEE, b"Adobe\0\x64\0\0\0\0\x01"),
        ("RGB", 0xEE, b"Adobe\0\x64\0\0\0\0\x00"),
        ("RGB", 0xEE, b"Adobe\0\x64\0\0\0\0\x02"),
        ("RGB", 0xEE, b"Adobe\0\x64\0\0\0\x01"),  # too short to be Adobe's
        ("RGB", 0xED, b"Adobe\0\x64\0\0\0\0\x01"),
    ],
)
@pytest.mark.parametrize("filler", [b"", segment(0xE2, bytes(4000))])
def test_jfif_and_adobe_decide_the_colour_space_before_the_ids(
    reason: str, marker: int, data: bytes, filler: bytes
) -> None:
    assert reason == reason_of(filler, segment(marker, data), sof=sof(RGB_IDS), sos=RGB_SCAN)


def test_adobe_without_a_transform_means_rgb_whatever_the_ids_are() -> None:
    assert "RGB" == reason_of(segment(0xEE, b"Adobe\0\x64\0\0\0\0\x00"))
    assert "" == reason_of(segment(0xEE, b"Adobe\0\x64\0\0\0\0\x00"), segment(0xE0, JFIF_1))


LONG = segment(0xE1, b"Exif\0\0" + bytes(3000))


@pytest.mark.parametrize("fill", range(4))
def test_long_headers_may_have_fill_bytes_too(fill: int) -> None:
    content = START + b"\xff" * fill + LONG + b"\xff" * fill + JPEG[2:]
    head, start = read_header(content)

    assert "" == head.reason
    assert len(content) - len(JPEG) + read_header(JPEG)[1] == start


@pytest.mark.parametrize("end", [2, 3, 4, 5, 6, 100, len(LONG) + 1, len(LONG) + 2, len(LONG) + 40])
def test_a_long_header_that_is_cut_is_damaged_and_has_no_data(end: int) -> None:
    content = (START + LONG + JPEG[2:])[:end]
    head, start = read_header(content)

    assert "damaged head" == head.reason
    assert len(content) == start


def test_a_long_header_with_stray_bytes_is_damaged() -> None:
    assert "damaged head" == reason_of(LONG, b"\0")


def test_a_header_of_many_tables_is_read_and_not_kept_in_memory() -> None:
    content = encoded(drawn(np.random.default_rng(0), 20, 20))
    table = segment(0xDB, bytes(1) + bytes([9] * 64))
    headers = [read_header(content[:2] + table * count + content[2:])[0] for count in (20, 20, 500, 500)]

    assert [""] * 4 == [header.reason for header in headers]
    assert headers[0] is headers[1]
    assert headers[2] is not headers[3]

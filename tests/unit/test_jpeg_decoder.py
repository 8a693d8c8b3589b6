"""The compiled decoder on JPEGs written bit by bit: codes of every length, ends of blocks, each kind of damage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from jpeg_helpers import cropped, libjpeg, needs_libjpeg_turbo, segment

from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.verdict import SOUND, verdict

pytest.importorskip("numba")
pytestmark = needs_libjpeg_turbo
Table = dict[int, str]  # the code of each symbol, as a string of bits
EOB, ZRL = 0x00, 0xF0
END = b"\xff\xd9"


def huffman(symbols: Sequence[int], lengths: Sequence[int]) -> tuple[bytes, Table]:
    """A Huffman table as DHT stores it, and its codes: T.81, annex C. *lengths* do not decrease."""
    code, last, codes = 0, lengths[0], {}
    for symbol, length in zip(symbols, lengths, strict=True):
        code <<= length - last
        codes[symbol] = f"{code:0{length}b}"
        code, last = code + 1, length
    return bytes(lengths.count(bits) for bits in range(1, 17)) + bytes(symbols), codes


def packed(bits: str) -> bytes:
    """*bits* as the bytes of a scan, padded with ones and stuffed."""
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0") if bits else b""


def header(height: int, width: int, dc: bytes, ac: bytes, *, quantum: int = 1, components: int = 1) -> bytes:
    """All of a JPEG before its data: without subsampling, with the same tables for each component."""
    frame = b"".join(bytes([number + 1, 0x11, 0]) for number in range(components))
    scan = b"".join(bytes([number + 1, 0]) for number in range(components))
    return b"".join([
        b"\xff\xd8",
        segment(0xDB, b"\x10" + quantum.to_bytes(2, "big") * 64),
        segment(0xC1, b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([components]) + frame),
        segment(0xC4, b"\x00" + dc),
        segment(0xC4, b"\x10" + ac),
        segment(0xDA, bytes([components]) + scan + b"\0\x3f\0"),
    ])  # fmt: skip


def value(number: int, size: int) -> str:
    """*number* in *size* bits, as T.81, F.1.2.1 codes it."""
    return f"{number if number >= 0 else number + (1 << size) - 1:0{size}b}" if size else ""


def any_block(rng: np.random.Generator, dc: Table, ac: Table, largest: int) -> str:
    """The bits of a block of random coefficients, whose values have up to *largest* bits; some reach the last one."""
    size = int(rng.integers(7))
    bits, k = dc[size] + value(int(rng.integers(1 << size)), size), 0
    symbols = [symbol for symbol in ac if symbol & 15 <= largest]
    while k < 63:
        symbol = int(rng.choice(symbols))
        step = (symbol >> 4) + 1
        if symbol == EOB:
            return bits + ac[EOB]
        if k + step <= 63:
            size = symbol & 15
            bits += ac[symbol] + value(int(rng.integers(1 << size)), size)
            k += step
        elif symbol >> 4 == 0:
            return bits + ac[EOB]
    return bits


LENGTHS = [3, 4, 4, *(bits for bits in range(5, 16) for _ in range(3)), *[16] * 20]
AC_SYMBOLS = [0x01, EOB, 0x11, 0x02, 0x03, ZRL, 0x21, 0x04, 0xF1, 0x05]
AC_SYMBOLS += [run << 4 | size for size in (6, 7, 8, 15, 1) for run in (0, 1, 3, 4, 7, 8, 12, 15)]
AC_SYMBOLS = list(dict.fromkeys(AC_SYMBOLS))
DC_LENGTHS = [2, 3, 4, 6, 9, 12, 13, 14, 15, 16]
SIDE = 4  # blocks


@pytest.mark.parametrize("seed", range(12))
def test_codes_of_all_lengths_and_blocks_that_end_anywhere_are_read_as_by_libjpeg(kernel: Kernel, seed: int) -> None:
    rng = np.random.default_rng(seed)
    symbols = AC_SYMBOLS if seed % 3 == 0 else [int(symbol) for symbol in rng.permutation(AC_SYMBOLS)]
    dc_table, dc = huffman([int(size) for size in rng.permutation(10)], DC_LENGTHS)
    ac_table, ac = huffman(symbols, LENGTHS[: len(symbols)])
    kept = rng.integers(SIDE, size=2)
    blocks = [
        any_block(rng, dc, ac, largest=8 if (row, column) == tuple(kept) else 15)
        for row in range(SIDE)
        for column in range(SIDE)
    ]
    content = header(8 * SIDE, 8 * SIDE, dc_table, ac_table) + packed("".join(blocks)) + END
    whole = libjpeg(content)
    assert whole is not None
    crop = (8 * int(kept[0]), 8 * int(kept[1]), 8, 8)  # only this block is decoded, the others are skipped
    out = np.empty((3, 8, 8), np.uint8)

    assert "" == kernel.decode_into(content, crop, out)
    assert np.array_equal(cropped(whole, crop, planes=True), out)


# Tables for blocks written by hand; no code of more than 3 bits, so that each bit that follows can be counted.
DC_TABLE, DC = huffman([15, 0, 9], [1, 2, 3])
AC_TABLE, AC = huffman([EOB, ZRL, 0xF1, 0x0A], [1, 2, 3, 4])
FLAT = DC[0] + AC[EOB]  # three bits


def grey(bits: str, *, blocks: int = 8, quantum: int = 1, end: bytes = END) -> bytes:
    """A row of *blocks* blocks, whose data are *bits*."""
    return header(8, 8 * blocks, DC_TABLE, AC_TABLE, quantum=quantum) + packed(bits) + end


def reasons(kernel: Kernel, content: bytes) -> list[str]:
    """Why the decoder refuses the image: as a whole, only its first block, and only its last one."""
    width = kernel.header(content).width
    crops = [(0, 0, 8, width), (0, 0, 8, 8), (0, width - 8, 8, 8)]
    return [kernel.decode_into(content, crop, np.empty((3, *crop[2:]), np.uint8)) for crop in crops]


def test_a_flat_image_is_grey(kernel: Kernel) -> None:
    image = kernel.decode(grey(8 * FLAT))

    assert np.array_equal(np.full((8, 64, 3), 128, np.uint8), image)


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("stray bytes", grey(8 * FLAT + "1" * 8)),  # exactly a byte, with all bits of the last one used
        ("stray bytes", grey(9 * FLAT + "1" * 5 + "0" * 8)),
        ("no end marker", grey(8 * FLAT, end=b"")),
        ("no end marker", grey(8 * FLAT, end=b"\xff")),
        ("no end marker", grey(8 * FLAT, end=b"\0" * 7)),
        ("marker within the data", grey(8 * FLAT, end=b"\xff\xd0" + END)),
        ("bad code", grey(3 * FLAT + "111" + 4 * FLAT)),
        ("bad code", grey(3 * FLAT + DC[0] + "1111" + 4 * FLAT)),
        ("bad code", grey(3 * FLAT + DC[0] + AC[0x0A] + "1" * 10 + "1111" + 4 * FLAT)),
        ("block too long", grey(3 * FLAT + DC[0] + 4 * AC[ZRL] + 4 * FLAT)),
        ("block too long", grey(3 * FLAT + DC[0] + 3 * AC[ZRL] + AC[0xF1] + "1" + 4 * FLAT)),
    ],
)
def test_each_kind_of_damage_is_refused_whether_its_block_is_decoded_or_skipped(
    kernel: Kernel, reason: str, content: bytes
) -> None:
    assert [reason] * 3 == reasons(kernel, content)


@pytest.mark.parametrize("kept", [0, 1, 8, 17])
def test_data_that_ends_early_is_refused_though_memory_holds_the_rest(kernel: Kernel, kept: int) -> None:
    whole = grey(64 * FLAT, blocks=64)  # 24 bytes
    cut = whole[: len(whole) - 2 - 24 + kept] + END

    assert ["", "", ""] == reasons(kernel, whole)
    assert ["cut short"] * 3 == reasons(kernel, cut)


@pytest.mark.parametrize("ones", range(8))
def test_padding_of_up_to_seven_bits_may_follow_the_last_block(kernel: Kernel, ones: int) -> None:
    blocks = next(count for count in range(8, 16) if -3 * count % 8 == ones)  # of three bits each

    assert ["", "", ""] == reasons(kernel, grey(blocks * FLAT, blocks=blocks))


@pytest.mark.parametrize("last", [62, 63])
def test_a_block_may_end_with_its_last_coefficient_or_an_end_of_block_before_it(kernel: Kernel, last: int) -> None:
    ac_table, ac = huffman([EOB, ZRL, 0xE1, 0xD1], [1, 2, 3, 4])
    block = DC[0] + 3 * ac[ZRL] + (ac[0xE1] + "1" if last == 63 else ac[0xD1] + "1" + ac[EOB])
    content = header(8, 64, DC_TABLE, ac_table, quantum=100) + packed(8 * block) + END

    assert ["", "", ""] == reasons(kernel, content)
    assert np.array_equal(libjpeg(content), kernel.decode(content))
    # The verdict reads the last 512 bytes of a file in another way than those before.
    assert [SOUND, SOUND] == [verdict(content + bytes(count)) for count in (0, 1000)]


@pytest.mark.parametrize(
    "block",
    [
        DC[9] + value(256, 9) + AC[EOB],  # 256 x 256 would be 0 in 16 bits
        DC[0] + AC[0x0A] + value(512, 10) + AC[EOB],
        DC[9] + value(-256, 9) + AC[EOB],
        DC[15] + value(32767, 15) + AC[EOB],
    ],
)
def test_coefficients_that_do_not_fit_16_bits_are_refused_where_they_are_decoded(kernel: Kernel, block: str) -> None:
    whole, first, last = reasons(kernel, grey(block + 7 * FLAT, quantum=256))

    assert "coefficients too large" == whole
    assert "coefficients too large" == first
    assert last in ("", "coefficients too large")  # the last block has the sum of all differences as its DC


@pytest.mark.parametrize("level", [4095, -4096, 4096, -4097])
def test_an_image_is_refused_if_the_first_pass_of_the_idct_leaves_15_bits_and_the_sign(
    kernel: Kernel, level: int
) -> None:
    size = max(level, -level).bit_length()
    table, dc = huffman([size, 0], [1, 2])
    content = header(8, 8, table, AC_TABLE) + packed(dc[size] + value(level, size) + AC[EOB]) + END

    # The pass has two bits of fraction, so 4096 is 16384 in it.
    expected = "" if -4096 <= level < 4096 else "coefficients too large"
    assert expected == kernel.decode_into(content, (0, 0, 8, 8), np.empty((3, 8, 8), np.uint8))


COLUMN = (0, 2, 3, 9, 10, 20, 21, 35)  # the coefficients of the first column, as they come in zigzag order


def impulse(row: int, height: float) -> list[int]:
    """Coefficients of a column of which the first pass of the IDCT gives *height* in *row*, and nearly 0 elsewhere."""
    scale = [np.sqrt(1 / 8) if frequency == 0 else 0.5 for frequency in range(8)]
    waves = [np.cos((2 * row + 1) * frequency * np.pi / 16) for frequency in range(8)]
    return [round(height / np.sqrt(8) * factor * wave) for factor, wave in zip(scale, waves, strict=True)]


def column_image(coefficients: list[int]) -> bytes:
    """A grey image of one block with *coefficients* in its first column."""
    sizes = [abs(number).bit_length() for number in coefficients]
    codes, k = [], 0
    for index, size in zip(COLUMN[1:], sizes[1:], strict=True):
        if size:
            codes.append((index - k - 1) % 16 << 4 | size)
            codes[-1:-1] = [ZRL] * ((index - k - 1) // 16)
            k = index
    ac_table, ac = huffman(symbols := sorted({*codes, EOB}), [5] * len(symbols))
    dc_table, dc = huffman([sizes[0]], [1])
    values = iter([value(number, size) for number, size in zip(coefficients[1:], sizes[1:], strict=True) if size])
    bits = dc[sizes[0]] + value(coefficients[0], sizes[0])
    bits += "".join(ac[code] + (next(values) if code != ZRL else "") for code in codes)
    return header(8, 8, dc_table, ac_table) + packed(bits + ac[EOB]) + END


@pytest.mark.parametrize("row", range(8))
@pytest.mark.parametrize("sign", [1, -1])
def test_one_sum_of_the_first_pass_that_is_too_large_is_enough(kernel: Kernel, row: int, sign: int) -> None:
    fits = column_image(impulse(row, sign * 3900))

    assert np.array_equal(libjpeg(fits), kernel.decode(fits))
    assert "coefficients too large" == kernel.decode(column_image(impulse(row, sign * 4300)))


@pytest.mark.parametrize("component", range(3))
def test_a_dc_that_grows_past_2_to_the_29_is_refused_in_each_component(kernel: Kernel, component: int) -> None:
    largest = DC[15] + value(32767, 15) + AC[EOB]
    growing = "".join(largest if number == component else FLAT for number in range(3))
    width, rows = 65496, 3  # 24,561 blocks of 2^15, of which the first one of each row is decoded
    content = header(8 * rows, width, DC_TABLE, AC_TABLE, components=3)
    content += packed(3 * FLAT + (rows * width // 8 - 1) * growing) + END

    assert "coefficients too large" == kernel.decode_into(content, (0, 0, 8, 8), np.empty((3, 8, 8), np.uint8))

"""Laws of verification files: made as a pickle is, read and extracted as they were made; and of lists of pairs."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest
from bin_helpers import skip_where_pickle_differs
from pair_helpers import face

from im2rec.errors import InputError
from im2rec.format.binfile import encode_bin
from im2rec.format.pairlist import FORMS, PairList, parse_pairs
from im2rec.verification.bin_file import open_bin
from im2rec.verification.extract import LIST_NAME, extract_bin
from im2rec.verification.make import make_bin

# Where the pickle changes: lengths of one byte and of four, and frames that are closed at 64 KiB.
LENGTHS = (600, 1_000, 20_000, 65_000, 65_535, 65_536, 65_537, 66_000, 140_000)


def random_content(rng: random.Random) -> bytes:
    """A JPEG with bytes behind its end, of a length at which something changes or nearby."""
    jpeg = face(rng.randrange(1000), 8)
    length = max(rng.choice(LENGTHS) + rng.randrange(-40, 41), len(jpeg))
    return jpeg + rng.randbytes(length - len(jpeg))


@pytest.mark.parametrize("seed", range(12))
def test_random_pairs_are_made_read_and_extracted_as_they_are(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    contents = [random_content(rng) for _ in range(2 * rng.randrange(1, 30))]
    same = [rng.random() < 0.5 for _ in contents[::2]]
    names = [f"{number}.jpg" for number in range(len(contents))]
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).write_bytes(content)
    lines = [f"{a},{b},{int(c)}\n" for a, b, c in zip(names[::2], names[1::2], same, strict=True)]
    (tmp_path / "p.csv").write_text("".join(lines))
    make_bin(tmp_path / "p.csv", tmp_path, tmp_path / "o.bin")

    assert pickle.dumps((contents, same), 4) == (tmp_path / "o.bin").read_bytes()
    assert list(zip(contents[::2], contents[1::2], same, strict=True)) == list(open_bin(tmp_path / "o.bin"))
    extract_bin(tmp_path / "o.bin", tmp_path / "d")
    make_bin(tmp_path / "d" / LIST_NAME, tmp_path / "d", tmp_path / "again.bin")
    assert (tmp_path / "o.bin").read_bytes() == (tmp_path / "again.bin").read_bytes()


@pytest.mark.parametrize("length", [0, 2, 255, 256, 257, 65_535, 65_536, 65_537])
@pytest.mark.parametrize("count", [2, 998, 1000, 1002, 2002])
def test_a_file_is_the_pickle_of_its_lists_at_every_length(length: int, count: int) -> None:
    if length * count > 20_000_000:
        count = 30
    contents = [number.to_bytes(2, "big") + bytes(length) for number in range(count)]
    same = [number % 3 == 0 for number in range(count // 2)]

    skip_where_pickle_differs(len(same))
    assert pickle.dumps((contents, same), 4) == b"".join(encode_bin(contents, same))


WORDS = (
    "A",
    "Ada_Alpha",
    "a.jpg",
    "b/c.png",
    "1",
    "2",
    "0",
    "10",
    "300",
    "1_0",
    "x y",
    "",
    '"',
    ",",
    "é",
    "\udce9",
    "-1",
)
SEPARATORS = ("\t", " ", "  ", ",", ", ", " \t")


@pytest.mark.parametrize("seed", range(300))
def test_any_text_is_a_list_of_pairs_or_one_error_of_ours(seed: int) -> None:
    rng = random.Random(seed)
    widths = rng.choices(range(1, 6), k=rng.choice((1, 2, 6)))
    separator = rng.choice(SEPARATORS)
    lines = [
        (separator if rng.random() < 0.9 else rng.choice(SEPARATORS)).join(rng.choices(WORDS, k=width)) + "\n"
        for width in widths
    ]
    for form in (None, *FORMS):
        try:
            found: PairList | InputError = parse_pairs(lines, form)
        except InputError as error:
            found = error
        if isinstance(found, PairList):
            assert found.pairs
            assert form in (None, found.form)
            assert all(0 < image.line <= len(lines) for pair in found.pairs for image in pair[:2])
        else:
            assert "\n" not in str(found)
            assert found.line is None or 0 < found.line <= len(lines)

"""Laws of listing and packing: workers change no byte, parts make the whole, every image is in exactly one list."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from image_helpers import encoded, names_in, records_of, texture, write_images

from im2rec.format.listfile import ListEntry, read_list
from im2rec.packing.make_list import FoundImage, ListOptions, divide, make_list, split_sizes
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.storage.reader import RecordFile

SEEDS = range(40)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A list of 60 lines and its root: images of several kinds and sizes, and every sort of bad one among them."""
    folder = tmp_path_factory.mktemp("mixed")
    root = folder / "root"
    names = [f"{n:02}{suffix}" for n, suffix in zip(range(50), itertools.cycle([".jpg", ".png", ".jpeg"]))]
    write_images(root, names, height=40, width=56)
    (root / "empty.jpg").touch()
    (root / "text.jpg").write_text("hello")
    (root / "cut.jpg").write_bytes(encoded(texture(60, 60))[:-700])
    lines = [f"{number}\t{number % 7}\t{number / 4}\t{name}" for number, name in enumerate(names)]
    for at, bad in ((3, "90\t1\tempty.jpg"), (4, "not a line"), (17, "91\t1\ttext.jpg"), (31, "92\t1\tcut.jpg")):
        lines.insert(at, bad)
    lines += ["93\t1\tgone.jpg", "", "# the end", "0\t5\t00.jpg"]
    (folder / "l.lst").write_text("\n".join(lines) + "\n")
    return folder / "l.lst", root


def packed(mixed: tuple[Path, Path], out: Path, workers: int, **params: Any) -> dict[str, bytes]:
    """The bytes of every file that packing leaves in an empty folder."""
    out.mkdir()
    summary = pack(*mixed, out / "o.rec", PackParams(**params), PackOptions(workers=workers))
    assert workers == summary.workers
    return {path.name: path.read_bytes() for path in out.iterdir()}


CASES: dict[str, dict[str, Any]] = {
    "resized": {"resize": 24, "inter_method": 10, "pack_label": True},
    "unchanged": {"unchanged": True},
}


@pytest.mark.parametrize("case", CASES)
def test_any_number_of_workers_writes_the_same_bytes(mixed: tuple[Path, Path], tmp_path: Path, case: str) -> None:
    one, two, seven = (packed(mixed, tmp_path / str(workers), workers, **CASES[case]) for workers in (1, 2, 7))

    assert {"o.rec", "o.idx", "o.rec.bad.jsonl"} == set(one)
    assert one == two == seven
    bad = [json.loads(line)["line"] for line in one["o.rec.bad.jsonl"].splitlines()]
    assert ([4, 5, 18, 32, 55] if case == "resized" else [4, 5, 18, 55]) == bad


def test_records_are_in_list_order_and_found_by_their_keys(mixed: tuple[Path, Path], tmp_path: Path) -> None:
    packed(mixed, tmp_path / "out", 1, resize=24)
    ids = [*range(50), 0]

    assert ids == [record.header.id for record in records_of(tmp_path / "out" / "o.rec")]
    with RecordFile(tmp_path / "out" / "o.rec") as rec:
        assert tmp_path / "out" / "o.idx" == rec.index_path
        assert ids == rec.keys.tolist()
        for id_ in range(1, 50):
            assert id_ % 7 == rec.by_key(id_).header.label
        assert 5 == rec.by_key(0).header.label


def test_parts_joined_in_order_are_the_whole(mixed: tuple[Path, Path], tmp_path: Path) -> None:
    whole = packed(mixed, tmp_path / "whole", 1, resize=24)
    for nsplit in (2, 3, 7):
        parts, reports, keys = b"", 0, []
        for part in range(nsplit):
            out = tmp_path / f"{nsplit}-{part}"
            files = packed(mixed, out, 1, resize=24, nsplit=nsplit, part=part)
            name = f"o.rec.part{part:03}"
            assert {name, f"{name}.idx"} == set(files) - {f"{name}.bad.jsonl"}
            parts += files[name]
            reports += files.get(f"{name}.bad.jsonl", b"").count(b"\n")
            with RecordFile(out / name) as rec:
                keys += rec.keys.tolist()
        assert whole["o.rec"] == parts
        assert whole["o.rec.bad.jsonl"].count(b"\n") == reports
        assert [*range(50), 0] == keys


def test_every_image_is_in_exactly_one_list_under_the_same_id(tmp_path: Path) -> None:
    rng = random.Random(1)
    for seed in range(8):
        root = tmp_path / f"root{seed}"
        for number in range(rng.randrange(1, 60)):
            path = root / rng.choice(["", "a", "b/c", "日本", "with space"]) / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        out = tmp_path / f"out{seed}"
        out.mkdir()
        options = ListOptions(
            shuffle=seed % 2 == 0, seed=seed, split=[(1,), (0.7,), (0.5, 0.3, 0.2)][seed % 3], stratify=seed % 4 < 2
        )
        summary = make_list(root, out / "l", options)
        make_list(root, out / "walk")

        def rows(path: Path) -> list[tuple[int, tuple[float, ...], str]]:
            found = list(read_list(path.read_text(encoding="utf-8").splitlines()))
            return [(e.id, e.labels, e.path) for e in found if isinstance(e, ListEntry)]

        listed = [row for name in summary.lists for row in rows(Path(name))]
        assert rows(out / "walk.lst") == sorted(listed)
        assert sum(summary.lists.values()) == summary.images == len(listed)


def shares_of(rng: random.Random) -> tuple[float, ...]:
    cuts = sorted(rng.choice([0, 0.1, 0.25, 0.5, 0.7, 0.9, 1, rng.random()]) for _ in range(rng.randrange(1, 3)))
    return tuple(b - a for a, b in itertools.pairwise([0, *cuts, 1]))


def test_split_sizes_add_up_and_are_off_by_less_than_one() -> None:
    rng = random.Random(5)
    for _ in range(2000):
        split, count = shares_of(rng), rng.choice([rng.randrange(30), rng.randrange(10**7)])
        sizes = split_sizes(count, split)
        assert count == sum(sizes)
        for size, share in zip(sizes, split, strict=True):
            assert abs(size - Fraction(share) * count) < 1 + 1e-5, (split, count)
            assert size >= 0
            assert share > 0 or size == 0


def test_dividing_keeps_every_item_once_in_the_order_of_the_shuffled_walk() -> None:
    for seed in SEEDS:
        rng = random.Random(seed)
        items = [FoundImage(rng.randrange(4), str(number)) for number in range(rng.randrange(5, 80))]
        options = ListOptions(
            shuffle=bool(seed % 2), seed=seed, split=shares_of(rng), stratify=bool(seed % 3), chunks=1 + seed % 3
        )
        lists = divide(items, options)
        (walk,) = divide(items, ListOptions(shuffle=options.shuffle, seed=seed))
        place = {id_: at for at, (id_, _) in enumerate(walk)}

        assert sorted(walk) == sorted(entry for part in lists for entry in part)
        for part in lists:
            assert part == sorted(part, key=lambda entry: place[entry[0]])


def test_stratified_parts_have_every_class_at_its_share() -> None:
    for seed in SEEDS:
        rng = random.Random(seed)
        items = [FoundImage(rng.randrange(5), str(number)) for number in range(rng.randrange(10, 300))]
        options = ListOptions(shuffle=True, seed=seed, split=(0.8, 0.1, 0.1), stratify=True)
        whole = Counter(item.label for item in items)

        for part, share in zip(divide(items, options), options.split, strict=True):
            found = Counter(item.label for _, item in part)
            for label, count in whole.items():
                assert abs(found[label] - share * count) < 1, (seed, label)


def test_packing_twice_gives_the_same_bytes_and_force_leaves_nothing_old(
    mixed: tuple[Path, Path], tmp_path: Path
) -> None:
    params, options = PackParams(resize=24, inter_method=10), PackOptions(workers=1, force=True)
    for name in ("o.rec", "o.idx", "o.rec.bad.jsonl"):
        (tmp_path / name).write_bytes(b"old" * 100_000)
    pack(*mixed, tmp_path / "o.rec", params, options)
    first = {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)}
    pack(*mixed, tmp_path / "o.rec", params, options)

    assert first == {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)}
    assert not any(content.startswith(b"old") for content in first.values())

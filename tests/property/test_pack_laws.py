"""Laws of listing and packing: workers change no byte, parts make the whole, every image is in exactly one list."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from face_pack_helpers import a_case, as_by_identity, as_published, keyed_records
from hypothesis import given, settings
from hypothesis import strategies as st
from image_helpers import encoded, names_in, records_of, texture, write_images
from part_helpers import contents, packed_parts

from im2rec.format.listfile import ListEntry, read_list
from im2rec.packing.join import join
from im2rec.packing.list_files import FoundImage
from im2rec.packing.make_list import ListOptions, divide, make_list
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.packing.split import split_sizes, stratified_sizes
from im2rec.storage.digest import digest_path, write_digest
from im2rec.storage.reader import RecordFile


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
    one, two, five = (packed(mixed, tmp_path / str(workers), workers, **CASES[case]) for workers in (1, 2, 5))

    assert {"o.rec", "o.idx", "o.rec.bad.jsonl"} == set(one)
    assert one == two == five
    bad = [json.loads(line)["line"] for line in one["o.rec.bad.jsonl"].splitlines()]
    # Line 32 names a JPEG that is cut short, which storing it unchanged does not notice.
    assert ([4, 5, 18, 32, 55] if case == "resized" else [4, 5, 18, 55]) == bad


@pytest.mark.parametrize("case", CASES)
def test_the_digest_that_pack_writes_is_that_of_the_file_for_any_number_of_workers(
    mixed: tuple[Path, Path], tmp_path: Path, case: str
) -> None:
    for workers in (1, 2, 5):
        out = tmp_path / f"{workers}.rec"
        summary = pack(*mixed, out, PackParams(**CASES[case]), PackOptions(workers=workers, digest=True))
        write_digest(out, tmp_path / "again", force=True)

        assert str(digest_path(out)) == summary.files[2]
        assert (tmp_path / "again").read_bytes() == digest_path(out).read_bytes()


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


def test_joined_parts_are_the_whole(mixed: tuple[Path, Path], tmp_path: Path) -> None:
    pack(*mixed, tmp_path / "whole.rec", PackParams(resize=24), PackOptions(workers=1))
    for nsplit in (2, 3, 7):
        out = tmp_path / f"{nsplit}.rec"
        join(packed_parts(*mixed, out, nsplit, resize=24), out)

        assert contents(tmp_path / "whole.rec") == contents(out)


# Any shares that add up to 1, often the round ones that people type.
CUTS = st.one_of(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.9, 1.0]), st.floats(0, 1))
SHARES = st.lists(CUTS, max_size=2).map(
    lambda cuts: tuple(end - start for start, end in itertools.pairwise([0.0, *sorted(cuts), 1.0]))
)


def images_of(classes: int, *, min_size: int, max_size: int) -> st.SearchStrategy[list[FoundImage]]:
    """Images of up to *classes* classes, in any order."""
    labels = st.lists(st.integers(0, classes - 1), min_size=min_size, max_size=max_size)
    return labels.map(lambda drawn: [FoundImage(label, str(number)) for number, label in enumerate(drawn)])


def rows(path: Path) -> list[tuple[int, tuple[float, ...], str]]:
    """Id, labels and path of every line of a list."""
    entries = list(read_list(path.read_text(encoding="utf-8").splitlines()))
    return [(entry.id, entry.labels, entry.path) for entry in entries if isinstance(entry, ListEntry)]


@given(
    folders=st.lists(st.sampled_from(["", "a", "b/c", "日本", "with space"]), min_size=1, max_size=30),
    options=st.builds(
        ListOptions,
        shuffle=st.booleans(),
        seed=st.integers(0, 1000),
        split=st.sampled_from([(1,), (0.7,), (0.5, 0.3, 0.2)]),
        stratify=st.booleans(),
    ),
)
@settings(max_examples=10)
def test_every_image_is_in_exactly_one_list_under_the_same_id(
    tmp_path_factory: pytest.TempPathFactory, folders: list[str], options: ListOptions
) -> None:
    tmp_path = tmp_path_factory.mktemp("lists")
    for number, folder in enumerate(folders):
        path = tmp_path / "root" / folder / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    summary = make_list(tmp_path / "root", tmp_path / "l", options)
    make_list(tmp_path / "root", tmp_path / "walk")

    listed = [row for name in summary.lists for row in rows(Path(name))]
    assert rows(tmp_path / "walk.lst") == sorted(listed)
    assert len(folders) == sum(summary.lists.values()) == summary.images == len(listed)


@given(count=st.one_of(st.integers(0, 30), st.integers(0, 10**7)), split=SHARES)
@settings(max_examples=100)
def test_split_sizes_add_up_and_are_off_by_less_than_one(count: int, split: tuple[float, ...]) -> None:
    sizes = split_sizes(count, split)

    assert count == sum(sizes)
    for size, share in zip(sizes, split, strict=True):
        assert abs(size - Fraction(share) * count) < 1 + 1e-5
        assert size >= 0
        assert share > 0 or size == 0


@given(counts=st.lists(st.integers(0, 30), min_size=1, max_size=30), split=SHARES)
@settings(max_examples=200)
def test_stratified_sizes_are_rounded_down_or_up_and_give_the_total_sizes(
    counts: list[int], split: tuple[float, ...]
) -> None:
    sizes = stratified_sizes(counts, split)

    assert counts == list(map(sum, sizes))
    assert split_sizes(sum(counts), split) == [sum(row[part] for row in sizes) for part in range(len(split))]
    for count, row in zip(counts, sizes, strict=True):
        for share, size in zip(split, row, strict=True):
            assert abs(size - Fraction(share) * count) < 1 + 1e-5


@given(
    images=images_of(4, min_size=5, max_size=60),
    options=st.builds(
        ListOptions,
        shuffle=st.booleans(),
        seed=st.integers(0, 1000),
        split=SHARES,
        stratify=st.booleans(),
        chunks=st.integers(1, 3),
    ),
)
@settings(max_examples=40)
def test_dividing_keeps_every_image_once_in_the_order_of_the_shuffled_walk(
    images: list[FoundImage], options: ListOptions
) -> None:
    lists = divide(images, options)
    (walk,) = divide(images, ListOptions(shuffle=options.shuffle, seed=options.seed))
    number = {id_: number for number, (id_, _) in enumerate(walk)}

    assert sorted(walk) == sorted(entry for part in lists for entry in part)
    for part in lists:
        assert part == sorted(part, key=lambda entry: number[entry[0]])


@given(images=images_of(12, min_size=1, max_size=80), seed=st.integers(0, 1000), split=SHARES)
@settings(max_examples=40)
def test_stratified_lists_have_every_class_and_the_whole_at_their_shares(
    images: list[FoundImage], seed: int, split: tuple[float, ...]
) -> None:
    options = ListOptions(shuffle=True, seed=seed, split=split, stratify=True)
    whole = Counter(image.label for image in images)

    for part, share in zip(divide(images, options), options.split, strict=True):
        counts = Counter(image.label for _, image in part)
        assert all(abs(counts[label] - share * count) < 1 + 1e-5 for label, count in whole.items())
        # However many classes there are, their roundings make up for each other.
        assert abs(len(part) - share * len(images)) < 1 + 1e-5


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


# Training sets for face recognition.


@given(labels=st.lists(st.integers(0, 5), min_size=1, max_size=12), bad=st.sets(st.integers(0, 11)))
@settings(max_examples=25, deadline=None)
def test_a_set_has_each_good_image_once_in_a_run_of_its_class(labels: list[int], bad: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        good = [number for number in range(len(labels)) if number not in bad]
        case = a_case(Path(folder), labels, bad=sorted(bad & set(range(len(labels)))))
        if not good:
            assert "none of its images could be packed" in case.message()
            return
        case.pack()
        order = sorted(good, key=lambda number: labels[number])
        classes = sorted({labels[number] for number in good})
        expected = [(classes.index(labels[n]), (case.root / f"{n}.jpg").read_bytes()) for n in order]
        records = keyed_records(case.out)
        found = as_published(records)
        assert expected == [(label, content) for _, label, content in found]
        assert found == as_by_identity(records)
        assert len(records) == len(good) + 1 + len(classes)

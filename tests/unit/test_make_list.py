"""From a folder to lists: the walk, class numbers, what is left out, splits, and that all files appear or none."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of, peak_bytes
from image_helpers import names_in

from im2rec.errors import InputError, OutputError, ParameterError
from im2rec.format.listfile import ListEntry, read_list
from im2rec.packing import make_list as module
from im2rec.packing.list_files import FoundImage
from im2rec.packing.make_list import ListOptions, divide, list_names, make_list, walk_folder
from im2rec.packing.split import shares, split_sizes, stratified_sizes
from im2rec.progress import Phase
from im2rec.storage.classes import read_classes
from im2rec.storage.output import AtomicFile


def tree(root: Path, *names: str) -> Path:
    """Empty files below *root*: a walk never opens them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def walked(root: Path, **options: object) -> list[tuple[int, str]]:
    return [(label, path) for label, path in walk_folder(root, ListOptions(**options)).images]  # type: ignore[arg-type]


def entries(path: Path) -> list[ListEntry]:
    found = list(read_list(path.read_text(encoding="utf-8").splitlines()))
    assert all(isinstance(entry, ListEntry) for entry in found)
    return found  # type: ignore[return-value]


# The walk.


def test_files_come_before_sub_folders_and_both_in_string_order(tmp_path: Path) -> None:
    tree(tmp_path, "b/x.jpg", "b/a/z.jpg", "B/x.jpg", "z.jpg", "Z.jpg", "a.jpg", "a-b/x.jpg", "a/10.jpg", "a/9.jpg")

    assert [
        (0, "Z.jpg"),
        (0, "a.jpg"),
        (0, "z.jpg"),
        (1, "B/x.jpg"),
        (2, "a/10.jpg"),
        (2, "a/9.jpg"),
        (3, "a-b/x.jpg"),
        (4, "b/x.jpg"),
        (5, "b/a/z.jpg"),
    ] == walked(tmp_path)


def test_a_folder_takes_its_number_at_its_first_image_and_none_without(tmp_path: Path) -> None:
    tree(tmp_path, "a/readme.txt", "b/c/1.jpg", "d/.hidden.jpg", "e/1.png")
    walk = walk_folder(tmp_path, ListOptions())

    assert [FoundImage(0, "b/c/1.jpg"), FoundImage(1, "e/1.png")] == walk.images
    assert ["b/c", "e"] == walk.classes


def test_suffixes_match_in_any_case_and_may_be_given_with_or_without_their_dot_and_star(tmp_path: Path) -> None:
    tree(tmp_path, "a.jpg", "b.JPG", "c.JpEg", "d.png", "e.gif", "f.tar.jpg", "jpg", "g.jpgx", "h.webp")

    assert ["a.jpg", "b.JPG", "c.JpEg", "d.png", "f.tar.jpg"] == [path for _, path in walked(tmp_path)]
    for words in [("gif", "webp"), (".GIF", ".WebP"), ("*.gif", "*.WEBP"), (" gif", "webp "), ("", "gif", "webp", ".")]:
        assert ["e.gif", "h.webp"] == [path for _, path in walked(tmp_path, extensions=words)]


def test_hidden_files_and_folders_are_left_out_and_counted(tmp_path: Path) -> None:
    tree(tmp_path, ".a.jpg", ".git/b.jpg", ".git/c.jpg", "d/.jpg", "d/e.jpg", "d/notes.txt")
    walk = walk_folder(tmp_path, ListOptions())

    assert [FoundImage(0, "d/e.jpg")] == walk.images
    assert {"hidden": 3, "other suffix": 1} == dict(walk.left_out)
    assert {".txt": 1} == dict(walk.suffixes)


def test_flat_takes_the_roots_own_files_with_label_0(tmp_path: Path) -> None:
    tree(tmp_path, "b.jpg", "a.jpg", "c/d.jpg")
    walk = walk_folder(tmp_path, ListOptions(flat=True))

    assert [FoundImage(0, "a.jpg"), FoundImage(0, "b.jpg")] == walk.images
    assert ["."] == walk.classes


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_linked_folders_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", "a/1.jpg", "b/2.jpg")
    tree(tmp_path / "elsewhere", "3.jpg")
    (root / "a" / "back").symlink_to(root)
    (root / "b" / "self").symlink_to(root / "b")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    (root / "d").symlink_to(tmp_path / "elsewhere")
    (root / "e.jpg").symlink_to(root / "a" / "1.jpg")
    walk = walk_folder(root, ListOptions())

    assert [
        FoundImage(0, "e.jpg"),
        FoundImage(1, "a/1.jpg"),
        FoundImage(2, "b/2.jpg"),
        FoundImage(3, "c/3.jpg"),
    ] == walk.images
    assert {"linked folder walked already": 3} == dict(walk.left_out)


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
@pytest.mark.parametrize("target", ["gone.jpg", "broken"])  # "broken" is the link itself
def test_a_broken_link_is_counted_and_hides_nothing_else(tmp_path: Path, target: str) -> None:
    names = [f"{number}.jpg" for number in range(10)]
    tree(tmp_path, *names)
    (tmp_path / "broken").symlink_to(tmp_path / target)
    tree(tmp_path, *(f"a/{name}" for name in names))
    walk = walk_folder(tmp_path, ListOptions())

    assert [*names, *(f"a/{name}" for name in names)] == [item.path for item in walk.images]
    assert {"neither file nor folder": 1} == dict(walk.left_out)


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be on Windows")
def test_names_that_cannot_be_written_in_a_list_are_reported(tmp_path: Path) -> None:
    names = [" a.jpg", "a\tb.jpg", "a\nb.jpg", "a\rb.jpg", "new\nline/a.jpg"]
    walk = walk_folder(tree(tmp_path, "z.jpg", *names), ListOptions())

    assert [FoundImage(0, "z.jpg")] == walk.images
    assert {"name cannot stand in a list": 5} == dict(walk.left_out)
    assert sorted(
        f"{name!r}: name cannot stand in a list (a TAB, a line break, or a blank at an end); rename it"
        for name in names
    ) == sorted(walk.problems)


def test_undecodable_names_keep_their_bytes(tmp_path: Path) -> None:
    try:
        tree(tmp_path / "root", os.fsdecode(b"caf\xe9/\xff.jpg"))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes Unicode names only")
    make_list(tmp_path / "root", tmp_path / "l")

    assert b"0\t0\tcaf\xe9/\xff.jpg\n" == (tmp_path / "l.lst").read_bytes()
    assert b"caf\xe9\n" == (tmp_path / "l.classes.txt").read_bytes()


def test_an_unreadable_folder_is_reported_and_the_walk_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "a/1.jpg", "b/2.jpg")
    real = os.scandir

    def scandir(path: os.PathLike[str]) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(module.os, "scandir", scandir)
    walk = walk_folder(tmp_path, ListOptions())

    assert [FoundImage(0, "b/2.jpg")] == walk.images
    assert ["'a': unreadable folder: permission denied"] == walk.problems


def test_progress_counts_the_images_found(tmp_path: Path) -> None:
    counts: list[int] = []
    make_list(tree(tmp_path / "r", "a.jpg", "b/1.jpg", "b/2.jpg"), tmp_path / "l", progress=counts.append)

    assert [1, 3] == counts


def test_progress_counts_the_images_of_a_large_folder_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("im2rec.packing.make_list._TOLD_FILES", 2)
    counts: list[int] = []
    root = tree(tmp_path / "r", "a.jpg", "b/1.jpg", "b/2.txt", "b/3.jpg", "b/4.jpg", "b/5.jpg")
    make_list(root, tmp_path / "l", progress=counts.append)

    assert [1, 5] == [counts[0], counts[-1]]
    assert 4 == len(counts)
    assert sorted(counts) == counts


def test_progress_in_phases_counts_the_lines_that_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.packing.list_files._LINES_AT_ONCE", 2)
    calls: list[tuple[Any, ...]] = []

    class Phases:
        def __call__(self, *now: float) -> None:
            calls.append(now)

        def begin_phase(self, phase: Phase) -> None:
            calls.append((phase.what,))

    root = tree(tmp_path / "r", "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    make_list(root, tmp_path / "l", ListOptions(split=(0.6, 0.4)), progress=Phases())

    assert [(5,), ("writing",), (2, 0.4), (3, 0.6), (5, 1.0)] == calls


# Class numbers.


def test_the_classes_file_has_one_folder_per_line(tmp_path: Path) -> None:
    make_list(tree(tmp_path / "r", "a.jpg", "b/1.jpg", "b/c d/2.jpg", "e/3.txt"), tmp_path / "l")

    assert b".\nb\nb/c d\n" == (tmp_path / "l.classes.txt").read_bytes()


def test_a_given_classes_file_fixes_the_labels(tmp_path: Path) -> None:
    (tmp_path / "map").write_bytes("\ufeffz\r\nb\r\nnobody\r\na\r\n".encode())
    summary = make_list(
        tree(tmp_path / "r", "a/1.jpg", "b/1.jpg", "z/1.jpg"), tmp_path / "l", ListOptions(classes=tmp_path / "map")
    )

    assert b"0\t3\ta/1.jpg\n1\t1\tb/1.jpg\n2\t0\tz/1.jpg\n" == (tmp_path / "l.lst").read_bytes()
    assert b"z\nb\nnobody\na\n" == (tmp_path / "l.classes.txt").read_bytes()
    assert {"z": 1, "b": 1, "nobody": 0, "a": 1} == summary.class_images
    assert ["1 of the 4 classes has no image, 'nobody' for one"] == summary.warnings


def test_a_folder_that_is_not_in_the_classes_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "map").write_text("a\n")
    options = ListOptions(classes=tmp_path / "map")

    assert f"{tmp_path / 'map'}: has no line for the folder 'b' (add it at the end)" == message_of(
        make_list, tree(tmp_path / "r", "a/1.jpg", "b/1.jpg"), tmp_path / "l", options
    )
    assert ["map", "r"] == names_in(tmp_path)


def test_the_classes_file_that_was_written_can_be_given_again(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", "b/1.jpg", "c/1.jpg")
    make_list(root, tmp_path / "l")
    tree(root, "a/1.jpg", "b/2.jpg")
    (tmp_path / "l.classes.txt").write_text("b\nc\na\n")

    make_list(root, tmp_path / "l", ListOptions(classes=tmp_path / "l.classes.txt"), force=True)
    assert ["2\ta/1.jpg", "0\tb/1.jpg", "0\tb/2.jpg", "1\tc/1.jpg"] == [
        line.partition("\t")[2] for line in (tmp_path / "l.lst").read_text().splitlines()
    ]


WRONG_CLASSES = {
    "a\nb\na\n": ", line 3: 'a' is on two lines",
    "a\n\nb\n": ", line 2: is empty",
    "": ", line 1: is empty",
}


def test_a_classes_file_with_an_empty_or_repeated_line_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "map"
    for text, expected in WRONG_CLASSES.items():
        path.write_text(text)
        assert f"{path}{expected} (one folder a line, line 1 is label 0)" == message_of(read_classes, path)


def test_a_missing_classes_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="map: cannot be read: no such file or directory"):
        make_list(tree(tmp_path, "a.jpg"), tmp_path / "l", ListOptions(classes=tmp_path / "map"))


# Shares and sizes.

GOOD_SHARES = {
    (1,): (1,),
    (0.9,): (0.9, 1 - 0.9),
    (0,): (0, 1),
    (0.5, 0.5): (0.5, 0.5),
    (0.8, 0.1, 0.1): (0.8, 0.1, 0.1),
    (0.7, 0.2, 0.1): (0.7, 0.2, 0.1),  # 0.99999... in floating point
    (1, 0): (1, 0),
}


def test_one_share_gets_the_rest_as_its_second() -> None:
    assert GOOD_SHARES == {given: shares(given) for given in GOOD_SHARES}


BAD_SHARES = {
    (): "--split  has 0 values (give one to three, as in 0.8,0.1,0.1)",
    (0.25,) * 4: "--split 0.25,0.25,0.25,0.25 has 4 values (give one to three, as in 0.8,0.1,0.1)",
    (1.1,): "--split 1.1 must hold shares from 0 to 1",
    (-0.1,): "--split -0.1 must hold shares from 0 to 1",
    (1.5, -0.5): "--split 1.5,-0.5 must hold shares from 0 to 1",
    (float("nan"),): "--split nan must hold shares from 0 to 1",
    (float("inf"), 0): "--split inf,0 must hold shares from 0 to 1",
    (0.9, 0.2): "--split 0.9,0.2 adds up to 1.1, not to 1",
    (0.5, 0.2, 0.2): "--split 0.5,0.2,0.2 adds up to 0.9, not to 1",
}


def test_invalid_shares_are_refused() -> None:
    assert BAD_SHARES == {given: message_of(shares, given) for given in BAD_SHARES}


SIZES = [
    (10, (0.9, 0.1), [9, 1]),
    (10, (0.7, 0.3), [7, 3]),
    (10, (0.7, 1 - 0.7), [7, 3]),
    (10, (0.6, 0.3, 0.1), [6, 3, 1]),
    (45, (0.7, 1 - 0.7), [32, 13]),  # 31.5 and 13.5 on paper, where the earlier share comes first
    (9, (0.5, 0.5), [5, 4]),  # im2rec.py loses one
    (8, (0.7, 0.3), [6, 2]),
    (8, (0.5, 0.25, 0.25), [4, 2, 2]),
    (1, (0.9, 0.1), [1, 0]),
    (1, (1 / 3, 1 / 3, 1 / 3), [1, 0, 0]),
    (2, (1 / 3, 1 / 3, 1 / 3), [1, 1, 0]),
    (0, (0.9, 0.1), [0, 0]),
    (7, (1.0, 0.0), [7, 0]),
    (7, (0.0, 1.0), [0, 7]),
    (1_000_003, (0.8, 0.1, 0.1), [800_003, 100_000, 100_000]),
]


def test_sizes_go_by_largest_remainder_and_lose_nothing() -> None:
    assert SIZES == [(count, split, split_sizes(count, split)) for count, split, _ in SIZES]


def test_sizes_add_up_to_the_count_even_if_the_shares_do_not_quite_add_up_to_one() -> None:
    # 3,000,000 x 0.5 / 1.0000004 is 1,499,999.4.
    assert [1_499_999, 1_500_001] == split_sizes(3_000_000, (0.5, 0.5000004))


def test_all_lists_are_on_the_disk_before_the_first_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    for name in ("finish", "rename"):
        real = getattr(AtomicFile, name)
        monkeypatch.setattr(AtomicFile, name, lambda self, name=name, real=real: (steps.append(name), real(self))[1])
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.jpg").write_bytes(b"")
    make_list(root, tmp_path / "out", ListOptions(split=(0.5, 0.5)))

    count = steps.index("rename")
    assert ["finish"] * count + ["rename"] * count == steps
    assert count >= 2


# Which image goes where.


def items(labels: str) -> list[FoundImage]:
    return [FoundImage(int(label), f"{number}.jpg") for number, label in enumerate(labels)]


def ids(lists: list[list[tuple[int, FoundImage]]]) -> list[list[int]]:
    return [[id_ for id_, _ in entries] for entries in lists]


def test_another_seed_gives_another_order_and_keeps_ids_with_their_images() -> None:
    (shuffled,) = divide(items("0" * 10), ListOptions(shuffle=True, seed=7))

    assert [4, 0, 5, 9, 3, 1, 6, 8, 7, 2] != [id_ for id_, _ in shuffled]
    assert items("0" * 10) == [item for _, item in sorted(shuffled)]


def test_parts_are_taken_in_order_train_first() -> None:
    assert [[0, 1, 2, 3, 4], [5, 6], [7]] == ids(divide(items("0" * 8), ListOptions(split=(0.6, 0.25, 0.15))))
    assert [[0, 4, 7, 5, 1, 6], [3, 2]] == ids(divide(items("0" * 8), ListOptions(shuffle=True, split=(0.75,))))


def test_chunks_are_cut_before_the_split() -> None:
    assert [[0, 1, 2], [3], [4, 5], [6]] == ids(divide(items("0" * 7), ListOptions(chunks=2, split=(0.7,))))


def test_chunks_have_equal_lengths_but_for_the_last() -> None:
    assert [[0, 1], [2, 3], [4]] == ids(divide(items("0" * 5), ListOptions(chunks=3)))
    assert [[0], [1], [2]] == ids(divide(items("0" * 3), ListOptions(chunks=3)))


@pytest.mark.parametrize(("chunks", "count", "size"), [(3, 4, 2), (4, 9, 3), (2, 1, 1)])
def test_chunks_that_would_leave_a_list_empty_are_refused(chunks: int, count: int, size: int) -> None:
    expected = f"--chunks={chunks} leaves lists empty: {count} images, {size} in a list"
    assert expected == message_of(divide, items("0" * count), ListOptions(chunks=chunks))


def test_stratifying_keeps_the_shares_inside_every_class() -> None:
    lists = divide(items("0000111122"), ListOptions(stratify=True, split=(0.5,)))

    assert [[0, 1, 4, 5, 8], [2, 3, 6, 7, 9]] == ids(lists)
    shuffled = divide(items("0011223301230123"), ListOptions(stratify=True, shuffle=True, split=(0.75,)))
    assert [{0: 3, 1: 3, 2: 3, 3: 3}, {0: 1, 1: 1, 2: 1, 3: 1}] == [
        {label: sum(item.label == label for _, item in part) for label in range(4)} for part in shuffled
    ]


def test_stratifying_many_small_classes_keeps_the_shares_of_the_whole() -> None:
    def stratified(labels: str, *split: float) -> list[list[int]]:
        return ids(divide(items(labels), ListOptions(stratify=True, split=split)))

    # Rounded alone, each class of one image would be in the first list.
    assert [[0, 1], [2, 3]] == stratified("0123", 0.5, 0.5)
    assert [[0, 1, 2, 3, 4], [5, 6]] == stratified("0123456", 0.7, 0.3)
    assert [[0, 1, 2, 3], [4, 5], [6, 7]] == stratified("01234567", 0.5, 0.25, 0.25)


STRATIFIED = [
    # A class of one image is in train while larger classes can give: 9.6, 8.8 and 0.8 of 19 images.
    ([12, 11, 1], (0.8, 0.2), [[9, 3], [9, 2], [1, 0]]),
    ([1, 12, 11], (0.8, 0.2), [[1, 0], [9, 3], [9, 2]]),
    # 0.3 of one image comes before 0.6 of a class that has images in train without it.
    ([2] * 3 + [1], (0.3, 0.7), [[1, 1], [1, 1], [0, 2], [0, 1]]),
    ([12, 1, 1], (0.3, 0.7), [[3, 9], [1, 0], [0, 1]]),
    # Halves of odd classes: the earlier classes give theirs to train, those of one image before all others.
    ([3, 5, 1, 1], (0.5, 0.5), [[1, 2], [2, 3], [1, 0], [1, 0]]),
    ([3, 5, 7, 9], (0.5, 0.5), [[2, 1], [3, 2], [3, 4], [4, 5]]),
    ([1, 2, 3], (0.8, 0.1, 0.1), [[1, 0, 0], [2, 0, 0], [2, 1, 0]]),
    ([100_001, 1, 1, 1], (0.9, 0.1), [[90_001, 10_000], [1, 0], [1, 0], [1, 0]]),
    ([100_000, 1, 1, 1], (0.9, 0.1), [[90_000, 10_000], [1, 0], [1, 0], [1, 0]]),
    ([5, 0, 3], (1.0, 0.0), [[5, 0], [0, 0], [3, 0]]),
    ([5, 1], (0.0, 0.5, 0.5), [[0, 3, 2], [0, 0, 1]]),
    # Each class that gives the first list one more gains as much; only a class of 3 leaves the third list its images.
    ([6, 6, 3, 3], (1 / 2, 1 / 3, 1 / 6), [[3, 2, 1], [3, 2, 1], [2, 1, 0], [1, 1, 1]]),
]


def test_every_class_has_its_share_rounded_down_or_up_and_as_many_as_possible_are_in_train() -> None:
    assert STRATIFIED == [
        (counts, split, list(map(list, stratified_sizes(counts, split)))) for counts, split, _ in STRATIFIED
    ]


def test_a_thousand_classes_of_one_image_fill_the_lists_in_turn() -> None:
    sizes = stratified_sizes([1] * 1000, (0.8, 0.1, 0.1))

    assert [800, 100, 100] == [sum(column) for column in zip(*sizes, strict=True)]
    assert [(1, 0, 0)] * 800 == sizes[:800]


def test_classes_of_one_size_share_what_their_sizes_come_from() -> None:
    # Over 1,100 bytes for each class before: a folder may have a hundred thousand of them.
    counts = [2] * 10_000

    assert peak_bytes(lambda: stratified_sizes(counts, (0.8, 0.1, 0.1))) < 300 * len(counts)


def test_totals_that_no_rounding_of_the_classes_gives_lose_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    # Thirds as 0.3333333 give such totals, from ten million classes on.
    monkeypatch.setattr("im2rec.packing.split.split_sizes", lambda *_: [3, 2, 1])

    assert [(1, 1, 1), (1, 1, 1)] == stratified_sizes([3, 3], (0.3333333, 0.3333333, 0.3333334))


def test_stratifying_a_shuffled_list_depends_on_its_seed_alone() -> None:
    def trained(seed: int) -> list[int]:
        options = ListOptions(stratify=True, shuffle=True, seed=seed, split=(0.5,))
        return [item.label for _, item in divide(items("0123456789"), options)[0]]

    assert trained(1) == trained(1) != trained(2)
    assert 5 == len(trained(2))


def test_stratifying_splits_every_chunk() -> None:
    lists = divide(items("0001112220001112"), ListOptions(stratify=True, chunks=2, split=(0.5,)))

    assert [[0, 1, 3, 6], [2, 4, 5, 7], [8, 9, 10, 12], [11, 13, 14, 15]] == ids(lists)


def test_classes_without_a_training_image_are_named(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", *(f"{kind}/1.jpg" for kind in "abcde"))
    options = ListOptions(stratify=True, split=(0.6,))
    summary = make_list(root, tmp_path / "l", options)

    assert ["d", "e"] == summary.classes_without_train
    assert [f"{tmp_path / 'l_train.lst'}: no image of 2 of 5 classes: 'd', 'e'"] == summary.warnings


def test_the_warning_about_many_classes_without_a_training_image_is_one_line(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", *(f"{number:02}/1.jpg" for number in range(40)))
    summary = make_list(root, tmp_path / "l", ListOptions(shuffle=True, split=(0.5,), chunks=2))

    names = ", ".join(map(repr, summary.classes_without_train[:10]))
    train = tmp_path / "l_0_train.lst"
    assert 20 == len(summary.classes_without_train)
    assert [f"{train} and other chunks: no image of 20 of 40 classes: {names} and 10 more"] == summary.warnings


def test_a_class_with_an_image_in_the_training_list_of_any_chunk_is_not_named(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", "a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg")

    assert [] == make_list(root, tmp_path / "l", ListOptions(split=(0.5,), chunks=2)).warnings


def test_list_names_contain_chunk_and_part() -> None:
    def names(**options: object) -> list[str]:
        return [os.fspath(path) for path in list_names(Path("p"), ListOptions(**options))]  # type: ignore[arg-type]

    assert ["p.lst"] == names()
    assert ["p.lst"] == names(split=(1,))
    assert ["p_train.lst", "p_test.lst"] == names(split=(0.9,))
    assert ["p_train.lst", "p_val.lst", "p_test.lst"] == names(split=(0.8, 0.1, 0.1))
    assert ["p_0.lst", "p_1.lst"] == names(chunks=2)
    assert ["p_0_train.lst", "p_0_test.lst", "p_1_train.lst", "p_1_test.lst"] == names(chunks=2, split=(0.5,))


BAD_OPTIONS: dict[str, dict[str, Any]] = {
    "--chunks=0 must be 1 or more": {"chunks": 0},
    "--exts names no suffix (for one: --exts jpg,png)": {"extensions": ("", " ", ".")},
    "--split 0.4,0.4 adds up to 0.8, not to 1": {"split": (0.4, 0.4)},
}


def test_invalid_options_are_refused() -> None:
    assert list(BAD_OPTIONS) == [message_of(ListOptions, **options) for options in BAD_OPTIONS.values()]


# The files.


def test_the_prefix_is_the_folders_name_in_the_current_directory(here: Path) -> None:
    tree(here / "data" / "photos.v1", "a.jpg")
    summary = make_list("data/photos.v1/")

    assert {"photos.v1.lst": 1} == summary.lists
    assert ["data", "photos.v1.classes.txt", "photos.v1.lst"] == names_in(here)


def test_a_root_named_by_dots_gets_the_name_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree(tmp_path / "photos", "a.jpg"))

    assert {"photos.lst": 1} == make_list(".", dry_run=True).lists


def test_a_prefix_without_a_name_is_a_parameter_or_output_error(tmp_path: Path) -> None:
    tree(tmp_path, "a.jpg")
    for prefix in (".", "", "/"):
        with pytest.raises((ParameterError, OutputError)):
            make_list(tmp_path, prefix, dry_run=True)


def test_the_summary_counts_images_classes_and_what_was_left_out(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", "a/1.jpg", "a/2.jpg", "b/1.jpg", "b/x.txt", ".h")
    summary = make_list(root, tmp_path / "l", ListOptions(split=(0.5,)))

    assert 3 == summary.images
    assert {"a": 2, "b": 1} == summary.class_images
    assert {"hidden": 1, "other suffix": 1} == summary.left_out
    assert [2, 1] == list(summary.lists.values())
    assert os.fspath(tmp_path / "l.classes.txt") == summary.classes_file
    mixed = f"{tmp_path / 'l_train.lst'} has images of 1 of the 2 classes; --shuffle or --stratify mixes them"
    assert [] == summary.problems
    assert [mixed] == summary.warnings
    assert not summary.dry_run


@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        ({"stratify": True}, ["--stratify has no effect without --split"]),
        ({"seed": 3}, ["--seed has no effect without --shuffle"]),
        ({"seed": 3, "shuffle": True}, []),
        ({"stratify": True, "split": (0.5,)}, []),
    ],
)
def test_an_option_that_another_one_needs_gives_a_warning(
    tmp_path: Path, options: dict[str, Any], warnings: list[str]
) -> None:
    root = tree(tmp_path / "r", "a/1.jpg", "a/2.jpg")
    assert warnings == make_list(root, tmp_path / "l", ListOptions(**options)).warnings


ORDERS: list[tuple[dict[str, Any], bool]] = [
    ({"split": (0.5,)}, True),
    ({"split": (0.5,), "shuffle": True}, False),
    ({"split": (0.5,), "stratify": True}, False),
    ({"split": (0.5,), "shuffle": True, "stratify": True}, False),
    ({"chunks": 2}, False),
    ({}, False),
]


@pytest.mark.parametrize(("options", "warned"), ORDERS)
def test_only_a_split_in_walk_order_gives_the_warning_that_classes_are_missing(
    tmp_path: Path, options: dict[str, Any], warned: bool
) -> None:
    # One image in each of two classes: every first list of two lacks a class.
    root = tree(tmp_path / "r", "a/1.jpg", "b/1.jpg")
    warnings = make_list(root, tmp_path / "l", ListOptions(**options)).warnings

    assert warned == any("--shuffle or --stratify mixes them" in warning for warning in warnings)


def test_a_split_in_walk_order_with_every_class_in_the_first_list_gives_no_warning(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", "a/1.jpg", "b/1.jpg", "b/2.jpg")
    assert [] == make_list(root, tmp_path / "l", ListOptions(split=(0.7,))).warnings


def test_a_root_that_is_a_file_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "f.jpg").touch()
    expected = f"{tmp_path / 'f.jpg'}: is not a folder (name the folder that holds the images)"
    assert expected == message_of(make_list, tmp_path / "f.jpg", tmp_path / "l")


@pytest.mark.parametrize("name", ["l_test.lst", "l.classes.txt"])
def test_an_existing_file_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    root = tree(tmp_path / "r", "a.jpg", "b.jpg")
    (tmp_path / name).write_text("mine\n")

    expected = f"{tmp_path / name}: exists already (replace it with force=True, or choose another name)"
    for dry_run in (False, True):
        assert expected == message_of(make_list, root, tmp_path / "l", ListOptions(split=(0.5,)), dry_run=dry_run)
    assert sorted([name, "r"]) == names_in(tmp_path)
    assert "mine\n" == (tmp_path / name).read_text()


def test_when_one_file_cannot_be_written_none_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = AtomicFile.write

    def write(self: AtomicFile, data: bytes) -> None:
        if self.path.name == "l_test.lst":
            raise OutputError(f"{self.path}: cannot be written: no space left on device")
        real(self, data)

    monkeypatch.setattr(AtomicFile, "write", write)
    with pytest.raises(OutputError, match=r"l_test\.lst: cannot be written: no space left on device"):
        make_list(tree(tmp_path / "r", "a.jpg", "b.jpg"), tmp_path / "l", ListOptions(split=(0.5,)))
    assert ["r"] == names_in(tmp_path)


def test_files_get_their_names_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A run that is killed between two renames then leaves the first lists.
    renamed: list[str] = []
    real = AtomicFile.rename
    monkeypatch.setattr(AtomicFile, "rename", lambda file: (renamed.append(file.path.name), real(file))[1])
    summary = make_list(tree(tmp_path / "r", "a.jpg", "b.jpg"), tmp_path / "l", ListOptions(split=(0.5,)))

    assert ["l_train.lst", "l_test.lst"] == renamed[:2]
    assert sorted(["r", *renamed]) == names_in(tmp_path)
    assert 2 == summary.images


NO_IMAGES: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    ((), {}, "holds no images (.jpg, .jpeg, .png) (is it the right folder?)"),
    (
        ("a.gif", "b.txt"),
        {},
        "holds no images (.jpg, .jpeg, .png) (other suffixes: .gif (1), .txt (1); list them with --exts)",
    ),
    (("a/b.jpg",), {"flat": True}, "holds no images (.jpg, .jpeg, .png) (without --flat sub-folders are searched too)"),
    (("a.jpg",), {"extensions": ["gif"]}, "holds no images (.gif) (other suffixes: .jpg (1); list them with --exts)"),
]


def test_a_folder_without_images_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    for number, (names, options, expected) in enumerate(NO_IMAGES):
        root = tmp_path / "r" / str(number)
        root.mkdir(parents=True)
        tree(root, *names)
        assert f"{root}: {expected}" == message_of(make_list, root, tmp_path / "l", ListOptions(**options))
    assert ["r"] == names_in(tmp_path)


def test_a_prefix_in_a_missing_folder_is_an_error_before_the_walk(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", "a.jpg")
    counts: list[int] = []

    assert f"{tmp_path / 'no' / 'l.lst'}: the folder {tmp_path / 'no'} is missing (make it first)" == message_of(
        make_list, root, tmp_path / "no" / "l", progress=counts.append
    )
    assert [] == counts


def test_a_million_files_cost_less_than_a_kilobyte_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 20_000
    monkeypatch.setattr(
        module, "_list_folder", lambda *_: ([f"n{number:08}_{number}.jpeg" for number in range(count)], [])
    )
    tracemalloc.start()
    try:
        make_list(tmp_path, tmp_path / "l", ListOptions(shuffle=True, split=(0.9,), stratify=True))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1000 * count

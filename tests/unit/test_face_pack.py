"""Sets for face recognition made from lists: what published readers assume of them holds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from face_pack_helpers import FILES, GOLDEN_SETS, FaceCase, a_case, as_by_identity, as_published, keyed_records
from face_set_helpers import face_set_of
from image_helpers import encoded, im2rec, names_in, records_of, texture, write_images
from pack_helpers import files_in, without_times

import im2rec as package
from im2rec.errors import InputError, ParameterError
from im2rec.format import insightface
from im2rec.format.heads import MAGIC
from im2rec.packing import pack as pack_module
from im2rec.packing.face_pack import FaceOptions, pack_faces
from im2rec.packing.pack import PackOptions
from im2rec.packing.params import PackParams
from im2rec.storage.identities import classes_of


def images_of(case: FaceCase, *numbers: int) -> list[bytes]:
    return [(case.root / f"{number}.jpg").read_bytes() for number in numbers]


def published(case: FaceCase) -> list[tuple[int, float, bytes]]:
    """What the published readers find, which agree, in a set that our own reader finds right, too."""
    records = keyed_records(case.out)
    found = as_published(records)
    assert found == as_by_identity(records)
    assert [key for key, _, _ in found] == list(range(1, len(found) + 1))
    assert all(record.header.id == key and record.header.id2 == 0 for key, record in records.items())
    with package.open(case.out / "train.rec") as rec:
        kinds = face_set_of(rec)
        assert kinds.header is not None
        assert (len(found), len(kinds.identities)) == (kinds.header.images, kinds.header.identities)
        assert [label for _, label, _ in found] == classes_of(rec, kinds.images).tolist()
    return found


def test_identities_follow_each_other_with_their_records_behind_the_images(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    summary = case.pack()

    order = [1, 3, 0, 2, 5, 4]
    expected = zip(range(1, 7), [0, 0, 1, 1, 1, 2], images_of(case, *order), strict=True)
    assert list(expected) == published(case)
    assert [1, 2, 3, 4, 5, 6, 0, 7, 8, 9] == list(keyed_records(case.out))
    assert FILES == names_in(case.out)
    assert b"3,8,8\n" == (case.out / "property").read_bytes()
    assert "label\tlist_label\timages\n0\t3\t2\n1\t7\t3\n2\t20\t1\n" == (case.out / "train.labels.tsv").read_text()
    assert summary.faces is not None
    assert {
        "list_form": "im2rec",
        "reordered": True,
        "identities": 3,
        "identities_left_out": 0,
        "images_least": 1,
        "images_median": 2.0,
        "images_most": 3,
        "has_header": True,
        "height": 8,
        "width": 8,
        "other_sizes": 0,
    } == dataclasses.asdict(summary.faces)
    assert (6, {}, []) == (summary.images, summary.bad, summary.warnings)
    assert sorted(summary.files) == sorted(str(case.out / name) for name in FILES)


def golden_case(folder: Path, lines: str) -> FaceCase:
    """The faces of the golden sets, which the list *lines* names."""
    for number, record in enumerate(records_of(GOLDEN_SETS / "scalar" / "train.rec")[:12]):
        path = folder / "pictures" / "ABCD"[number // 3] / f"{number % 3}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record.content)
    (folder / "golden.lst").write_text(lines)
    return FaceCase(folder / "golden.lst", folder / "pictures", folder / "set")


def test_the_set_has_the_records_of_the_published_builder(tmp_path: Path) -> None:
    """RecBuilder writes the header last, with an id2 of 1; all else is equal byte for byte."""
    case = golden_case(tmp_path, "".join(f"{n}\t{n // 3}\t{'ABCD'[n // 3]}/{n % 3}.jpg\n" for n in range(12)))
    case.pack()

    ours, theirs = keyed_records(case.out), keyed_records(GOLDEN_SETS / "scalar")
    assert set(ours) == set(theirs)
    for key, record in theirs.items():
        assert (record.header.flag, record.header.id, record.content) == (
            ours[key].header.flag,
            ours[key].header.id,
            ours[key].content,
        )
        assert str(record.header.label) == str(ours[key].header.label)
    ends = json.loads((GOLDEN_SETS / "expected.json").read_text())["scalar"]["records"][12]["offset"]
    assert (GOLDEN_SETS / "scalar" / "train.rec").read_bytes()[:ends] == (case.out / "train.rec").read_bytes()[:ends]
    assert (GOLDEN_SETS / "scalar" / "property").read_bytes() == (case.out / "property").read_bytes()


def test_a_list_of_face2rec2_gives_its_vectors_with_a_class_in_two_runs_made_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [*range(1, 12), 0]  # the golden list ends with the first image
    case = golden_case(
        tmp_path, "".join(f"1\tpictures/{'ABCD'[n // 3]}/{n % 3}.jpg\t{n // 3}\t1\t2\t3\t4\n" for n in order)
    )
    monkeypatch.chdir(tmp_path)
    case.params = PackParams(unchanged=True, pack_label=True)
    summary = case.pack()

    theirs = as_published(keyed_records(GOLDEN_SETS / "face2rec2"))
    grouped = [*theirs[:2], theirs[11], *theirs[2:11]]
    assert [(label, content) for _, label, content in grouped] == [
        (label, content) for _, label, content in published(case)
    ]
    assert {(2, 1.0)} == {
        (r.header.flag, float(r.header.label[1])) for r in list(keyed_records(case.out).values())[:12]
    }
    assert summary.faces is not None
    assert ("face2rec2", True, 4) == (summary.faces.list_form, summary.faces.reordered, summary.faces.identities)
    assert (0, []) == (summary.outside, summary.warnings)


def test_paths_of_face2rec2_are_looked_for_as_given_and_then_below_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = golden_case(tmp_path, "1\tA/0.jpg\t0\n1\tB/0.jpg\t1\n")
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path, ["A/0.jpg"], height=8, width=8)
    case.pack()

    expected = [(tmp_path / "A/0.jpg").read_bytes(), (case.root / "B/0.jpg").read_bytes()]
    assert expected == [content for _, _, content in published(case)]
    assert "1 image has another size than the first, 8 x 8" in case.pack(force=True).warnings[0]
    # A list of im2rec names files below ROOT alone.
    case.listed.write_text("0\t0\tA/0.jpg\n1\t1\tB/0.jpg\n")
    case.pack(force=True)
    assert (case.root / "A/0.jpg").read_bytes() == published(case)[0][2]


def test_keys_and_classes_have_no_gaps_where_images_are_left_out(tmp_path: Path) -> None:
    case = a_case(tmp_path, (7, 3, 7, 3, 20, 7), bad=[0, 1, 3])
    summary = case.pack()

    assert list(zip((1, 2, 3), (0, 0, 1), images_of(case, 2, 5, 4), strict=True)) == published(case)
    assert b"2,8,8\n" == (case.out / "property").read_bytes()
    assert "label\tlist_label\timages\n0\t7\t2\n1\t20\t1\n" == (case.out / "train.labels.tsv").read_text()
    assert summary.faces is not None
    assert (2, 1) == (summary.faces.identities, summary.faces.identities_left_out)
    report = [json.loads(line) for line in (case.out / "train.rec.bad.jsonl").read_text().splitlines()]
    assert [(2, 101), (4, 103), (1, 100)] == [(row["line"], row["id"]) for row in report]


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("params", [{"unchanged": True}, {"resize": 6, "encoding": ".png"}])
def test_the_number_of_workers_changes_no_byte(tmp_path: Path, params: dict[str, Any], workers: int) -> None:
    case = a_case(tmp_path, [n * 7 % 5 for n in range(60)], bad=[3, 10, 11, 59])
    case.params = PackParams(**params)
    (tmp_path / "l.classes.txt").write_text("a\nb\nc\nd\ne\n")
    files, expected = case.undisturbed()

    found = without_times(case.pack(workers=workers))
    for summary in (expected, found):
        del summary["kernel"]  # a worker loads it after many images, or finds it loaded by another test
    assert expected == found
    assert files == files_in(case.out)
    published(case)


def test_an_image_that_holds_the_magic_and_ids_that_are_it_are_packed_as_others_are(tmp_path: Path) -> None:
    case = a_case(tmp_path, (1, 0, 1))
    word = int.from_bytes(MAGIC, "little")
    content = encoded(texture(8, 8))
    (case.root / "0.jpg").write_bytes(content[: len(content) & -4] + MAGIC * 3 + b"xyz")
    case.listed.write_text(f"{word}\t1\t0.jpg\n{word << 32}\t0\t1.jpg\n{word << 32 | word}\t1\t2.jpg\n")
    case.pack()
    assert list(zip((1, 2, 3), (0, 1, 1), images_of(case, 1, 0, 2), strict=True)) == published(case)


def test_vectors_have_the_class_first_and_then_the_other_labels_of_the_line(tmp_path: Path) -> None:
    case = a_case(tmp_path, ("9\t0.5\t1", "4\t2.5\t3", "9\t4.5\t5"))
    assert [
        "3 images have several labels, only the first is stored; keep all with pack_label=1"
    ] == case.pack().warnings
    assert [0, 1, 1] == [label for _, label, _ in published(case)]

    case.params = PackParams(unchanged=True, pack_label=True)
    assert [] == case.pack(force=True).warnings
    assert [0, 1, 1] == [label for _, label, _ in published(case)]
    images = list(keyed_records(case.out).values())[:3]
    assert [[0, 2.5, 3], [1, 0.5, 1], [1, 4.5, 5]] == [record.header.label.tolist() for record in images]


def test_a_set_without_header_is_not_told_to_keep_vectors(tmp_path: Path) -> None:
    case = a_case(tmp_path, ("9\t0.5", "4\t2.5"))
    case.faces = FaceOptions(header=False)
    assert ["2 images have several labels, only the first is stored"] == case.pack().warnings


def test_labels_that_float32_would_round_are_classes_as_others_are(tmp_path: Path) -> None:
    case = a_case(tmp_path, (2**24 + 1, 2**24, 2**53 - 1))
    assert [] == case.pack().warnings
    assert [0, 1, 2] == [label for _, label, _ in published(case)]
    lines = (case.out / "train.labels.tsv").read_text().splitlines()
    assert [f"0\t{2**24}\t1", f"1\t{2**24 + 1}\t1", f"2\t{2**53 - 1}\t1"] == lines[1:]


# Without header record.


def test_without_header_the_keys_begin_at_0_and_published_readers_take_all(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    case.faces = FaceOptions(header=False)
    case.pack()

    records = keyed_records(case.out)
    expected = list(zip(range(6), [0, 0, 1, 1, 1, 2], images_of(case, 1, 3, 0, 2, 5, 4), strict=True))
    assert expected == as_published(records)
    assert list(range(6)) == [record.header.id for record in records.values()]
    assert b"3,8,8\n" == (case.out / "property").read_bytes()


def test_vectors_without_header_are_refused_as_readers_would_lose_all_images(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    case.faces, case.params = FaceOptions(header=False), PackParams(unchanged=True, pack_label=True)
    assert "pack_label=1 excludes --no-header: published readers would take the first image for " in case.message()
    assert not case.out.exists()


@pytest.mark.parametrize("dry_run", [False, True])
def test_too_many_keys_are_refused_before_anything_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    case = a_case(tmp_path)
    monkeypatch.setattr(insightface, "EXACT_INTEGERS", 10)
    case.pack(tmp_path / "just")
    monkeypatch.setattr(insightface, "EXACT_INTEGERS", 9)
    monkeypatch.setattr(pack_module, "pack_in_worker", None)
    message = case.message(dry_run=dry_run)
    assert message.startswith("6 images and 3 identities need keys up to 10, and the labels of header and identity ")
    assert "--no-header" in message
    assert not case.out.exists()


# Few and many images.


def test_a_set_of_one_image_has_one_identity(tmp_path: Path) -> None:
    case = a_case(tmp_path, (5,))
    case.pack()
    assert [(1, 0.0, images_of(case, 0)[0])] == published(case)


def test_a_set_of_one_identity_is_a_single_range(tmp_path: Path) -> None:
    case = a_case(tmp_path, (5, 5, 5))
    case.pack()
    assert [(key, 0.0, content) for key, content in enumerate(images_of(case, 0, 1, 2), 1)] == published(case)


def test_no_images_make_no_set_and_leave_no_folder(tmp_path: Path) -> None:
    case = a_case(tmp_path, ())
    assert f"{case.listed}: lists no images (make one with 'im2rec make-list')" == case.message()
    assert not case.out.exists()


def test_bad_images_alone_make_no_set(tmp_path: Path) -> None:
    case = a_case(tmp_path, (1, 2), bad=[0, 1])
    assert "none of its images could be packed: 2 not an image" in case.message(max_bad="2")
    assert not case.out.exists()


def test_ten_thousand_identities_in_a_shuffled_list_are_read_right(tmp_path: Path) -> None:
    count = 10_000
    case = a_case(tmp_path, (0,))
    order = sorted(range(2 * count), key=lambda n: n * 7919 % 20011)
    case.listed.write_text("".join(f"{n}\t{n % count}\t0.jpg\n" for n in order))
    summary = case.pack()

    assert [n // 2 for n in range(2 * count)] == [label for _, label, _ in published(case)]
    assert summary.faces is not None
    assert (count, 2, 2) == (summary.faces.identities, summary.faces.images_least, summary.faces.images_most)
    assert 2 * count + count + 1 == len((case.out / "train.idx").read_bytes().splitlines())


# Sizes.


def test_property_has_the_size_of_the_first_image_and_others_are_counted(tmp_path: Path) -> None:
    case = a_case(tmp_path, (1, 1, 0, 2))
    (case.root / "2.jpg").write_bytes(encoded(texture(20, 10)))
    summary = case.pack()
    assert b"3,20,10\n" == (case.out / "property").read_bytes()
    warning = "3 images have another size than the first, 20 x 10 (height x width), which property gives"
    assert [warning] == summary.warnings

    case.params = PackParams(resize=6)
    case.pack(force=True)
    assert b"3,12,6\n" == (case.out / "property").read_bytes()


def test_an_image_whose_header_gives_no_size_is_bad(tmp_path: Path) -> None:
    case = a_case(tmp_path, (0, 1))
    (case.root / "0.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    summary = case.pack()
    assert 1 == sum(summary.bad.values())
    assert [(1, 0.0, images_of(case, 1)[0])] == published(case)


# Names.


def test_class_names_beside_the_list_are_written_in_the_new_order(tmp_path: Path) -> None:
    case = a_case(tmp_path, (2, 0, 3, 2), bad=[1])
    (tmp_path / "l.classes.txt").write_bytes("no one\nnobody\nZoë\n\udce9t".encode("utf-8", "surrogateescape"))
    summary = case.pack()
    assert "Zoë\n".encode() + b"\xe9t\n" == (case.out / "train.classes.txt").read_bytes()
    expected = "label\tlist_label\timages\tname\n0\t2\t2\tZoë\n1\t3\t1\t".encode() + b"\xe9t\n"
    assert expected == (case.out / "train.labels.tsv").read_bytes()
    assert str(case.out / "train.classes.txt") in summary.files


@pytest.mark.parametrize(
    ("names", "problem"), [("a\nb\n", "has 2 names, and the list the label 2"), ("a\nb\tc\nd\n", "has a TAB in a name")]
)
def test_class_names_that_do_not_fit_are_not_copied_as_a_warning_says(tmp_path: Path, names: str, problem: str) -> None:
    case = a_case(tmp_path, (2, 0))
    (tmp_path / "l.classes.txt").write_text(names)
    assert [f"{tmp_path / 'l.classes.txt'}: {problem}; the class names are not copied"] == case.pack().warnings
    assert FILES == names_in(case.out)


# The folder.


def test_a_dry_run_says_what_would_be_and_writes_nothing(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    (case.root / "1.jpg").unlink()
    (case.root / "3.jpg").unlink()
    summary = case.pack(dry_run=True)
    assert not case.out.exists()
    assert summary.faces is not None
    assert (2, 1, 4) == (summary.faces.identities, summary.faces.identities_left_out, summary.images)
    assert summary.faces.height is None
    assert {"missing": 2} == summary.bad


def test_files_that_exist_are_replaced_with_force_only_and_others_stay(tmp_path: Path) -> None:
    case = a_case(tmp_path, bad=[0])
    (tmp_path / "l.classes.txt").write_text("".join(f"{n}\n" for n in range(21)))
    case.pack(digest=True)
    (case.out / "lfw.bin").write_bytes(b"pairs")
    for name in names_in(case.out):
        alone = tmp_path / f"alone {name}"
        alone.mkdir()
        (alone / name).write_bytes(b"")
        if name in ("lfw.bin", "train.rec.bad.jsonl"):  # a report is replaced by that of any run
            continue
        for dry_run in (False, True):
            assert f"{alone / name}: exists already" in case.message(out=alone, dry_run=dry_run)
        assert [name] == names_in(alone)

    (tmp_path / "l.classes.txt").unlink()
    (case.root / "0.jpg").write_bytes((case.root / "1.jpg").read_bytes())
    case.pack(force=True)
    assert sorted([*FILES, "lfw.bin"]) == names_in(case.out)  # names, digest and report are of the older set
    assert 6 == len(published(case))


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    case.out.write_text("")
    assert f"{case.out}: is not a folder (name a folder to write to)" == case.message()


def test_the_list_is_not_written_over(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    case.out.mkdir()
    case.listed = case.listed.rename(case.out / "train.labels.tsv")
    assert "is the list itself (choose another name for the output)" in case.message(force=True)


def test_a_set_is_in_one_part(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    case.params = PackParams(unchanged=True, nsplit=2)
    with pytest.raises(ParameterError, match="nsplit=2 excludes a set of --profile insightface"):
        case.pack()


def test_by_default_files_are_stored_as_they_are(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    pack_faces(case.listed, case.root, case.out, options=PackOptions(workers=1))
    assert images_of(case, 1, 3, 0, 2, 5, 4) == [content for _, _, content in published(case)]


def test_a_list_that_changes_while_it_is_packed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = a_case(tmp_path)
    real = pack_module.pack_in_worker

    def work(*args: Any, **options: Any) -> Any:
        case.listed.write_text(case.listed.read_text().replace("\t20\t", "\t21\t"))
        return real(*args, **options)

    monkeypatch.setattr(pack_module, "pack_in_worker", work)
    with pytest.raises(InputError, match="line 5: has changed while it was read"):
        case.pack()


def test_two_sets_of_one_list_differ_by_nothing_but_the_header(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    case.pack()
    case.faces = FaceOptions(header=False)
    case.pack(tmp_path / "without")
    code, out, _ = im2rec("inspect", tmp_path / "without" / "train.rec", "--json")
    assert (0, 6) == (code, json.loads(out)["images"])
    with_header = [(label, content) for _, label, content in published(case)]
    assert with_header == [(r.header.label, r.content) for r in records_of(tmp_path / "without" / "train.rec")]

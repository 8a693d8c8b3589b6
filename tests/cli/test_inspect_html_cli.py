"""The report of ``im2rec inspect --html``: what is in it for every kind of file, and what is refused."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from face_set_helpers import SIX, SIX_RANGES, header, written
from helpers import image_payload, write_rec
from html_helpers import Page
from image_helpers import encoded, im2rec, names_in, texture

from im2rec.format.recordio import encode_record
from im2rec.inspection.html import problems

pytestmark = pytest.mark.usefixtures("here")

JPEG = encoded(texture(48, 64))


def images(*labels: Any, content: bytes = JPEG) -> list[bytes]:
    return [image_payload(id_, label, content) for id_, label in enumerate(labels)]


def report(rec: Path | str, *options: str, code: int = 0) -> Page:
    """The report on *rec*: balanced, with no link but into itself, and no id twice."""
    ran = im2rec("inspect", rec, "--html", "r.html", *options)
    assert code == ran.code, ran.err
    page = Page.of(Path("r.html"))
    assert len(set(page.ids)) == len(page.ids)
    assert [] == [link for link in page.links if not link.startswith(("data:image/", "#"))]
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "base", "form"})
    assert [] == [name for _, name, _ in page.attributes if name.startswith("on")]
    return page


def pictures(page: Page) -> list[str]:
    return [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]


def test_a_report_says_what_the_table_says_and_names_its_command(here: Path) -> None:
    rec = write_rec(here / "größe 1.rec", images(0, 1, 1))
    table = im2rec("inspect", rec.name).out
    page = report(rec.name, "--all")

    assert "größe 1.rec - im2rec inspect" == page.title
    for line in table.splitlines()[1:-1]:
        name, _, value = line.strip().partition("  ")
        assert f"{name}{value.strip()}" in page.text
    assert "sound, not decoded" in page.text
    assert shlex.join(["im2rec", "inspect", rec.name, "--html", "r.html", "--all"]) in page.text
    assert re.search(r"im2rec 0\.\d+\.\d+, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d", page.text)
    assert f"größe 1.rec: {rec.stat().st_size:,} bytes, last changed " in page.text
    assert ["id 0, label 0", "id 1, label 1", "id 2, label 1"] == pictures(page)


def test_the_summary_leaves_out_no_row(here: Path) -> None:
    rec = written(here, [header(7, 10), *SIX, *SIX_RANGES], prop="3,16,16")
    page = report(rec, "--verify", "--profile", "insightface")

    rows = "payloads labels ids content width height faces histogram header ranges property arcface profile"
    for row in rows.split():
        assert re.search(rf"[^ ]{row}[^ ]", page.text), row
    assert "config.num_image = 6" in page.text


def test_sixty_images_are_shown_evenly_spread_over_those_that_are_there(here: Path) -> None:
    payloads = [image_payload(n, 1, JPEG if n % 2 else b"") for n in range(200)]
    page = report(write_rec(here / "a.rec", payloads), code=3)

    shown = [int(alt.split()[1].rstrip(",")) for alt in pictures(page)]
    assert 60 == len(shown)
    assert (1, 199) == (shown[0], shown[-1])
    assert all(id_ % 2 for id_ in shown)
    assert "60 of 100 images, evenly spread" in page.text


def test_a_face_set_has_a_row_for_each_identity(here: Path) -> None:
    page = report(written(here, [header(7, 10), *SIX, *SIX_RANGES], prop="3,16,16"))

    assert ["identity 0, 3 images", "identity 1, 2 images", "identity 2, 1 image"] == re.findall(
        r"identity \d, \d images?", page.text
    )
    assert 6 == len(pictures(page))
    assert "Images by identity" in page.text


def test_a_few_classes_have_a_bar_each_with_their_names(here: Path) -> None:
    write_rec(here / "a.rec", images(0, 1, 1))
    (here / "a.classes.txt").write_text("猫\n<b>قطة</b>\n", encoding="utf-8")
    page = report("a.rec")

    assert "2 classes" in page.text
    assert "0 猫11 <b>قطة</b>2" in page.text
    assert ["width:50%", "width:100%"] == [v for _, n, v in page.attributes if n == "style"][:2]
    assert "id 1, label 1 <b>قطة</b>" in pictures(page)


def test_of_many_classes_the_largest_and_the_smallest_are_named(here: Path) -> None:
    labels = [label for label in range(40) for _ in range(2 if label == 17 else 1)]
    page = report(write_rec(here / "a.rec", images(*labels)))

    assert "Images of a class40 classes; images of each: 1 to 2, median 1" in page.text
    assert "Images by labellabels 0 to 39" in page.text
    assert "Largest classes172" in page.text
    assert "Smallest classes0111" in page.text


def test_labels_that_are_no_classes_have_a_chart_of_their_values(here: Path) -> None:
    page = report(write_rec(here / "a.rec", images(*(n / 8 for n in range(40)))))

    assert "Largest" not in page.text
    assert "Images by labellabels 0 to 4.875" in page.text


def test_the_labels_of_vectors_and_the_objects_of_detection_sets_are_counted(here: Path) -> None:
    vectors = report(write_rec(here / "v.rec", images([1, 2, 3], [1, 2, 3], [4, 5])))
    boxes = [2, 5, *([1, 0, 0, 1, 1] * 2)]
    detection = report(write_rec(here / "d.rec", images(boxes, boxes, boxes[:7])), "--force")

    assert "Labels of a recordvector of 21vector of 32" in vectors.text
    assert "2 classes, by the first label of each vector" in vectors.text
    assert "Objects of an image1 to 2, median 2" in detection.text
    assert "id 0, labels 2 5 1 +9\N{NO-BREAK SPACE}more" == pictures(detection)[0]


def test_labels_that_are_no_numbers_are_a_problem_and_no_bar(here: Path) -> None:
    nan, inf = float("nan"), float("inf")
    page = report(write_rec(here / "a.rec", images(1, nan, [inf, -inf, 0.5, 3e38])), code=3)

    assert "2 records have a label that is not a finite number" in page.text
    assert ["id 0, label 1", "id 1, label nan", "id 2, labels inf -inf 0.5 +1\N{NO-BREAK SPACE}more"] == pictures(page)
    assert "1 class" in page.text


def test_charts_say_which_images_they_are_of(here: Path) -> None:
    rec = write_rec(here / "a.rec", images(*range(1001)))

    assert "from the headers of 1,000 images, evenly spread" in report(rec).text
    assert "from the headers of all images." in report(rec, "--all", "--force").text


def test_charts_name_their_range_and_their_median(here: Path) -> None:
    sizes = [(10, 20), (10, 30), (12, 90)]
    page = report(write_rec(here / "a.rec", [image_payload(n, 1, encoded(texture(*s))) for n, s in enumerate(sizes)]))

    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert "Histogram: width, 20 to 90, median 30 pixels" in labels
    assert "median 30 px" in page.text
    assert "Histogram: height, 10 to 12, median 10 pixels" in labels
    assert "10 px: 2 images" in page.text


def test_images_that_do_not_decode_are_listed_with_their_records(here: Path) -> None:
    contents = [JPEG, JPEG[:-200], b"\xff\xd8\xff\xe0garbage", encoded(texture(1, 1), "PNG")]
    write_rec(here / "a.rec", [image_payload(n + 50, n, content) for n, content in enumerate(contents)])
    page = report("a.rec", "--verify", code=3)
    failures = json.loads(im2rec("inspect", "a.rec", "--verify", "--json").out)["verification"]["failures"]

    assert "2 images that do not decode" in page.text
    for bad in failures:
        assert f"{bad['record']}{bad['id']}{bad['offset']:,}{bad['reason']}{bad['detail']}" in page.text
    assert ["id 50, label 0", "id 53, label 3"] == pictures(page)


def test_of_many_failures_the_first_are_listed_and_the_command_for_all(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "MAX_LISTED", 2)
    page = report(write_rec(here / "a b.rec", images(*range(5), content=JPEG[:-200])).name, "--verify", code=3)

    assert "the first 2" in page.text
    assert "and 3 more, which im2rec inspect 'a b.rec' --verify --json lists" in page.text


def test_the_command_for_all_has_the_options_that_the_failures_follow_from(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "MAX_LISTED", 1)
    write_rec(here / "a.rec", images(0, 1, 2))
    page = report("a.rec", "--verify", "--workers", "1", "--max-pixels", "9", "--no-idx", code=3)

    assert "and 2 more, which im2rec inspect a.rec --verify --no-idx --max-pixels 9 --json lists" in page.text


def test_a_time_that_no_calendar_has_is_left_out(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rec, found = write_rec(here / "a.rec", images(0)), Path.stat

    def in_far_future(path: Path, **options: Any) -> os.stat_result:
        stat = found(path, **options)
        return stat if path.name != rec.name else os.stat_result([*stat[:8], 1e12, *stat[9:]])

    monkeypatch.setattr(Path, "stat", in_far_future)
    page = report("a.rec")

    assert f"a.rec: {rec.stat().st_size:,} bytes" in page.text
    assert "last changed" not in page.text


def test_damage_is_listed_by_its_bytes(here: Path) -> None:
    rec = write_rec(here / "a.rec", images(*range(4)))
    data = bytearray(rec.read_bytes())
    data[len(data) // 4] ^= 255
    rec.write_bytes(data)
    page = report("a.rec", code=5)
    (damaged,) = json.loads(im2rec("inspect", "a.rec", "--json").out)["damage"]

    assert "damaged3 whole records, 0 doubtful, 1 lost of 4 in the index" in page.text
    assert "1 damaged range" in page.text
    assert f"{damaged['start']:,}{damaged['end']:,}" in page.text
    assert "im2rec recover a.rec a_recovered.rec" in page.text


def test_damage_and_doubt_are_explained_and_records_with_a_problem_are_listed(here: Path) -> None:
    payloads = images(*range(5))
    payloads[1:3] = [image_payload(71, 1, b"<html>not found</html>"), image_payload(72, 2, b"<html>too long</html>")]
    frames = [encode_record(payload) for payload in payloads]
    starts = [sum(map(len, frames[:n])) for n in range(6)]
    write_rec(here / "a.rec", payloads, index=False)
    page = report("a.rec", code=3)
    assert "damaged range" not in page.text
    assert "A doubtful record" not in page.text

    data = b"".join(frames)
    (here / "a.rec").write_bytes(data[: starts[3]] + bytes(starts[4] - starts[3]) + data[starts[4] :])
    page = report("a.rec", "--force", code=5)

    assert "4 whole records, 1 doubtful" not in page.text
    assert "3 whole records, 1 doubtful (record 2, id 72), lost: unknown without an index" in page.text
    assert "Whether the images themselves are whole was not looked at: with --verify each is decoded." in page.text
    assert "A damaged range is a piece of the file in which no whole record was found" in page.text
    assert "all others can still be read. im2rec recover saves these to a new file." in page.text
    assert "A doubtful record ends where damage begins" in page.text
    assert "3 records with a problem: 1 doubtful, 2 not an image" in page.text
    for number in (1, 2):
        assert f"{number}{70 + number}{starts[number]:,}not an imagean HTML page" in page.text

    page = report("a.rec", "--force", "--verify", code=5)
    assert "1 record with a problem: 1 doubtful" in page.text
    assert "2 images that do not decode: 2 not an image" in page.text
    assert "was not looked at" not in page.text


def test_of_many_records_with_a_problem_the_first_are_listed(here: Path) -> None:
    page = report(write_rec(here / "a.rec", images(*range(1100), content=b"text")), code=4)

    assert "the first records with a problem: 1,000 not an image" in page.text
    assert "and 800 more, which im2rec inspect a.rec --json lists" in page.text.replace(str(here / "a.rec"), "a.rec")


def test_what_readers_assume_is_listed_by_record_with_the_readers(here: Path) -> None:
    page = report(written(here, [header(7, 10), *SIX, *SIX_RANGES], prop="3,8,8"), "--profile", "insightface", code=3)

    assert "assumptions of readers fail" in page.text
    assert "11imagesis an image of 16 x 16, property says 8 x 8" in page.text
    assert "Published readers" in page.text
    assert "arcface_torch" in page.text


def test_a_wrong_index_is_a_problem(here: Path) -> None:
    rec = write_rec(here / "a.rec", images(0, 1))
    rec.with_suffix(".idx").write_text("0\t4\n1\t77\n")

    assert "problemsthe index is wrong" in report("a.rec", code=3).text


EMPTY = {
    "headerless": [b'{"a": 1}', b'{"a": 2}'],
    "no images": [image_payload(0, 1, b""), image_payload(1, 1, b"some text that is no picture")],
}


@pytest.mark.parametrize("kind", EMPTY)
def test_a_file_without_images_has_a_report_too(here: Path, kind: str) -> None:
    page = report(write_rec(here / "a.rec", EMPTY[kind]), code=4)

    assert [] == pictures(page)
    assert "no images" in page.text


def test_hostile_texts_are_shown_and_change_nothing(here: Path) -> None:
    evil = "<script>alert(1)</script>\"'&\u202e\x07" + "x" * 10_000
    rec = written(here, [header(7, 10), *SIX, *SIX_RANGES], prop=evil)
    (here / "train.classes.txt").write_text(f"{evil}\n</style>\n-->\n", encoding="utf-8")
    page = report(rec, code=3)

    assert "<script>alert(1)</script>\"'&\\u202e\\x07" in page.text
    assert Path("r.html").stat().st_size < 100_000


def test_a_report_stays_small(here: Path) -> None:
    noise = [encoded(texture(200, 200, seed=seed)) for seed in range(4)]
    write_rec(here / "a.rec", [image_payload(n, n // 2, noise[n % 4]) for n in range(1000)])
    (here / "a.classes.txt").write_text("".join(f"{n} {'name' * 2500}\n" for n in range(500)))
    report("a.rec")

    assert Path("r.html").stat().st_size < 2_000_000


def test_dry_run_writes_nothing_and_force_replaces(here: Path) -> None:
    write_rec(here / "a.rec", images(0))

    dry = im2rec("inspect", "a.rec", "--html", "r.html", "--sheet", "s.png", "--dry-run")
    assert (0, ["a.idx", "a.rec"]) == (dry.code, names_in(here))
    assert "would write  s.png, r.html" in dry.out
    assert "next: im2rec inspect a.rec --html r.html --sheet s.png" in dry.out

    both = im2rec("inspect", "a.rec", "--html", "r.html", "--sheet", "s.png", "--json")
    assert ("r.html", "s.png") == (json.loads(both.out)["html"], json.loads(both.out)["sheet"])
    assert ["a.idx", "a.rec", "r.html", "s.png"] == names_in(here)

    again = im2rec("inspect", "a.rec", "--html", "r.html")
    assert (1, "r.html: exists already (replace it with --force, or choose another name)") == (
        again.code,
        again.err.strip().removeprefix("im2rec: "),
    )
    assert "  report    r.html" in im2rec("inspect", "a.rec", "--html", "r.html", "--force").out


def test_a_report_never_replaces_what_it_is_about(here: Path) -> None:
    rec = write_rec(here / "a.html", images(0), index=False)
    (here / "i.html").write_text("0\t0\n")

    assert "is the input itself" in im2rec("inspect", rec.name, "--html", "a.html", "--force").err
    ran = im2rec("inspect", rec.name, "--idx", "i.html", "--html", "i.html", "--force")
    assert (1, True) == (ran.code, "is the input itself" in ran.err)


WRONG = {
    "--html r.txt": "must end in .html",
    "--html r.html --head 1": "--html is for the summary",
    "--html r.html --key 0": "--html is for the summary",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_usage_is_refused_before_anything_is_read(here: Path, words: str) -> None:
    write_rec(here / "a.rec", images(0))
    ran = im2rec("inspect", "a.rec", *words.split())

    assert (2, True) == (ran.code, WRONG[words] in ran.err)
    assert ["a.idx", "a.rec"] == names_in(here)

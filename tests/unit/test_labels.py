"""Labels: how many a record has, records with too few, and a list that gives others by id."""

from __future__ import annotations

import itertools
import logging
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import message_of, peak_bytes, write_rec
from image_helpers import encoded, texture
from iterator_helpers import some_params

from im2rec.errors import BadRecordError, InputError, ListFormatError
from im2rec.format.irheader import ImageRecord, IRHeader, encode_image_record
from im2rec.format.listfile import parse_labels
from im2rec.pipeline import labels as labels_module
from im2rec.pipeline.labels import HeaderLabels, Labels, ListLabels, labels_from_params
from im2rec.pipeline.records import Records

IDS = [10, 7, 3, 42, 5]
IMAGE = encoded(texture(), "PNG")
LABELS = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [17, 18, 19, 20]]


def rec(folder: Path, labels: list[Any], ids: list[int] | None = None) -> Path:
    """A file of records with these labels; ids count from 0 if not given."""
    pairs = zip(ids or itertools.count(), labels)  # noqa: B905 - one has no end
    payloads = [encode_image_record(IRHeader(0, label, id_), b"picture") for id_, label in pairs]
    return write_rec(folder / "a.rec", payloads)


def damaged(header: IRHeader, *, flag: int) -> bytes:
    """A payload of the picture IMAGE whose *flag* is wrong."""
    return struct.pack("<I", flag) + encode_image_record(header, IMAGE)[4:]


def loaded(path: Path | str, **given: Any) -> tuple[Labels, list[IRHeader]]:
    """The labels of an iterator over *path*, and the headers of all its records."""
    params = some_params(path, **given)
    records = Records(params)
    try:
        read = [record for record in map(records.read, range(records.total)) if isinstance(record, ImageRecord)]
        return labels_from_params(records, params), [record.header for record in read]
    finally:
        records.close()


def labels_from_list(folder: Path, text: str | bytes, ids: list[int] = IDS, **given: Any) -> list[list[float]]:
    """The labels that a list of *text* gives to records of these *ids*."""
    path = folder / "l.lst"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    labels, headers = loaded(rec(folder, [0.0] * len(ids), ids), path_imglist=str(path), **given)
    assert isinstance(labels, ListLabels)
    return [labels.of(header).tolist() for header in headers]


def lines(ids: list[int], separator: str = "\t", end: str = "\n") -> str:
    """A list of four labels a line."""
    pairs = zip(ids, itertools.cycle(LABELS))
    return "".join(separator.join(map(str, [id_, *row, f"p{id_}.jpg"])) + end for id_, row in pairs)


# In the records


def test_one_label_per_record_is_a_width_of_one(tmp_path: Path) -> None:
    labels, headers = loaded(rec(tmp_path, [0.5, 7.0]))

    assert 1 == labels.width
    assert labels.is_header_field
    assert 0 == labels.digest()
    assert [[0.5], [7.0]] == [labels.of(header).tolist() for header in headers]
    assert {np.dtype(np.float32)} == {labels.of(header).dtype for header in headers}


def test_the_first_record_decides_how_many_labels_all_have(tmp_path: Path) -> None:
    labels, headers = loaded(rec(tmp_path, [[1, 2, 3], [4, 5, 6]]), label_width="auto")

    assert 3 == labels.width
    assert not labels.is_header_field
    assert [[1, 2, 3], [4, 5, 6]] == [labels.of(header).tolist() for header in headers]
    assert 1 == loaded(rec(tmp_path, [[7.0], 8.0]))[0].width


def test_a_first_record_without_an_image_does_not_decide_the_width(tmp_path: Path) -> None:
    header, face = (
        encode_image_record(IRHeader(0, [4, 6], 0), b""),
        encode_image_record(IRHeader(0, [1, 2, 3], 1), b"picture"),
    )
    path = write_rec(tmp_path / "faces.rec", [header, face, header])

    assert 3 == loaded(path)[0].width
    assert 3 == loaded(path, records="all")[0].width


def test_a_file_without_images_has_a_width_of_one(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "faces.rec", [encode_image_record(IRHeader(0, [4, 6], 0), b"")])

    assert 1 == loaded(path)[0].width


def test_too_few_labels_are_an_error_with_their_number(tmp_path: Path) -> None:
    labels, headers = loaded(rec(tmp_path, [[1, 2, 3], 4.0, [5, 6]]))

    for header, count in ((headers[1], 1), (headers[2], 2)):
        with pytest.raises(BadRecordError) as caught:
            labels.of(header)
        labelled = "1 label" if count == 1 else f"{count} labels"
        hint = f"give the labels by path_imglist; label_width={count} drops labels of other records"
        assert f"has {labelled}, label_width=3 needs more ({hint})" == str(caught.value)
        assert "too few labels" == caught.value.reason


def test_a_label_width_that_was_given_and_is_too_large_is_an_error_that_tells_where_more_labels_come_from(
    tmp_path: Path,
) -> None:
    labels, headers = loaded(rec(tmp_path, [1.0]), label_width=2)

    hint = "im2rec pack stores all labels of a line with pack_label=1; or give the list as path_imglist"
    assert f"has 1 label, label_width=2 needs more ({hint})" == message_of(labels.of, headers[0])


BAD_FIRST_RECORDS = {
    "a flag far beyond the record": damaged(IRHeader(0, 0.0, 0), flag=3_774_863_615),
    "the largest flag": damaged(IRHeader(0, 0.0, 0), flag=2**32 - 1),
    "a flag just beyond the record": damaged(IRHeader(0, 0.0, 0), flag=len(IMAGE) // 4 + 1),
    "a flag that takes the start of the image for labels": damaged(IRHeader(0, 0.0, 0), flag=5),
    "text": encode_image_record(IRHeader(0, [1, 2, 3, 4], 0), b"no picture"),
    "labels alone": encode_image_record(IRHeader(0, [1, 2, 3, 4], 0), b""),
    "nothing": encode_image_record(IRHeader(0, 1.0, 0), b""),
    "half a header": bytes(10),
}


@pytest.mark.parametrize("records", ["images", "all"])
@pytest.mark.parametrize("kind", BAD_FIRST_RECORDS)
def test_a_first_record_that_is_damaged_or_holds_no_image_does_not_decide_the_width(
    tmp_path: Path, kind: str, records: str
) -> None:
    good = encode_image_record(IRHeader(0, [5, 6], 1), IMAGE)
    path = write_rec(tmp_path / "a.rec", [BAD_FIRST_RECORDS[kind], good, good])

    def width(**given: Any) -> int:
        return loaded(path, records=records, **given)[0].width

    assert peak_bytes(lambda: 2 == width()) < 1 << 20
    assert [2, 1] == [width(), width(label_width=1)]
    assert 2 == loaded(f"{path};{path}", records=records)[0].width


def test_a_first_record_with_a_wrong_length_does_not_decide_the_width(tmp_path: Path) -> None:
    payloads = [encode_image_record(IRHeader(0, labels, 1), IMAGE) for labels in ([1, 2, 3], [5, 6])]
    path = write_rec(tmp_path / "a.rec", payloads)
    data = bytearray(path.read_bytes())
    data[4:8] = struct.pack("<I", len(payloads[0]) - 20)
    path.write_bytes(data)

    assert 2 == loaded(path)[0].width


def test_without_an_image_the_first_whole_record_decides_after_some_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [encode_image_record(IRHeader(0, [0] * n, n), b"picture") for n in (2, 3, 4)]
    path = write_rec(tmp_path / "a.rec", [*payloads, encode_image_record(IRHeader(0, [0] * 5, 5), IMAGE)])

    assert 5 == loaded(path)[0].width
    monkeypatch.setattr(labels_module, "_MAX_OTHERS", 3)
    assert 2 == loaded(path)[0].width


def test_longer_label_vectors_give_their_first_labels_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels, headers = loaded(rec(tmp_path, [[1, 2, 3], [4, 5], [6, 7, 8, 9]]), label_width=2)
    with caplog.at_level(logging.WARNING):
        assert [[1, 2], [4, 5], [6, 7]] == [labels.of(header).tolist() for header in headers]
        labels.of(headers[0])

    assert ["records have 3 labels and more; label_width=2 takes the first"] == caplog.messages


def test_a_first_record_with_more_labels_is_warned_of_when_the_file_is_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        loaded(rec(tmp_path, [[1, 2], 3.0]), label_width=1)

    assert ["records have 2 labels and more; label_width=1 takes the first"] == caplog.messages


def test_a_later_record_with_more_labels_is_warned_of_when_it_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels, headers = loaded(rec(tmp_path, [[1, 2], [3, 4, 5], [6, 7, 8, 9]]))
    assert [] == caplog.messages

    assert [[1, 2], [3, 4], [6, 7]] == [labels.of(header).tolist() for header in headers]
    assert ["records have 3 labels and more; label_width=2 takes the first"] == caplog.messages


def test_labels_in_headers_keep_every_float32_value(tmp_path: Path) -> None:
    labels, headers = loaded(rec(tmp_path, [[1e30, -0.5, float("inf")], [0, 16777217, float("nan")]]))

    assert isinstance(labels, HeaderLabels)
    assert [np.float32(1e30), -0.5, np.inf] == labels.of(headers[0]).tolist()
    assert [0, 16777216] == labels.of(headers[1]).tolist()[:2]


# From a list


def test_a_list_gives_labels_by_id_in_any_order_of_its_lines(tmp_path: Path) -> None:
    assert LABELS == labels_from_list(tmp_path, lines(IDS))
    assert [LABELS[n] for n in (4, 3, 2, 1, 0)] == labels_from_list(tmp_path, lines(IDS[::-1]))


def test_the_first_labels_of_a_line_are_taken(tmp_path: Path) -> None:
    assert [row[:2] for row in LABELS] == labels_from_list(tmp_path, lines(IDS), label_width=2)


def test_two_labels_for_the_id_of_a_record_are_an_error_with_both_lines(tmp_path: Path) -> None:
    text = "10\t1\ta\n7\t2\ta\n\n10\t1\tb\n3\t4\tc\n10\t5\ta\n"

    problem = f"{tmp_path / 'l.lst'}, line 6: gives id 10 another label than line 1 (keep one line for each id)"
    assert problem == message_of(labels_from_list, tmp_path, text, [7, 10, 3])
    assert [[2], [4]] == labels_from_list(tmp_path, text, [7, 3])  # no record has the id


def test_the_same_label_twice_for_an_id_is_allowed(tmp_path: Path) -> None:
    assert [[1], [2]] == labels_from_list(tmp_path, "10\t1\ta\n7\t2\ta\n10\t1.0\tb\n", [10, 7])
    assert [[1]] == labels_from_list(tmp_path, "10\t1\t2\ta\n10\t1\t3\tb\n", [10], label_width=1)
    ((first, second),) = labels_from_list(tmp_path, "10\tnan\t0\ta\n10\tnan\t-0.0\tb\n", [10])
    assert (True, 0.0) == (math.isnan(first), second)


@pytest.mark.parametrize("row", ["2\t3", "1\t4", "nan\t3", "inf\t3", "16777219\t3"])
def test_any_difference_between_the_labels_of_one_id_is_an_error(tmp_path: Path, row: str) -> None:
    problem = f"{tmp_path / 'l.lst'}, line 2: gives id 10 another label than line 1 (keep one line for each id)"
    assert problem == message_of(labels_from_list, tmp_path, f"10\t1\t3\ta\n10\t{row}\ta\n", [10])


def test_a_list_may_have_ids_that_no_record_has(tmp_path: Path) -> None:
    assert [[2]] == labels_from_list(tmp_path, "9\t1\ta\n7\t2\tb\n8\t3\tc\n", [7])


def test_records_that_are_the_same_may_share_an_id(tmp_path: Path) -> None:
    assert [[1], [2], [1]] == labels_from_list(tmp_path, "5\t1\ta\n6\t2\tb\n", [5, 6, 5])


DIFFERENT_RECORDS: dict[str, tuple[list[Any], int]] = {
    "label": ([1.0, 2.0], 0),
    "length": ([1.0, 1.0], 5),
    "vector": ([[1, 2], [1, 3]], 0),
    "length of the vector": ([[1, 2], [1]], 4),
    "vector and number": ([[0], 0.0], 4),
}


@pytest.mark.parametrize("kind", DIFFERENT_RECORDS)
@pytest.mark.parametrize("block", [1, 2, 100])
def test_different_records_with_one_id_are_an_error_with_both_places(
    tmp_path: Path, kind: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels_module, "_HEADERS_PER_BLOCK", block)
    (one, other), more = DIFFERENT_RECORDS[kind]
    (tmp_path / "l.lst").write_text("5\t1\ta\n6\t2\tb\n7\t2\tb\n")
    listed = {"path_imglist": str(tmp_path / "l.lst")}
    payloads = [
        encode_image_record(IRHeader(0, label, id_), b"picture" + bytes(size))
        for label, id_, size in ((0.0, 7, 0), (one, 5, 0), (0.0, 6, 0), (one, 5, 0), (other, 5, more), (0.0, 7, 0))
    ]
    path = write_rec(tmp_path / "a.rec", payloads)

    def problem(second: str) -> str:
        both = f"record 1 of {path} and {second}"
        return (
            f"{tmp_path / 'l.lst'}: gives {both} one label, as both have id 5, but they are different records"
            " (pack them again with an id each, or leave path_imglist out)"
        )

    assert problem(f"record 4 of {path}") == message_of(loaded, path, **listed)
    loaded(write_rec(tmp_path / "a.rec", payloads[:4]), **listed)
    joined = write_rec(tmp_path / "b.rec", payloads[4:])
    assert problem(f"record 0 of {joined}") == message_of(loaded, f"{path};{joined}", **listed)


def test_records_of_one_id_that_are_damaged_or_without_a_list_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "l.lst").write_text("5\t1\ta\n")
    good = encode_image_record(IRHeader(0, [1, 2], 5), b"picture")
    path = write_rec(tmp_path / "a.rec", [good, damaged(IRHeader(0, [1, 2], 5), flag=2**31), b"short"])

    assert 1 == loaded(write_rec(tmp_path / "b.rec", [good, b"short"]), path_imglist=str(tmp_path / "l.lst"))[0].width
    assert 2 == loaded(path)[0].width


@pytest.mark.parametrize(
    "text",
    [
        lines(IDS, end="\r\n"),
        lines(IDS, separator=" "),
        lines(IDS, separator="  \t "),
        "\ufeff" + lines(IDS),
        "\n# a comment\n" + lines(IDS).replace("\n", "\n\n   \n#\n"),
        "  " + lines(IDS).replace("\n", "  \n  "),
        lines(IDS).rstrip("\n"),
        lines(IDS).replace(".jpg", " with blanks.jpg"),
        lines(IDS, separator="\v\f"),
    ],
    ids=["CRLF", "blanks", "runs", "BOM", "comments", "indented", "no end", "paths with blanks", "odd blanks"],
)
def test_a_list_may_be_written_in_many_ways(tmp_path: Path, text: str) -> None:
    assert LABELS == labels_from_list(tmp_path, text)
    assert LABELS == labels_from_list(tmp_path, text, label_width=4)


def test_a_path_may_be_missing_or_of_any_bytes_when_the_width_is_given(tmp_path: Path) -> None:
    assert [[1, 2], [3, 4]] == labels_from_list(tmp_path, "5\t1\t2\n6 3 4\n", [5, 6], label_width=2)
    assert [[1]] == labels_from_list(tmp_path, b"5\t1\t\xff\xfe.jpg\n", [5])


def test_ids_have_64_bits(tmp_path: Path) -> None:
    ids = [2**33 + 1, 2**64 - 1, 1, 2**63, 2**53 + 1, 2**53]
    text = "".join(f"{id_}\t{n}\tp\n" for n, id_ in enumerate(ids))

    assert [[n] for n in range(6)] == labels_from_list(tmp_path, text, ids)


def test_labels_too_large_for_float32_are_infinite_without_a_warning_of_numpy(tmp_path: Path) -> None:
    text = "5\t" + "\t".join(["1e300"] * 300) + "\tp\n" + "6\t" + "\t".join(["-1e300"] * 300) + "\tp\n"

    assert [[np.inf] * 300, [-np.inf] * 300] == labels_from_list(tmp_path, text, [5, 6], label_width=300)


def test_labels_are_rounded_to_float32(tmp_path: Path) -> None:
    assert [[16777216, np.float32(0.1)]] == labels_from_list(tmp_path, "5\t16777217\t0.1\tp\n", [5])


def test_lines_with_labels_that_float32_does_not_keep_are_counted_and_the_first_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels_module, "_LINES_PER_BLOCK", 2)
    values = ["1", "16777217", "0.1", "nan", "16777219\t1e39", "-inf", "16777216"]
    text = "# odd\n" + "".join(f"{id_}\t{value}\ta.jpg\n" for id_, value in enumerate(values))
    labels_from_list(tmp_path, text, [0], label_width=1)

    rounded = "labels of 2 lines are rounded, as float32 holds whole numbers up to 2^24"
    assert [
        f"{tmp_path / 'l.lst'}: labels of 2 lines are nan, infinite or beyond float32, first nan in line 5",
        f"{tmp_path / 'l.lst'}: {rounded}; first 16777217 in line 3, which becomes 16777216",
    ] == caplog.messages


def test_a_list_longer_than_a_block_of_lines_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels_module, "_LINES_PER_BLOCK", 4)
    text = "".join(f"{n} {n % 1000}\n" for n in range(10))

    assert [[n] for n in range(10)] == labels_from_list(tmp_path, text, [*range(10)], label_width=1)
    text = "".join(f"{n} {n % 1000}\n" for n in range(8))
    assert [[n] for n in range(8)] == labels_from_list(tmp_path, text, [*range(8)], label_width=1)


def test_the_digest_of_a_list_depends_on_its_ids_and_labels_alone(tmp_path: Path) -> None:
    def digest(text: str) -> int:
        path = tmp_path / "l.lst"
        path.write_text(text)
        return loaded(rec(tmp_path, [0.0], [5]), path_imglist=str(path))[0].digest()

    first = digest("5\t1\ta\n6\t2\tb\n")
    assert first == digest("6\t2\tc\n5\t1\tx\n5\t1\td\n")
    assert 3 == len({first, digest("5\t2\ta\n6\t2\tb\n"), digest("5\t1\ta\n7\t2\tb\n")})


REFUSED = {
    "10\t1\ta\n7\tcat\tb\n": "line 2: expected a number as label, found 'cat' (id 7)",
    "10\t1\ta\n\n\n7\n": "line 4: expected label_width=1 labels, found 0 (id 7)",
    "10\t1\ta\nseven\t1\tb\n": "line 2: expected an integer as id, found 'seven'",
    "10\t1\ta\n7.0\t1\tb\n": "line 2: expected an integer as id, found '7.0'",
    "10\t1\ta\n-7\t1\tb\n": "line 2: the id -7 is not in 0 to 2^64 - 1",
    "10\t1\ta\n18446744073709551616\t1\tb\n": "line 2: the id 18446744073709551616 is not in 0 to 2^64 - 1",
}


def test_a_line_that_cannot_be_used_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "l.lst"

    assert REFUSED == {text: message_of(labels_from_list, tmp_path, text).removeprefix(f"{path}, ") for text in REFUSED}
    with pytest.raises(ListFormatError) as caught:
        labels_from_list(tmp_path, "10\t1\ta\n7\tcat\tb\n", label_width=1)
    assert (path, 2) == (caught.value.path, caught.value.line)


def test_a_path_in_the_place_of_a_label_is_an_error(tmp_path: Path) -> None:
    message = "line 1: expected a number as label, found 'a.jpg' (id 10)"

    assert f"{tmp_path / 'l.lst'}, {message}" == message_of(labels_from_list, tmp_path, "10\t1\ta.jpg\n", label_width=2)


def test_the_first_line_of_a_list_decides_the_width(tmp_path: Path) -> None:
    path, hint = tmp_path / "l.lst", "(set label_width when the lines have no paths)"

    message = f"{path}, line 2: expected label_width=2 labels, found 1 (id 7)"
    assert message == message_of(labels_from_list, tmp_path, "10\t1\t2\ta\n7\t1\n")
    message = f"{path}, line 3: expected id, labels and path, found 2 fields {hint}"
    assert message == message_of(labels_from_list, tmp_path, "\n# none\n10\t1\n")
    message = f"{path}, line 1: expected a number as label, found 'cat' {hint}"
    assert message == message_of(labels_from_list, tmp_path, "10\tcat\ta.jpg\n")


def test_a_wrong_id_in_the_first_line_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "l.lst"

    message = message_of(labels_from_list, tmp_path, "ten\t1\ta.jpg\n")
    assert message.startswith(f"{path}, line 1: expected an integer as id, found 'ten'")


def test_the_last_number_of_a_line_without_a_path_is_not_taken_for_a_path(tmp_path: Path) -> None:
    message = message_of(labels_from_list, tmp_path, "10\t1\t2\t3\n", [10])

    problem = "line 1: expected a path at the end, found '3' (set label_width when the lines have no paths)"
    assert f"{tmp_path / 'l.lst'}, {problem}" == message


def test_a_record_whose_id_the_list_lacks_is_an_error_with_list_and_record(tmp_path: Path) -> None:
    path, hint = tmp_path / "l.lst", "(is it the list of this .rec?)"
    problem = f"{path}: has no line for id 42, which is record 3 of {tmp_path / 'a.rec'} {hint}"

    with pytest.raises(InputError) as caught:
        labels_from_list(tmp_path, lines([10, 7, 3, 5]))
    assert problem == str(caught.value)


def test_records_that_are_left_out_need_no_line(tmp_path: Path) -> None:
    path = tmp_path / "l.lst"
    path.write_text("7\t1\tp\n")
    header = encode_image_record(IRHeader(0, [4, 6], 0), b"")
    faces = write_rec(tmp_path / "f.rec", [header, encode_image_record(IRHeader(0, 5.0, 7), b"picture")])

    labels, headers = loaded(faces, path_imglist=str(path))
    assert [1] == labels.of(headers[1]).tolist()
    message = message_of(loaded, faces, path_imglist=str(path), records="all")
    assert f"{path}: has no line for id 0, which is record 0 of {faces} (is it the list of this .rec?)" == message


@pytest.mark.parametrize("lacking", [0, 3, 4, 8, 9])
def test_a_list_is_checked_against_every_record(tmp_path: Path, lacking: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels_module, "_HEADERS_PER_BLOCK", 4)

    message = message_of(labels_from_list, tmp_path, lines([n for n in range(10) if n != lacking]), [*range(10)])
    assert f"has no line for id {lacking}, which is record {lacking} of" in message


def test_a_list_that_is_missing_or_empty_is_an_error(tmp_path: Path) -> None:
    path = rec(tmp_path, [0.0])
    gone, nothing = tmp_path / "gone.lst", tmp_path / "l.lst"

    for width in ("auto", 1):
        message = message_of(loaded, path, path_imglist=str(gone), label_width=width)
        assert f"{gone}: cannot be read: no such file or directory (check the path)" == message
    for text in ("", "\n  \n# nothing\n"):
        nothing.write_text(text)
        message = message_of(loaded, path, path_imglist=str(nothing))
        assert f"{nothing}: lists no images (is it the right list?)" == message


def test_an_empty_list_is_an_error_with_label_width_too(tmp_path: Path) -> None:
    nothing, path = tmp_path / "l.lst", rec(tmp_path, [0.0])
    nothing.write_text("# nothing\n")

    message = message_of(loaded, path, path_imglist=str(nothing), label_width=2)
    assert f"{nothing}: lists no images (is it the right list?)" == message


# A line by itself


def test_a_line_is_an_id_and_the_first_labels() -> None:
    assert (7, [1.0, 2.5]) == parse_labels("7\t1\t2.5\tpath", 1, 2)
    assert (7, [1.0]) == parse_labels("7\t1\t2.5\tpath", 1, 1)
    assert (2**64 - 1, [-1e-3]) == parse_labels(" 18446744073709551615 -1e-3 ", 1, 1)
    assert [None] * 4 == [parse_labels(text, 1, 1) for text in ("", "  \r\n", "# 1 2", "\t#")]


def test_only_ascii_blanks_separate_fields() -> None:
    assert "line 5: expected an integer as id, found '7\\xa01'" == message_of(parse_labels, "7\u00a01", 5, 1)

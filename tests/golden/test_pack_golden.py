"""Packing the same lists gives the bytes of MXNet's two tools for images stored unchanged, and else their pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import GOLDEN, golden_bytes, golden_json
from image_helpers import GOLDEN_IMAGES, pixels_of, pixels_sha256, records_of, sampling_of

from im2rec.errors import ParameterError
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.packing.report import PackSummary


def packed(folder: Path, name: str, **params: Any) -> tuple[Path, PackSummary]:
    """Pack the recorded list of *name* from the golden images; the .rec and its summary."""
    listed = folder / f"{name}.lst"
    listed.write_bytes(golden_json(name)["lst"].encode())
    summary = pack(listed, GOLDEN_IMAGES, folder / f"{name}.rec", PackParams(**params), PackOptions(workers=1))
    return folder / f"{name}.rec", summary


def decoded(rec: Path) -> list[dict[str, Any]]:
    """Each record with the keys of the recorded JSON."""
    rows = []
    for record in records_of(rec):
        pixels = pixels_of(record.content)
        rows.append(
            {
                "id": record.header.id,
                "height": pixels.shape[0],
                "width": pixels.shape[1],
                "channels": pixels.shape[2],
                "depth_bits": pixels.itemsize * 8,
                "pixels_rgb_order_sha256": pixels_sha256(record.content),
            }
        )
    return rows


def recorded(name: str) -> list[dict[str, Any]]:
    return [
        {"id": record["header"]["id"], **{key: value for key, value in record["decoded"].items() if key != "format"}}
        for record in golden_json(name)["records"]
    ]


def max_level_difference(theirs: Path, ours: Path) -> int:
    """The largest difference of a sample between two files of the same images."""
    largest = 0
    for expected, found in zip(records_of(theirs), records_of(ours), strict=True):
        pixels = pixels_of(expected.content).astype(int), pixels_of(found.content).astype(int)
        assert pixels[0].shape == pixels[1].shape
        largest = max(largest, abs(pixels[0] - pixels[1]).max())
    return largest


# Stored unchanged: every byte.

PYTHON_BYTES: dict[str, dict[str, Any]] = {"pass_through": {}, "multi_label_not_packed": {}}
CPP_BYTES: dict[str, dict[str, Any]] = {
    "cpp_pack_label": {"label_width": 3, "pack_label": True},
    "cpp_label_width_not_packed": {"label_width": 3},
    "cpp_unchanged": {},
}


def test_the_rec_has_the_bytes_of_mxnets_tools(tmp_path: Path) -> None:
    for name, params in (PYTHON_BYTES | CPP_BYTES).items():
        rec, _ = packed(tmp_path, name, unchanged=True, **params)
        assert (name, golden_bytes(f"{name}.rec")) == (name, rec.read_bytes())


def test_the_index_has_the_bytes_of_im2rec_py(tmp_path: Path) -> None:
    for name in PYTHON_BYTES:
        packed(tmp_path, name, unchanged=True)
        assert golden_bytes(f"{name}.idx") == (tmp_path / f"{name}.idx").read_bytes()


def test_label_vectors_differ_from_im2rec_py_in_the_label_field_alone(tmp_path: Path) -> None:
    rec, _ = packed(tmp_path, "multi_label_packed", unchanged=True, pack_label=True)
    ours, theirs = bytearray(rec.read_bytes()), golden_bytes("multi_label_packed.rec")

    assert golden_bytes("multi_label_packed.idx") == (tmp_path / "multi_label_packed.idx").read_bytes()
    for record in golden_json("multi_label_packed")["records"]:
        if record["label_source"] == "vector":
            at = record["offset"] + 12
            assert 0.0 == record["header"]["label_field"]
            assert ours[at : at + 4] != bytes(4)  # the first label, as the C++ tool writes it
            ours[at : at + 4] = bytes(4)
    assert theirs == ours


def test_the_lines_that_im2rec_py_skips_are_reported_and_one_more_is_read(tmp_path: Path) -> None:
    rec, summary = packed(tmp_path, "lst_oddities", unchanged=True)
    theirs = [record["header"]["id"] for record in golden_json("lst_oddities")["records"]]
    ours = [record.header.id for record in records_of(rec)]

    assert [3, 8, 9, 10, 13] == theirs
    assert [3, 4, 8, 9, 10, 13] == ours  # 4 is split at blanks
    assert {"bad list line": 6} == summary.bad
    report = (tmp_path / "lst_oddities.rec.bad.jsonl").read_text().splitlines()
    assert [5, 7, 8, 9, 13, 14] == [json.loads(line)["line"] for line in report]
    contents = {record.header.id: record.content for record in records_of(rec)}
    for record in records_of(GOLDEN / "lst_oddities.rec"):
        assert record.content == contents[record.header.id]


def test_parts_contain_the_lines_of_the_parts_of_the_cpp_tool(tmp_path: Path) -> None:
    expected = golden_json("cpp_nsplit")
    (tmp_path / "l.lst").write_text(expected["lst"], newline="")
    whole, _ = packed(tmp_path, "cpp_nsplit", unchanged=True)
    joined = b""
    for part in expected["parts"]:
        params = PackParams(unchanged=True, nsplit=expected["nsplit"], part=part["part"])
        summary = pack(tmp_path / "l.lst", GOLDEN_IMAGES, tmp_path / expected["output_argument"], params)
        assert part["output_name"] == Path(summary.files[0]).name
        assert part["output_name"] + ".idx" == Path(summary.files[1]).name
        assert part["ids"] == [record.header.id for record in records_of(tmp_path / part["output_name"])]
        joined += (tmp_path / part["output_name"]).read_bytes()
    assert whole.read_bytes() == joined


# Encoded again: every pixel, where no resizer and no other JPEG decoder is in between.

PNG_CASES: dict[str, dict[str, Any]] = {
    "png_color1": {},
    "png_unchanged_color": {"color": -1},
    "png_crop": {"center_crop": True},
    "png_color0": {"color": 0},
}


def test_pixels_are_those_recorded_from_mxnet(tmp_path: Path, engine_name: str) -> None:
    for name, params in PNG_CASES.items():
        rec, _ = packed(tmp_path, name, encoding=".png", engine=engine_name, **params)
        expected = {row["id"]: row for row in recorded(name)}
        found = {row["id"]: row for row in decoded(rec)}
        assert list(expected) == list(found)
        exact = set(expected) - ({100, 95, 94} if name == "png_color0" else set())  # colour PNGs to grey
        assert {id_: expected[id_] for id_ in exact} == {id_: found[id_] for id_ in exact}
        assert max_level_difference(GOLDEN / f"{name}.rec", rec) <= 1


RESIZED: dict[str, dict[str, Any]] = {
    "png_resize8": {"resize": 8},
    "png_crop_resize8": {"resize": 8, "center_crop": True},
}


def test_resized_pixels_differ_from_mxnets_by_at_most_one_level(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    for name, params in RESIZED.items():
        rec, _ = packed(tmp_path, name, encoding=".png", engine="opencv", **params)
        assert max_level_difference(GOLDEN / f"{name}.rec", rec) <= 1


def test_resized_shapes_equal_mxnets_with_either_engine(tmp_path: Path, engine_name: str) -> None:
    def shapes(rows: list[dict[str, Any]]) -> list[list[int]]:
        return [[row[key] for key in ("id", "height", "width", "channels", "depth_bits")] for row in rows]

    for name, params in RESIZED.items():
        rec, _ = packed(tmp_path, name, encoding=".png", engine=engine_name, **params)
        assert shapes(recorded(name)) == shapes(decoded(rec))


def test_jpegs_packed_by_default_have_mxnets_headers_sizes_and_sampling(tmp_path: Path, engine_name: str) -> None:
    rec, _ = packed(tmp_path, "jpg_default", engine=engine_name)
    theirs = records_of(GOLDEN / "jpg_default.rec")

    for expected, ours in zip(theirs, records_of(rec), strict=True):
        assert expected.header == ours.header
        assert sampling_of(expected.content) == sampling_of(ours.content)
        assert pixels_of(expected.content).shape == pixels_of(ours.content).shape
        difference = abs(pixels_of(expected.content).astype(int) - pixels_of(ours.content).astype(int))
        assert difference.mean() < 2


def test_pack_label_without_label_width_is_allowed_where_the_cpp_tool_aborts(tmp_path: Path) -> None:
    rec, _ = packed(tmp_path, "cpp_pack_label", unchanged=True, pack_label=True)
    assert golden_bytes("cpp_pack_label.rec") == rec.read_bytes()

    with pytest.raises(ParameterError):
        PackParams(label_width=0, pack_label=True)

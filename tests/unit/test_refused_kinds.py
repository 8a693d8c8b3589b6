"""Files that are no images that are taken: called by their name, and refused by every command alike."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from file_helpers import pnm_file, tiff_file
from helpers import image_payload, write_rec
from image_helpers import encoded, im2rec, records_of, texture, write_list
from PIL import Image

from im2rec.errors import ImageError
from im2rec.images import opening
from im2rec.images.codec import decode, image_info
from im2rec.images.opening import check_kind
from im2rec.images.signatures import sniff

HEIC = b"\x00\x00\x00\x18ftypheic" + bytes(40)
PAGE = "read why the download failed, and fetch it again"
NAMED = {
    HEIC: "is a HEIC image: convert it to JPEG first",
    b"\x00\x00\x00\x18ftypmif1" + bytes(40): "is a HEIC image: convert it to JPEG first",
    b"\x00\x00\x00\x0cJXL \r\n\x87\n": "is a JPEG XL image: convert it to JPEG first",
    b"\xff\x0a\x10": "is a JPEG XL image: convert it to JPEG first",
    b"%PDF-1.7\n": "holds no image but a PDF document: export its images first",
    b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg width='1'>": "is an SVG image: convert it to PNG first",
    b"\xef\xbb\xbf  <SVG>": "is an SVG image: convert it to PNG first",
    b"<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN'>": "is an SVG image: convert it to PNG first",
    b"\n<!DOCTYPE html><html><svg/>": f"holds no image but an HTML page: {PAGE}",
    b"<?xml version='1.0'?><Error/>": f"holds no image but an XML document: {PAGE}",
    b'{"error": 404}': "holds no image but a JSON file: fetch the image again",
    b"Not found\n": "holds no image that can be read",
    b"version https://git-lfs.github.com/spec/v1\n": "holds no image but a git-LFS pointer: run 'git lfs pull'",
    bytes(5000): "holds no image but a file of zero bytes: fetch the image again",
    b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(40): "has a damaged or cut TIFF header",
    b"\x00\x00\x00\x18ftypcrx \x00": "is a camera's raw image: develop it to JPEG first",
    b"FUJIFILMCCD-RAW 0201": "is a camera's raw image: develop it to JPEG first",
    b"\x00\x00\x00\x20ftypisom": "holds no image but a video: extract its frames first",
    b"\x00\x00\x00\x14ftypqt  ": "holds no image but a video: extract its frames first",
    b"\x1a\x45\xdf\xa3": "holds no image but a video: extract its frames first",
    b"RIFF\x00\x00\x00\x00AVI LIST": "holds no image but a video: extract its frames first",
    b"8BPS\x00\x01": "is a Photoshop (PSD) image: convert it to PNG first",
    b"Pf\n3 2\n-1.0\n" + bytes(24): "is a PFM image of floating-point numbers: convert it to 8 bits first",
    b"PF\n3 2\n-1.0\n" + bytes(72): "is a PFM image of floating-point numbers: convert it to 8 bits first",
    b"#?RADIANCE\n": "is a Radiance HDR image of floating-point numbers: convert it to 8 bits first",
    b"\x76\x2f\x31\x01\x02": "is an OpenEXR image of floating-point numbers: convert it to 8 bits first",
    b"P7\nWIDTH 3\n": "is a PAM image: convert it to PNG first",
    b"PK\x03\x04": "holds no image but a zip archive: unpack it first, with unzip",
    b"\x1f\x8b\x08": "holds no image but a gzip file: unpack it first, with 'gunzip < OLD > NEW' or tar",
    bytes(257) + b"ustar": "holds no image but a tar archive: unpack it first, with tar",
    b"\x0a\x23\xd7\xce": "holds no image but a RecordIO file: 'im2rec extract' writes its images",
    b"\x93NUMPY\x01": "holds no image but a NumPy array: convert it to PNG first",
    b"RIFF\x00\x00\x00\x00WAVE": "holds no image that can be read",
    b"\x80\x81\x82": "holds no image that can be read",
    b"": "is empty: fetch it again",
}


@pytest.mark.parametrize("content", NAMED, ids=[f"{content[:12]!r}" for content in NAMED])
def test_a_file_that_is_no_image_is_called_by_its_name_with_what_to_do(content: bytes) -> None:
    for read in (decode, image_info):
        with pytest.raises(ImageError) as caught:
            read(content)
        assert NAMED[content] == str(caught.value)


def test_the_reason_names_kinds_of_images_and_not_other_files() -> None:
    reasons = {HEIC: "HEIC image", b"%PDF": "not an image", b"hello": "not an image", b"": "empty"}
    for content, reason in reasons.items():
        with pytest.raises(ImageError) as caught:
            decode(content)
        assert reason == caught.value.reason


# Kinds that Pillow writes but OpenCV does not read.
OTHER_KINDS = ("TGA", "PCX", "ICO", "DDS", "SGI", "ICNS", "BLP", "QOI", "PDF", "EPS", "DIB", "SPIDER")
TAKEN_KINDS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000")


def written(kind: str) -> bytes:
    image = Image.fromarray(texture())
    try:
        return encoded(image.convert("P") if kind == "BLP" else image, kind)
    except (OSError, KeyError):
        pytest.skip(f"this Pillow writes no {kind}")


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_what_opencv_does_not_read_is_refused_whether_it_is_decoded_or_not(kind: str) -> None:
    content = written(kind)
    assert "not an image" == sniff(content)
    for refuse in (decode, image_info, check_kind):
        with pytest.raises(ImageError):
            refuse(content)


@pytest.mark.parametrize("kind", ["TGA", "ICO", "PCX", "DDS", "SGI", "ICNS", "QOI", "BLP", "XBM"])
def test_kinds_of_images_that_are_refused_have_their_names(kind: str) -> None:
    content = encoded(Image.fromarray(texture()).convert("1"), "XBM") if kind == "XBM" else written(kind)
    with pytest.raises(ImageError, match=f"{kind} image: convert it to PNG first"):
        decode(content)


def test_a_tga_without_a_footer_is_recognised() -> None:
    content = written("TGA")
    with pytest.raises(ImageError, match="a TGA image"):
        decode(content[: -len("TRUEVISION-XFILE.\0") - 8])


@pytest.mark.parametrize("kind", TAKEN_KINDS)
def test_what_opencv_and_pillow_read_is_taken_whether_it_is_decoded_or_not(kind: str) -> None:
    content = written(kind)
    check_kind(content)
    assert (24, 36, 3) == decode(content).pixels.shape
    assert (24, 36) == image_info(content)[1:3]


def test_every_pnm_and_a_sun_raster_are_taken() -> None:
    pixels = texture(9, 8, 1)
    for number in (1, 2, 4, 5):
        content = pnm_file(number, pixels & 1 if number == 1 else pixels)
        assert ("PPM", 9, 8, 1) == image_info(content)
        assert (9, 8, 3) == decode(content).pixels.shape
    rows = texture(9, 8)
    sun = b"\x59\xa6\x6a\x95" + b"".join(n.to_bytes(4, "big") for n in (8, 9, 24, rows.size, 1, 0, 0)) + rows.tobytes()
    assert np.array_equal(rows[:, :, ::-1], decode(sun).pixels)
    assert "not an image" == sniff(b"P5 is no PGM"[:2] + b"!")


def test_no_other_plugin_of_pillow_opens_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    open_ = Image.open

    def recorded(file: io.BytesIO, formats: object = None) -> Image.Image:
        opened.append(formats)
        return open_(file, formats=formats)  # type: ignore[arg-type]

    monkeypatch.setattr(Image, "open", recorded)
    decode(written("GIF"))
    assert [("GIF",)] == opened


def test_an_avif_that_this_pillow_cannot_read_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_is_read_by_pillow", lambda kind: kind != "AVIF")
    with pytest.raises(ImageError) as caught:
        decode(b"\x00\x00\x00\x1cftypavif" + bytes(40))
    expected = "is of the kind AVIF, which this Pillow cannot read: upgrade Pillow, or convert it to JPEG first"
    assert (expected, "AVIF image") == (str(caught.value), caught.value.reason)


FLOAT = tiff_file(texture(channels=1).astype(np.float32), 1)
DEEP = "is a TIFF of 32-bit floating-point numbers: convert it to 8 or 16 bits first"
CASES = {
    "f.tif": (FLOAT, DEEP),
    "phone.jpg": (HEIC, NAMED[HEIC]),
    "t.tga": (b"", "is a TGA image: convert it to PNG first"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (content, _) in CASES.items():
        (tmp_path / name).write_bytes(content or written("TGA"))
    (tmp_path / "good.jpg").write_bytes(encoded(texture()))
    write_list(tmp_path / "l.lst", ["good.jpg", *CASES])
    return tmp_path


@pytest.mark.parametrize("keys", [[], ["encoding=.png", "color=-1"], ["unchanged=1"], ["unchanged=1", "--verify"]])
def test_pack_reports_them_by_name_and_packs_the_rest(folder: Path, keys: list[str]) -> None:
    assert 3 == im2rec("pack", folder / "l.lst", folder, folder / "o.rec", *keys, "--max-bad", "100%").code

    bad = map(json.loads, (folder / "o.rec.bad.jsonl").read_text(encoding="utf-8").splitlines())
    assert {name: detail for name, (_, detail) in CASES.items()} == {row["path"]: row["detail"] for row in bad}
    assert [0] == [record.header.id for record in records_of(folder / "o.rec")]


def test_records_of_them_are_named_by_iterate_and_inspect(folder: Path) -> None:
    contents = [encoded(texture()), *((folder / name).read_bytes() for name in CASES)]
    path = write_rec(folder / "a.rec", [image_payload(n, 0.0, content) for n, content in enumerate(contents)])

    words = ("iterate", path, "data_shape=3,8,8", "batch_size=1", "-q")
    assert f"record 1, id 1, byte {len(contents[0]) + 32 + 3 & -4}: the image {DEEP}" in im2rec(*words).err
    for name, (_, detail) in list(CASES.items())[1:]:
        only = write_rec(folder / f"{name}.rec", [image_payload(7, 0.0, (folder / name).read_bytes())])
        assert detail in im2rec("iterate", only, *words[2:]).err
    code, out, _ = im2rec("inspect", path, "--verify", "--json")
    assert 3 == code
    for _, detail in CASES.values():
        assert detail in out

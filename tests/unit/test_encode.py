"""From one list line to one record: sizes, crops, EXIF, labels, the stored image, and reports of bad images."""

from __future__ import annotations

import io
import itertools
import random
import struct
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_helpers import POSIX, any_file, deep_texture, encoded, pixels_of, sampling_of, texture, write_images
from PIL import Image

from im2rec.errors import ImageError, ListFormatError
from im2rec.format.irheader import decode_image_record
from im2rec.format.listfile import ListEntry
from im2rec.format.recordio import decode_record
from im2rec.hashing import hash64
from im2rec.images.codec import NO_END
from im2rec.images.engine import AREA, BICUBIC, BILINEAR, load_engine
from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import LoadResult, load
from im2rec.packing import encode
from im2rec.packing.encode import pack_chunk, store_image
from im2rec.packing.image_files import ImageFolder
from im2rec.packing.params import PackParams
from im2rec.packing.report import BadImage, PackedChunk, as_error

PNG = {"encoding": ".png", "engine": "pillow"}


def stored_size(width: int, height: int, **params: Any) -> tuple[int, int]:
    """Width and height of what is stored for an image of that size."""
    content, _ = store_image(encoded(texture(height, width), "PNG"), 0, PackParams(**{**PNG, **params}))
    pixels = pixels_of(content)
    return pixels.shape[1], pixels.shape[0]


# Sizes and crops.

SIZES = [  # spec/im2rec.md 2.1, and the rounding at its edges
    ((100, 60), {"resize": 80}, (133, 80)),
    ((60, 100), {"resize": 30}, (30, 50)),
    ((33, 77), {"center_crop": True, "resize": 50}, (50, 50)),
    ((33, 77), {"center_crop": True}, (33, 33)),
    ((77, 33), {"center_crop": True}, (33, 33)),
    ((64, 43), {"resize": 26}, (38, 26)),  # 38.69 is rounded down
    ((43, 64), {"resize": 26}, (26, 38)),
    ((50, 50), {"resize": 20}, (20, 20)),
    ((51, 50), {"resize": 20}, (20, 20)),  # 20.4
    ((20, 13), {"resize": 26}, (40, 26)),  # enlarged
    ((37, 20), {"resize": 20}, (37, 20)),
    ((37, 20), {"resize": 0}, (37, 20)),
    ((37, 20), {"resize": -1}, (37, 20)),
    ((37, 20), {"resize": 1}, (1, 1)),
    ((300, 2), {"resize": 1}, (150, 1)),
    ((2, 300), {"resize": 1}, (1, 150)),
]


def test_the_shorter_edge_gets_its_size_and_the_longer_is_rounded_down() -> None:
    assert SIZES == [(size, params, stored_size(*size, **params)) for size, params, _ in SIZES]


def test_a_shorter_edge_that_has_the_size_already_is_not_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    image = texture(20, 37)
    monkeypatch.setattr(type(load_engine("pillow")), "resize", None)
    content, _ = store_image(encoded(image, "PNG"), 0, PackParams(resize=20, **PNG))

    assert np.array_equal(image, pixels_of(content))


@pytest.fixture
def resizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Width, height and interpolation of every call of the engine's resize."""
    calls: list[tuple[int, int, int]] = []
    engine = load_engine("pillow")
    real = engine.resize

    def resize(image: Any, width: int, height: int, inter_method: int) -> Any:
        calls.append((width, height, inter_method))
        return real(image, width, height, inter_method)

    monkeypatch.setattr(engine, "resize", resize)
    return calls


def test_interpolation_9_depends_on_both_edges_before_and_after_the_resize(resizes: list[tuple[int, int, int]]) -> None:
    for resize in (10, 19, 21, 40):
        stored_size(37, 20, resize=resize, inter_method=9)
    stored_size(100, 99, resize=99, inter_method=9)  # no resize at all
    stored_size(99, 100, resize=98, inter_method=9)

    assert [(18, 10, AREA), (35, 19, AREA), (38, 21, BICUBIC), (74, 40, BICUBIC), (98, 98, AREA)] == resizes


def test_interpolation_9_depends_on_the_size_after_the_crop(resizes: list[tuple[int, int, int]]) -> None:
    stored_size(37, 20, resize=30, center_crop=True, inter_method=9)
    stored_size(60, 20, resize=21, inter_method=9)

    assert [(30, 30, BICUBIC), (63, 21, BICUBIC)] == resizes


def test_interpolation_10_is_drawn_from_the_id_alone(resizes: list[tuple[int, int, int]]) -> None:
    image, params = encoded(texture(20, 37), "PNG"), PackParams(resize=10, inter_method=10, **PNG)
    for _ in range(2):
        for id_ in range(50):
            store_image(image, id_, params)
    drawn = [method for _, _, method in resizes]

    assert [hash64(id_) % 5 for id_ in range(50)] * 2 == drawn
    assert {0, 1, 2, 3, 4} == set(drawn)


def test_any_other_interpolation_is_passed_to_the_engine(resizes: list[tuple[int, int, int]]) -> None:
    for method in range(5):
        stored_size(37, 20, resize=10, inter_method=method)
    stored_size(37, 20, resize=10)

    assert [*range(5), BILINEAR] == [method for _, _, method in resizes]


# What is stored.


def test_the_default_is_a_jpeg_of_quality_95_and_420() -> None:
    image = texture(40, 60)
    content, notes = store_image(encoded(image, "PNG"), 0, PackParams(engine="pillow"))

    assert encoded(image, "JPEG", quality=95, subsampling="4:2:0") == content
    assert [] == notes
    assert [(2, 2), (1, 1), (1, 1)] == sampling_of(content)


def test_quality_changes_jpegs_only() -> None:
    image = encoded(texture(40, 60), "PNG")

    def size(**params: Any) -> int:
        return len(store_image(image, 0, PackParams(engine="pillow", **params))[0])

    assert size(quality=10) < size(quality=50) < size() < size(quality=100)
    assert size(encoding=".png", quality=1) == size(encoding=".png", quality=100)
    assert size(encoding=".bmp", quality=1) == size(encoding=".bmp", quality=100)


STORED = {  # spec/im2rec.md 3.2: source, color and encoding to mode and depth of what is stored
    ("grey", 1, ".png"): "RGB",
    ("grey", 0, ".png"): "L",
    ("grey", -1, ".png"): "L",
    ("grey", -1, ".jpg"): "L",
    ("alpha", 1, ".png"): "RGB",
    ("alpha", 0, ".png"): "L",
    ("alpha", -1, ".png"): "RGBA",
    ("alpha", -1, ".jpg"): "RGB",
    ("deep", 1, ".png"): "RGB",
    ("deep", 0, ".png"): "L",
    ("deep", -1, ".png"): "I;16",
    ("deep", -1, ".jpg"): "L",
    ("palette", 1, ".png"): "RGB",
    ("palette", -1, ".png"): "RGB",
    ("cmyk", 1, ".png"): "RGB",
    ("cmyk", -1, ".png"): "RGB",
}


@pytest.mark.parametrize("engine", ["opencv", "pillow"])
def test_channels_and_depth_come_out_as_the_reference_stores_them(engine: str) -> None:
    if engine == "opencv":
        pytest.importorskip("cv2")
    sources = {
        "grey": encoded(texture(channels=1), "PNG"),
        "alpha": encoded(texture(channels=4), "PNG"),
        "deep": encoded(deep_texture(), "PNG"),
        "palette": encoded(Image.fromarray(texture()).quantize(16), "PNG"),
        "cmyk": encoded(Image.fromarray(texture()).convert("CMYK"), "JPEG"),
    }

    modes = {}
    for source, color, encoding in STORED:
        params = PackParams(color=color, encoding=encoding, engine=engine)
        content, _ = store_image(sources[source], 0, params)
        with Image.open(io.BytesIO(content)) as image:
            modes[source, color, encoding] = image.mode
    assert STORED == modes


@pytest.mark.parametrize("engine", ["opencv", "pillow"])
def test_sixteen_bits_are_kept_in_a_png_and_scaled_and_noted_elsewhere(engine: str) -> None:
    if engine == "opencv":
        pytest.importorskip("cv2")
    deep = deep_texture()
    source = encoded(deep, "PNG")

    def stored(**params: Any) -> Any:
        content, notes = store_image(source, 0, PackParams(engine=engine, **params))
        assert (["with 16 bits scaled to 8"] if params == {"color": -1, "encoding": ".bmp"} else []) == notes
        return pixels_of(content)

    assert np.array_equal(deep[:, :, None], stored(color=-1, encoding=".png"))
    assert np.array_equal((deep >> 8)[:, :, None], stored(color=-1, encoding=".bmp")[:, :, :1])
    assert np.array_equal((deep >> 8)[:, :, None].repeat(3, axis=2), stored(color=1, encoding=".png"))
    assert np.array_equal((deep >> 8)[:, :, None], stored(color=0, encoding=".png"))


def test_unchanged_refuses_files_whose_first_bytes_are_not_those_of_an_image() -> None:
    problems = {
        b"": ("is empty: fetch it again", "empty"),
        b"hello": ("holds no image that can be read", "not an image"),
    }
    for content, expected in problems.items():
        with pytest.raises(ImageError) as caught:
            store_image(content, 0, PackParams(unchanged=True))
        assert expected == (str(caught.value), caught.value.reason)


def sideways(kind: str = "JPEG", turn: int = 6) -> bytes:
    exif = Image.Exif()
    exif[274] = turn
    return encoded(texture(20, 30), kind, exif=exif)


def test_exif_orientation_is_applied_to_decoded_pixels_and_noted_where_it_is_not() -> None:
    noted = {}
    for color in (1, 0, -1):
        content, notes = store_image(sideways(), 0, PackParams(color=color, **PNG))
        noted[color] = (pixels_of(content).shape[:2], notes)

    assert {1: ((30, 20), []), 0: ((30, 20), []), -1: ((20, 30), ["EXIF orientation not applied"])} == noted
    assert (sideways(), ["EXIF orientation not applied"]) == store_image(sideways(), 0, PackParams(unchanged=True))
    assert [] == store_image(sideways(turn=1), 0, PackParams(unchanged=True))[1]


def test_exif_orientation_of_a_png_is_applied_or_noted_too() -> None:
    image = sideways("PNG")
    assert (30, 20) == pixels_of(store_image(image, 0, PackParams(**PNG))[0]).shape[:2]

    assert ["EXIF orientation not applied"] == store_image(image, 0, PackParams(unchanged=True))[1]
    assert ["EXIF orientation not applied"] == store_image(image, 0, PackParams(color=-1, **PNG))[1]


def test_the_crop_is_cut_from_the_turned_image() -> None:
    content, _ = store_image(sideways("PNG"), 0, PackParams(center_crop=True, **PNG))
    upright = np.rot90(texture(20, 30), -1)

    assert np.array_equal(upright[5:25], pixels_of(content))


# Records.


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(write_images(tmp_path / "root", ["a.png", "b.png", "c/d e.png"]))


def packed(root: str, *entries: ListEntry | ListFormatError, **params: Any) -> PackedChunk:
    return pack_chunk(entries, ImageFolder(root), PackParams(**({"unchanged": True} | params)))


def headers(chunk: PackedChunk) -> list[tuple[int, float, int, int, list[float]]]:
    """The fields of every image header, label vector last."""
    rows = []
    for _, frame in chunk.frames:
        payload = decode_record(frame)
        labels = decode_image_record(payload).header.label
        rows.append((*struct.unpack_from("<IfQQ", payload), labels.tolist() if hasattr(labels, "tolist") else []))
    return rows


LABELS = [ListEntry(1, 7, (3.0,), "a.png"), ListEntry(2, 2**64 - 1, (1.0, 2.5, -3.0), "b.png")]


def test_without_pack_label_the_first_label_is_stored(root: str) -> None:
    assert [(0, 3.0, 7, 0, []), (0, 1.0, 2**64 - 1, 0, [])] == headers(packed(root, *LABELS))


def test_with_pack_label_all_labels_are_stored_and_the_header_holds_the_first_as_in_the_cpp_tool(root: str) -> None:
    assert [(0, 3.0, 7, 0, []), (3, 1.0, 2**64 - 1, 0, [1.0, 2.5, -3.0])] == headers(
        packed(root, *LABELS, pack_label=True)
    )


def test_a_chunk_keeps_the_order_of_its_lines_and_counts_bytes(root: str) -> None:
    names = ["b.png", "a.png", "c/d e.png", "a.png"]
    chunk = packed(root, *(ListEntry(n, 10 - n, (0.0,), name) for n, name in enumerate(names)))
    contents = [(Path(root) / name).read_bytes() for name in names]

    assert [10, 9, 8, 7] == [id_ for id_, _ in chunk.frames]
    assert contents == [decode_image_record(decode_record(frame)).content for _, frame in chunk.frames]
    assert sum(map(len, contents)) == chunk.bytes_in
    assert [] == chunk.bad
    assert Counter() == chunk.notes


def test_an_absolute_path_ignores_the_root(root: str) -> None:
    chunk = packed("elsewhere", ListEntry(1, 7, (0.0,), str(Path(root) / "a.png")))

    assert [7] == [id_ for id_, _ in chunk.frames]
    assert [] == chunk.bad


@POSIX
def test_every_bad_line_and_image_is_reported_in_list_order_and_the_rest_is_packed(root: str) -> None:
    folder = Path(root)
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("hello")
    (folder / "cut.jpg").write_bytes(encoded(texture(60, 60))[:-600])
    chunk = packed(
        root,
        ListEntry(1, 11, (0.0,), "a.png"),
        ListFormatError("expected an integer as id, found 'x'", line=2),
        ListEntry(3, 13, (0.0,), "gone.jpg"),
        ListEntry(4, 14, (0.0,), "empty.jpg"),
        ListEntry(5, 15, (0.0,), "text.jpg"),
        ListEntry(6, 16, (0.0,), "cut.jpg"),
        ListEntry(7, 17, (0.0,), "c"),
        ListEntry(8, 18, (0.0,), "nul\0.jpg"),
        ListEntry(9, 19, (0.0,), "b.png"),
        unchanged=False,
        engine="pillow",
    )

    assert [11, 19] == [id_ for id_, _ in chunk.frames]
    assert [
        BadImage(2, None, None, "bad list line", "expected an integer as id, found 'x'"),
        BadImage(3, 13, "gone.jpg", "missing", "no such file"),
        BadImage(4, 14, "empty.jpg", "empty", "is empty: fetch it again"),
        BadImage(5, 15, "text.jpg", "not an image", "holds no image that can be read"),
        BadImage(6, 16, "cut.jpg", "cut short", chunk.bad[4].detail),  # in the words of the library
        BadImage(7, 17, "c", "unreadable", "is a directory"),
        BadImage(8, 18, "nul\0.jpg", "unreadable", "a zero byte in the name"),
    ] == chunk.bad


def test_an_image_too_large_for_a_record_is_reported(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.errors.MAX_PAYLOAD", 100)
    chunk = packed(root, ListEntry(4, 7, (0.0,), "a.png"))
    size = 24 + (Path(root) / "a.png").stat().st_size

    assert [BadImage(4, 7, "a.png", "too large for a record", f"a payload of {size} bytes exceeds 100")] == chunk.bad


def test_a_cut_jpeg_stored_unchanged_is_found_only_with_verify(root: str) -> None:
    (Path(root) / "cut.jpg").write_bytes(encoded(texture(60, 60))[:-600])
    entries = [ListEntry(1, 7, (0.0,), "cut.jpg"), ListEntry(2, 8, (0.0,), "a.png")]
    params = PackParams(unchanged=True)

    assert [7, 8] == [id_ for id_, _ in pack_chunk(entries, ImageFolder(root), params).frames]
    chunk = pack_chunk(entries, ImageFolder(root), params, verify=True)
    assert [8] == [id_ for id_, _ in chunk.frames]
    assert [("cut.jpg", "cut short")] == [(bad.path, bad.reason) for bad in chunk.bad]


def test_verify_notes_a_harmless_flaw_and_stores_the_file_unchanged(root: str) -> None:
    pytest.importorskip("simplejpeg")  # Pillow alone calls this file cut
    content = encoded(texture(60, 60))[:-2]  # without its end marker
    (Path(root) / "a.jpg").write_bytes(content)
    entries = [ListEntry(1, 7, (0.0,), "a.jpg")]
    chunk = pack_chunk(entries, ImageFolder(root), PackParams(unchanged=True), verify=True)

    assert [content] == [decode_image_record(decode_record(frame)).content for _, frame in chunk.frames]
    assert {NO_END: 1} == dict(chunk.notes)


def test_a_chunk_names_the_engine_unless_images_are_stored_unchanged(root: str) -> None:
    entry = ListEntry(1, 7, (0.0,), "a.png")

    assert "pillow" == packed(root, entry, unchanged=False, engine="pillow").engine
    assert "" == packed(root, entry, unchanged=True).engine


def test_notes_are_counted(root: str) -> None:
    (Path(root) / "side.jpg").write_bytes(sideways())
    chunk = packed(root, *(ListEntry(n, n, (0.0,), name) for n, name in enumerate(["side.jpg", "a.png", "side.jpg"])))

    assert {"EXIF orientation not applied": 2} == dict(chunk.notes)


def test_a_bad_image_as_an_error_names_list_line_and_path() -> None:
    error = as_error(BadImage(7, 3, "a/b.jpg", "missing", "no such file"), "l.lst")
    assert "l.lst, line 7: a/b.jpg: no such file (--on-error skip packs the rest)" == str(error)
    assert isinstance(error, ImageError)

    error = as_error(BadImage(2, None, None, "bad list line", "expected an integer as id, found 'x'"), "l.lst")
    assert "l.lst, line 2: expected an integer as id, found 'x' (--on-error skip packs the rest)" == str(error)


def test_an_exception_that_is_not_ours_is_not_swallowed(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("our own mistake")

    monkeypatch.setattr(encode, "store_image", broken)
    with pytest.raises(ZeroDivisionError, match=r"^our own mistake$"):
        packed(root, *LABELS)


# The compiled decoder.

KEPT_AS: dict[str, dict[str, Any]] = {
    "as they are": {},
    "smaller": {"resize": 20},
    "larger": {"resize": 90},
    "cubic": {"resize": 20, "inter_method": 2},
    "by size": {"resize": 30, "inter_method": 9},
    "by chance": {"resize": 30, "inter_method": 10},
    "squares": {"resize": 21, "center_crop": True},
    "squares as they are": {"center_crop": True},
    "a longer side": {"max_side": 50},
    "in grey": {"color": 0, "resize": 20},
    "as stored": {"color": -1, "resize": 20},
    "drafts": {"draft": True, "resize": 20},
    "by Pillow": {"engine": "pillow", "resize": 20},
    "few pixels": {"max_pixels": 5000},
    "PNG": {"encoding": ".png", "resize": 20},
}


@pytest.mark.parametrize("kept", KEPT_AS)
def test_the_compiled_decoder_changes_no_byte_and_no_note(
    tmp_path: Path, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    assert load().kernel is not None
    rng = random.Random(kept)
    entries = []
    for number in range(40):
        (tmp_path / str(number)).write_bytes(any_file(rng, 24))
        entries.append(ListEntry(number, number, (0.0,), str(number)))
    params = PackParams(**KEPT_AS[kept])
    calls: list[str] = []
    real = Kernel.decode_into
    monkeypatch.setattr(Kernel, "decode_into", lambda *given, **more: (calls.append(""), real(*given, **more))[1])

    def packed(kernel_after_images: int) -> tuple[Any, ...]:
        monkeypatch.setattr(encode, "_KERNEL_AFTER_IMAGES", kernel_after_images)
        encode._loaded.cache_clear()
        chunk = pack_chunk(entries, ImageFolder(str(tmp_path)), params)
        return chunk.frames, chunk.lines, chunk.notes

    without_kernel = packed(sys.maxsize)
    assert [] == calls
    assert packed(0) == without_kernel
    assert (len(calls) >= 15) == (kept not in ("in grey", "as stored", "drafts"))
    encode._loaded.cache_clear()


def test_a_jpeg_that_the_compiled_decoder_takes_is_not_decoded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    assert load().kernel is not None
    monkeypatch.setattr(encode, "_KERNEL_AFTER_IMAGES", 0)
    encode._loaded.cache_clear()
    content = encoded(texture(60, 80))
    expected = [store_image(content, 0, params)[0] for params in (PackParams(), PackParams(resize=30))]
    monkeypatch.setattr(encode, "decode", None)

    assert expected == [store_image(content, 0, params)[0] for params in (PackParams(), PackParams(resize=30))]
    encode._loaded.cache_clear()


def test_packing_never_compiles_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    # Compiling takes half a minute of every worker, which no run of pack makes up for.
    options: list[dict[str, bool]] = []
    monkeypatch.setattr(encode, "load", lambda **words: (options.append(words), LoadResult(None, "no kernel"))[1])
    monkeypatch.setattr(encode, "_KERNEL_AFTER_IMAGES", 0)
    encode._loaded.cache_clear()
    store_image(encoded(texture()), 0, PackParams())
    encode._loaded.cache_clear()

    assert [{"may_compile": False}] == options


def test_the_compiled_decoder_is_loaded_after_some_thousand_images_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    assert load().kernel is not None
    (tmp_path / "a").write_bytes(encoded(texture(30, 40)))
    entries = [ListEntry(number, number, (0.0,), "a") for number in range(5)]
    monkeypatch.setattr(encode, "_kernel_candidates", itertools.count())
    monkeypatch.setattr(encode, "_KERNEL_AFTER_IMAGES", 9)
    encode._loaded.cache_clear()

    first, second = (pack_chunk(entries, ImageFolder(str(tmp_path)), PackParams()).kernel for _ in range(2))
    assert "none: no worker has had 9 images that it supports" == first
    assert second.startswith("numba ")
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    encode._loaded.cache_clear()
    assert "none: IM2REC_KERNEL=0 turns it off" == pack_chunk(entries, ImageFolder(str(tmp_path)), PackParams()).kernel
    assert "" == pack_chunk(entries, ImageFolder(str(tmp_path)), PackParams(unchanged=True)).kernel
    encode._loaded.cache_clear()


@pytest.mark.parametrize("engine", ["opencv", "pillow"])
def test_a_side_that_no_jpeg_holds_is_named_with_the_encoding_that_does(engine: str) -> None:
    if engine == "opencv":
        pytest.importorskip("cv2")
    flat = encoded(Image.new("L", (9000, 100)), "PNG")
    expected = (
        "would be stored as 72,000 x 800 pixels, but a JPEG has at most 65,500 a side: use encoding=.png",
        "a side too long for a JPEG",
    )
    with pytest.raises(ImageError) as caught:
        store_image(flat, 0, PackParams(color=0, resize=800, engine=engine))
    assert expected == (str(caught.value), caught.value.reason)

    row = encoded(Image.new("L", (65_501, 1)), "PNG")
    with pytest.raises(ImageError, match=r"65,501 x 1 pixels"):
        store_image(row, 0, PackParams(engine=engine))
    assert (1, 65_501, 3) == pixels_of(store_image(row, 0, PackParams(encoding=".png", engine=engine))[0]).shape
    longest = encoded(Image.new("L", (65_500, 1)), "PNG")
    assert (1, 65_500, 3) == pixels_of(store_image(longest, 0, PackParams(engine=engine))[0]).shape


def test_16_bits_are_scaled_to_the_pixels_that_color_1_stores() -> None:
    source = encoded(deep_texture(), "PNG")
    grey, notes = store_image(source, 0, PackParams(color=-1, engine="pillow", quality=90))
    assert (
        store_image(source, 0, PackParams(color=0, engine="pillow", quality=90))[0],
        ["with 16 bits scaled to 8"],
    ) == (grey, notes)


def test_a_turned_tiff_is_not_noted_as_it_is_turned_with_every_color() -> None:
    for color in (1, 0, -1):
        content, notes = store_image(sideways("TIFF"), 0, PackParams(color=color, **PNG))
        assert ((30, 20), []) == (pixels_of(content).shape[:2], notes)

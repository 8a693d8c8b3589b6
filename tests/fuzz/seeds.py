"""Small valid inputs for each parser, all made by our own code, or golden."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
from typing import Any

import numpy as np
from bin_helpers import ACCEPTED, BINS
from dataset_helpers import COARSE, FINE, NAMES10, gzipped, idx_images, idx_labels, python2_pickle, tarred
from file_helpers import bmp_file, pnm_file, tiff_file
from helpers import image_payload, index_text, part
from image_helpers import encoded, texture
from pair_helpers import GOLDEN_LISTS
from PIL import Image, features

from im2rec.format.digestfile import FileDigest, count_blocks, encode_digest
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.listfile import list_line
from im2rec.format.ndarrayfile import NamedArray, encode_arrays
from im2rec.format.recordio import MAGIC, encode_record
from im2rec.packing.part_file import PartInfo, encode_part_file

PICKLE_TOKENS = (b"(", b".", b"R", b"b", b"cnumpy\ndtype\n", b"cos\nsystem\n", b"\x85", b"t", b"}", b"]", b"u", b"e")


def payloads() -> list[bytes]:
    """Payloads of an image, of a label vector, and of contents that hold aligned magics, so that records are split."""
    vector = encode_image_record(IRHeader(0, [1.0, 2.5, -3.0], 7), b"picture of three labels")
    return [
        image_payload(4, content=encoded(texture(6, 5))),
        vector,
        image_payload(5, content=MAGIC * 3 + b"tail"),
        image_payload(6, content=b"head" * 5 + MAGIC + b"more" + MAGIC + encode_record(b"inner") + b"end"),
        image_payload(8, 3.0, b""),
    ]


def recs() -> list[bytes]:
    """Files of whole, split and empty records, and of ones that no writer makes."""
    frames = [encode_record(payload) for payload in payloads()]
    return [
        b"".join(frames),
        b"".join(frames[1:4] * 3),
        encode_record(b""),
        b"".join(encode_record(image_payload(id_, content=b"x" * (id_ % 9))) for id_ in range(40)),
        part(1, b"head") + part(2, b"") + part(2, b"") + part(3, b"tail") + frames[1],
        part(0, part(0, b"inner record")) + frames[0],
    ]


def indexes() -> list[bytes]:
    """Indexes of consecutive records, of keys and offsets at their limits, and in another spelling."""
    return [
        index_text(range(0, 4000, 44)),
        index_text([0, 44, 2**63 - 1], [2**64 - 1, 7, 0]),
        b"\n 1   0 \r\n2\t44\n\n3 88",
    ]


def files_with_index() -> list[bytes]:
    """Pairs of a ``.rec`` and its index, as :func:`split_pair` reads them."""
    pairs = []
    for rec in recs():
        offsets = _record_offsets(rec)
        pairs.append(joined_pair(rec, index_text(offsets, range(100, 100 + len(offsets)))))
        pairs.append(joined_pair(rec, index_text(offsets[::2])))
    return pairs


def joined_pair(rec: bytes, index: bytes) -> bytes:
    """One input of two files: the length of the second, the second, the first."""
    return struct.pack("<I", len(index)) + index + rec


def split_pair(data: bytes) -> tuple[bytes, bytes]:
    """The two files of :func:`joined_pair`."""
    size = int.from_bytes(data[:4], "little")
    return data[4 + size :], data[4 : 4 + size]


def _record_offsets(rec: bytes) -> list[int]:
    offsets, at = [], 0
    while at < len(rec):
        word = int.from_bytes(rec[at + 4 : at + 8], "little")
        if word >> 29 <= 1:
            offsets.append(at)
        at += 8 + ((word & 0x1FFFFFFF) + 3 & -4)
    return offsets


def lists() -> list[bytes]:
    """Lists with one label, with several, with blanks for TABs, in the ends of lines of other systems."""
    lines = [list_line(3, [1.0], "cats/a.jpg"), list_line(2**64 - 1, [0.5, -1e-7, 3], "a name.png")]
    return [
        "".join(lines).encode() * 3,
        b"# comment\r\n1 2 3 a b.jpg\r\n\r\n7\t1\tx.jpg\r",
        b"1\t2\t3\t4\tb.jpg\n5 0 c\n",
    ]


def face_lists() -> list[bytes]:
    """Lists of faces in both forms, in the order of their labels and in none."""
    return [
        b"5\t2\ta.jpg\n6\t1\tb.jpg\n7\t2\tc.jpg\n# comment\n8\t1\td.jpg\n",
        b"0\t0\ta.jpg\r\n1\t0\tb.jpg\r\n2\t3\t0.5\tc.jpg\r\n",
        b"1\ta/a.jpg\t7\n1\tb/b.jpg\t3\t1\t2\t30\t40\n1\ta/c.jpg\t7\n",
        b"1\t17\t5\n0\ta.jpg\t5\t1\t2\t3\t4" + b"\t1.5" * 10 + b"\n1\tb.jpg\t-1\n",
    ]


def pair_lists() -> list[bytes]:
    """Lists of pairs in every form."""
    return [*(path.read_bytes() for path in GOLDEN_LISTS), b'path1,path2,same\r\n"a ""b"".jpg","c, d.jpg",true\r\n']


def arrays() -> list[bytes]:
    """Array files of each layout: with and without names, of several types, and as old versions of MXNet wrote them."""
    mean = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    named = encode_arrays([NamedArray("mean_img", mean)])
    two = encode_arrays([NamedArray("a", mean.astype(np.int64)), NamedArray("b", mean.astype(np.uint8).reshape(-1))])
    head = struct.pack("<QQQ", 0x112, 0, 1)
    data = mean.tobytes() + struct.pack("<Q", 0)
    v1 = head + struct.pack("<Ii3q3i", 0xF993FAC8, 3, 3, 2, 2, 1, 0, 0) + data
    oldest = head + struct.pack("<I3I3i", 3, 3, 2, 2, 1, 0, 0) + data
    scalar = head + struct.pack("<Iii3i", 0xF993FACA, 0, 0, 1, 0, 0) + bytes(4) + struct.pack("<Q", 0)
    return [named, two, encode_arrays([NamedArray(None, mean)]), v1, oldest, scalar]


def idx_files() -> list[bytes]:
    """IDX files of images and labels, plain and in gzip."""
    pixels, labels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5), np.arange(7, dtype=np.uint8)
    plain = [idx_images(pixels), idx_labels(labels), idx_images(pixels[:0])]
    return [*plain, *map(gzipped, plain), gzipped(idx_images(np.zeros((40, 60, 60), np.uint8)))]


def digests() -> list[bytes]:
    """Digests of an empty file, of one with a few blocks, and of one whose last block is whole."""
    made = []
    for size in (0, 10_000, 3 * 4096):
        blocks = tuple(hashlib.sha256(b"%d" % number).digest() for number in range(count_blocks(size, 4096)))
        made.append(encode_digest(FileDigest(size, size // 100, size // 50, bytes(32), blocks, 4096)))
    return made


def cifar_rows(count: int) -> np.ndarray[Any, Any]:
    return np.arange(count * 3072, dtype=np.uint32).astype(np.uint8).reshape(count, 3072)


def pickles() -> list[bytes]:
    """Pickles of a batch and of class names: by protocol 2 of Python 2, and by several of Python 3 and numpy."""
    batch = {"labels": [3, 250], "data": cifar_rows(2)}
    names = {b"label_names": [b"a", b"b"], "n": 10000, "x": (1.5, None, True, -(2**70)), "u": "\u00e9"}
    ours = [python2_pickle(batch), python2_pickle({"label_names": ["cat", "dog"], "num": 10000})]
    return [*ours, *(pickle.dumps(value, protocol) for value in (batch, names) for protocol in (0, 2, 3, 4, 5))]


def bins() -> list[bytes]:
    """Verification files in every published form, of six pairs."""
    return [(BINS / name).read_bytes() for name in ACCEPTED if "102" not in name]


def _batches(names: list[str], keys: list[str]) -> dict[str, bytes]:
    rows = cifar_rows(1)
    return {name: python2_pickle({"data": rows, **{key: [1] for key in keys}}) for name in names}


def tars() -> list[bytes]:
    """Archives of CIFAR-10 and CIFAR-100 with an image in each file, of both versions, with long names, and gzipped."""
    train = [f"data_batch_{number}" for number in range(1, 6)]
    python10 = _batches([*train, "test_batch"], ["labels"]) | {"batches.meta": python2_pickle({"label_names": NAMES10})}
    binary10 = {f"{name}.bin": b"\1" + cifar_rows(1).tobytes() for name in (*train, "test_batch")}
    meta = python2_pickle({"fine_label_names": FINE, "coarse_label_names": COARSE})
    python100 = _batches(["train", "test"], ["fine_labels", "coarse_labels"]) | {"meta": meta}
    small = {"test_batch": b"content", "other": b"x" * 700}
    return [
        tarred(python10, mode="w"),
        tarred(binary10, mode="w"),
        tarred(python100, mode="w"),
        tarred(python100),
        tarred(small, folder="f" * 150, mode="w"),
        tarred(small),
    ]


def rows_of_csv() -> list[bytes]:
    return [
        b"1,2,3\n4,5,6\n",
        b"1.5, -2e-3 ,nan\r\n\r\ninf,+.5,5.,\r",
        b"\xef\xbb\xbf0,0,0\n" * 4 + b"9007199254740993,1,2",
    ]


def rows_of_libsvm() -> list[bytes]:
    return [b"1 0:1.5 2:3\n-1 1:2\n", b"0.5\n# none\n1 2:nan # comment\r\n\n", b"3 0:1 1:2 2:3\n" * 5]


def words() -> list[bytes]:
    """Words of the command line, a line feed after each."""
    return [
        b"data_shape=3,224,224\nbatch_size=8\npath_imgrec=a.rec\nrand_crop=1\nmean_r=123.5",
        b"data_shape=(3,28,28)\nbatch_size=100\npath_imgrec=a.rec\nshuffle=True\nround_batch=none\nmax_pixels=auto",
        b"resize=256\nlabel_width=4\nquality=90\nencoding=.png\nmax_pixels=none\ncenter_crop=yes",
        b"data_csv=a.csv\ndata_shape=3\nlabel_shape=[1,2]\nbatch_size=2\ndtype=int64\nlabel_csv=null",
        b"rotate_list=0,90,180\nmin_random_scale=0.5\nbatch_size=1\npath_imgrec=a\ndata_shape=1,2,3\nrng=mxnet",
    ]


def states(taken: dict[str, Any]) -> list[bytes]:
    """States as JSON: *taken* from an iterator as it is, and without its digest, so that its values are compared."""
    unsigned = {key: value for key, value in taken.items() if key != "digest"}
    later = {**taken, "epoch": 3, "splits": [[2, 4], [1, 3]]}
    return [json.dumps(state).encode() for state in (taken, unsigned, later)]


def journals(identity: dict[str, Any]) -> list[bytes]:
    """Journals of an extraction, one of them of another one."""
    done = {"records": 4, "shards": 1, "list_bytes": 99, "bytes": 4711, "not_images": 0, "lost_bits": 0}
    return [
        json.dumps({"extraction": begun, "done": done, "complete": False}, indent=1).encode()
        for begun in (identity, {**identity, "rec": "other.rec"})
    ]


def part_files() -> list[bytes]:
    """Part files of a part with bad images, and of an empty one."""
    identity = {"list": "ab" * 32, "root": "photos", "resize": 256, "max_pixels": None, "draft": False}
    some = PartInfo(4, 2, 12, {"missing": 1}, 4711, 99, "0f" * 32, 118, identity)
    empty = PartInfo(1000, 999, 0, {}, 0, 0, "0f" * 32, 0, {"libraries": {"numpy": "2.0"}})
    return [encode_part_file(info) for info in (some, empty)]


def class_files() -> list[bytes]:
    return [b"cats\ndogs\n", b"\xef\xbb\xbfa\r\nb\r\n\xff\r", "\u00e9\n\u732b\n".encode()]


def starts_of_other_files() -> list[bytes]:
    """First bytes of files that are no ``.rec``, and of payloads that have no image header."""
    return [
        index_text([0, 44]),
        lists()[0],
        b"<!doctype html><html>",
        b"\n#\xef\xbf\xbd" + bytes(30),
        struct.pack("<Q", 5) + bytes(12),
        b"\x0a\x05hello\x12\x03abc",
        b'{"a": [1, 2]}',
        bytes(64),
        encoded(texture(6, 5)),
        "text".encode("utf-16"),
        payloads()[0],
        tarred({"a": b""}, mode="w"),
    ]


def jpegs() -> list[bytes]:
    """JPEGs of every kind that the compiled decoder takes, and of some that it leaves to libjpeg."""
    exif = Image.Exif()
    exif[274] = 6
    pixels = texture(20, 17)
    kinds: list[dict[str, Any]] = [
        {"quality": 90, "subsampling": 0},
        {"quality": 75, "subsampling": 1, "optimize": True},
        {"quality": 50, "subsampling": 2, "exif": exif},
        {"progressive": True},
        {"restart_marker_blocks": 1},
        {"comment": b"a comment"},
    ]
    files = [encoded(pixels, **kind) for kind in kinds]
    cmyk = Image.fromarray(texture(9, 9)).convert("CMYK")
    return [*files, encoded(pixels[:, :, :1]), encoded(cmyk), encoded(texture(1, 1))]


def tiffs() -> list[bytes]:
    """TIFFs of both byte orders, of 64 bits, with planes, tiles, palettes and several pages, plain and compressed."""
    pixels = texture(8, 9)
    exif = Image.Exif()
    exif[274] = 8
    pages = io.BytesIO()
    first, second = Image.fromarray(pixels), Image.fromarray(pixels[::-1].copy())
    first.save(pages, "TIFF", save_all=True, append_images=[second])
    grey = first.convert("L")
    compressed = [encoded(grey, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate", "packbits")]
    return [
        tiff_file(pixels),
        tiff_file(pixels, order=">", planes=True),
        tiff_file(pixels, big=True),
        tiff_file(texture(8, 9, 4), 5),
        tiff_file(pixels[:, :, :1].astype(np.uint16), 1),
        pages.getvalue(),
        encoded(first, "TIFF", exif=exif),
        encoded(first.convert("P"), "TIFF"),
        encoded(first.convert("1"), "TIFF", compression="group4"),
        *compressed,
        encoded(first, "TIFF", compression="jpeg"),
    ]


def images() -> list[bytes]:
    """An image of every other kind that is taken, in several variants."""
    pixels = texture(8, 9)
    first = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[274] = 5
    animated = {"save_all": True, "append_images": [first.rotate(90), first.rotate(180)]}
    files = [
        encoded(first, "PNG", exif=exif),
        encoded(first.convert("P"), "PNG", transparency=3),
        encoded(first.convert("RGBA"), "PNG"),
        encoded(Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 999), "PNG"),
        encoded(first, "PNG", **animated),
        encoded(first, "GIF", **animated),
        encoded(first.convert("L"), "GIF"),
        encoded(first, "BMP"),
        encoded(first.convert("1"), "BMP"),
        bmp_file(16, (0xF800, 0x7E0, 0x1F)),
        bmp_file(32),
        bmp_file(24, top_down=True),
        *(pnm_file(number, pixels if number in (3, 6) else pixels[:, :, :1]) for number in range(1, 7)),
        struct.pack(">8I", 0x59A66A95, 4, 3, 24, 36, 1, 0, 0) + bytes(range(36)),
        encoded(first, "JPEG2000") if features.check("jpg_2000") else b"\xff\x4f\xff\x51",
        b"\x00\x00\x00\x1cftypavif",
        b"",
    ]
    if features.check("webp"):
        files += [encoded(first, "WEBP"), encoded(first, "WEBP", lossless=True), encoded(first, "WEBP", **animated)]
    if features.check("avif"):
        files.append(encoded(first, "AVIF"))
    return files

"""Read a face-recognition set by every reader that is here, and compare labels, contents and pixels of all images.

    python tests/bench/face_readers.py train.rec --mxnet PYTHON --dali PYTHON --torch PYTHON

PYTHON are those of environments that have MXNet, DALI and PyTorch; readers without one are left out. Each reader says
for every image, in order of the keys, its class, the SHA-256 of its content if it gives one, and that of its pixels;
MXNet and im2rec.mx choose the records as arcface_torch does. Ends with exit code 1 if labels or contents differ.
DALI decodes by another library: the largest difference of its pixels from ours is printed.
"""

# ruff: noqa: PLC0415 - each reader is imported by its own Python only
from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

BATCH = 256
CHECKED_PIXELS = 2000  # images whose pixels are kept, to be compared with those of DALI


class Read(NamedTuple):
    """One image as a reader gives it; None for what it does not give."""

    label: int
    content: bytes | None
    pixels: Any = None


def raw(rec: str) -> Iterator[Read]:
    """The records themselves."""
    import im2rec

    with im2rec.open(rec) as file:
        without_content = set(file.labels.without_content.tolist())
        images = [ordinal for ordinal in range(len(file)) if ordinal not in without_content]
        for start in range(0, len(images), BATCH):
            for header, content in file.read_many(images[start : start + BATCH]):
                label = header.label if header.flag == 0 else header.label[0]
                yield Read(int(label), content, im2rec.decode(content).pixels)


def iterator(rec: str) -> Iterator[Read]:
    import im2rec

    with im2rec.ImageRecordUInt8Iter(
        path_imgrec=rec, data_shape=(3, 112, 112), batch_size=BATCH, label_width=1, verbose=False
    ) as it:
        for batch in it:
            count = BATCH - batch.pad
            for row, label in zip(batch.data[0][:count], batch.label[0][:count].ravel(), strict=True):
                yield Read(int(label), None, row.transpose(1, 2, 0))


def dataset(rec: str) -> Iterator[Read]:
    from im2rec.torch import RecordDataset

    for content, label in RecordDataset(rec, decode=None):
        yield Read(label, content)


def arcface(recordio: Any, rec: str) -> Iterator[Read]:
    """The rule of arcface_torch/dataset.py: the header says up to which key there are images."""
    record = recordio.MXIndexedRecordIO(str(Path(rec).with_suffix(".idx")), rec, "r")
    header, _ = recordio.unpack(record.read_idx(0))
    keys = range(1, int(header.label[0])) if header.flag > 0 else list(record.keys)
    for key in keys:
        header, content = recordio.unpack(record.read_idx(key))
        yield Read(int(header.label if header.flag == 0 else header.label[0]), content)


def mx(rec: str) -> Iterator[Read]:
    from im2rec.mx import recordio

    return arcface(recordio, rec)


def mxnet(rec: str) -> Iterator[Read]:
    import numpy as np

    np.bool = bool  # type: ignore[misc, assignment]  # MXNet 1.9.1 asks for this name
    from mxnet import recordio

    return arcface(recordio, rec)


def dali(rec: str) -> Iterator[Read]:
    from nvidia.dali import fn, pipeline_def

    @pipeline_def(batch_size=BATCH, num_threads=2, device_id=None)
    def images() -> Any:
        contents, labels = fn.readers.mxnet(path=[rec], index_path=[f"{rec[:-4]}.dali.idx"], name="reader")
        return contents, labels, fn.decoders.image(contents, device="cpu")

    pipe = images()
    pipe.build()
    left = pipe.epoch_size("reader")
    while left:
        contents, labels, pixels = pipe.run()
        for row in range(min(BATCH, left)):
            yield Read(int(labels.at(row)[0]), contents.at(row).tobytes(), pixels.at(row))
        left -= min(BATCH, left)


READERS: dict[str, Callable[[str], Iterator[Read]]] = {
    "records": raw,
    "ImageRecordIter": iterator,
    "im2rec.mx": mx,
    "RecordDataset": dataset,
    "MXNet": mxnet,
    "DALI": dali,
}


def digest_of(name: str, rec: str, pixels_path: str) -> dict[str, Any]:
    """Read all by the reader *name*; return the number of images and the digests, and write the first pixels."""
    import numpy as np

    labels, contents, pixels, images = hashlib.sha256(), hashlib.sha256(), hashlib.sha256(), 0
    kept, has_content, has_pixels = [], False, False
    for read in READERS[name](rec):
        labels.update(b"%d\n" % read.label)
        if read.content is not None:
            has_content = True
            contents.update(hashlib.sha256(read.content).digest())
        if read.pixels is not None:
            has_pixels = True
            if images < CHECKED_PIXELS:
                kept.append(np.ascontiguousarray(read.pixels))
            pixels.update(np.ascontiguousarray(read.pixels))
        images += 1
    if kept:
        np.save(pixels_path, np.stack(kept))
    return {
        "images": images,
        "labels": labels.hexdigest()[:16],
        "contents": contents.hexdigest()[:16] if has_content else None,
        "pixels": pixels.hexdigest()[:16] if has_pixels else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rec")
    for name in ("mxnet", "dali", "torch"):
        parser.add_argument(f"--{name}", metavar="PYTHON")
    parser.add_argument("--reader", help=argparse.SUPPRESS)
    parser.add_argument("--pixels", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.reader:
        sys.stdout.write(json.dumps(digest_of(arguments.reader, arguments.rec, arguments.pixels)))
        return
    pythons = {"MXNet": arguments.mxnet, "DALI": arguments.dali, "RecordDataset": arguments.torch}
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name in READERS:
            python = pythons.get(name, sys.executable)
            if python is None:
                continue
            pixels = str(Path(folder, f"{name}.npy"))
            words = [python, __file__, arguments.rec, "--reader", name, "--pixels", pixels]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            found[name] = json.loads(done.stdout.splitlines()[-1])
            sys.stdout.write(f"{name:16} {found[name]}\n")
        if "DALI" in found:
            import numpy as np

            ours, theirs = (np.load(Path(folder, f"{name}.npy")).astype(int) for name in ("records", "DALI"))
            sys.stdout.write(f"pixels of DALI differ by at most {abs(ours - theirs).max()} levels\n")
    expected = found["records"]
    for name, values in found.items():
        for what in ("images", "labels", "contents"):
            if values[what] not in (None, expected[what]):
                raise SystemExit(f"{name}: other {what}")


if __name__ == "__main__":
    main()

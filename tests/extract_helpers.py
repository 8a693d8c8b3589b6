"""Helpers for the tests of ``extract``: records with small images, file trees to compare, and a run to be killed.

As a program (``python -c "import extract_helpers; extract_helpers.main()" ...``) it repeats an extraction in child
processes and kills each one step later than the one before; a step is a change on disk.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from helpers import write_rec
from PIL import Image

from im2rec.extraction import writers
from im2rec.extraction.extract import ExtractOptions, extract
from im2rec.format.heads import MAGIC
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.packing.pack import pack
from im2rec.packing.params import PackParams

FORMATS = {
    ".jpg": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".tiff": "TIFF",
    ".ppm": "PPM",
    ".jp2": "JPEG2000",
}


@functools.cache
def image(number: int = 0, suffix: str = ".png") -> bytes:
    """An image file of 5 x 6 pixels, different for each *number*."""
    pixels = np.random.default_rng(number).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, FORMATS[suffix])
    return buffer.getvalue()


def with_magics(number: int = 0) -> bytes:
    """A PNG followed by magics, which are aligned after an image header: its record is split."""
    content = image(number)
    return content + bytes(-len(content) % 4) + MAGIC + b"between" + bytes(1) + MAGIC * 2 + b"x"


def plain(id_: int, label: float = 1.0, content: bytes | None = None, *, id2: int = 0) -> bytes:
    """The payload of a record with one label."""
    return encode_image_record(IRHeader(0, float(label), id_, id2), image(id_) if content is None else content)


def vector(id_: int, labels: Sequence[float], content: bytes | None = None, *, field: float | None = None) -> bytes:
    """The payload of a record with a label vector; its label field is the first label, as the C++ tool writes it."""
    label_field = labels[0] if field is None else field
    content = image(id_) if content is None else content
    return encode_image_record(IRHeader(0, list(labels), id_), content, label_field=label_field)


def with_label_bits(id_: int, bits: int) -> bytes:
    """A plain record whose label is any 32 bits."""
    return struct.pack("<IIQQ", 0, bits, id_, 0) + image(id_)


def a_rec(folder: Path, payloads: Sequence[bytes], name: str = "some.rec", **options: Any) -> Path:
    """A ``.rec`` without index."""
    return write_rec(folder / name, payloads, **{"index": False, **options})


def many(count: int, classes: int = 3) -> list[bytes]:
    """Payloads of *count* images, whose labels run through *classes* in turn."""
    return [plain(n, n % classes, image(n % 20)) for n in range(count)]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below *folder* by its path, with the marker."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def images_in(folder: Path) -> dict[str, bytes]:
    """Every file below *folder* but the list and the marker."""
    return {name: data for name, data in tree(folder).items() if not name.endswith((".lst", ".json"))}


def packed_again(folder: Path, stem: str = "some", **params: Any) -> bytes:
    """The ``.rec`` that packing the extraction in *folder* gives."""
    out = folder.with_name("again.rec")
    pack(folder / f"{stem}.lst", folder, out, PackParams(unchanged=True, **params))
    return out.read_bytes()


def kill_everywhere(folder: Path, rec: Path, options: dict[str, Any], *, replace: bool = False) -> dict[str, Any]:
    """Run the extraction in *folder* in child processes, killed at the first step, at the second, ...; see `_report`.

    With *replace* there is an earlier extraction, which is replaced with ``force``.
    """
    words = json.dumps({"folder": str(folder), "rec": str(rec), "options": options, "replace": replace})
    code = "import extract_helpers; extract_helpers.main()"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code, words], env=environment, capture_output=True, text=True)
    assert ("", 0) == (done.stderr, done.returncode)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main() -> None:
    """Write the report of :func:`kill_everywhere` as JSON."""
    words = json.loads(sys.argv[1])
    writers.BATCH_RECORDS = 7
    options = ExtractOptions(**{name: tuple(v) if isinstance(v, list) else v for name, v in words["options"].items()})
    report = _report(Path(words["folder"]), Path(words["rec"]), options, replace=words["replace"])
    sys.stdout.write(json.dumps(report))


def _report(folder: Path, rec: Path, options: ExtractOptions, *, replace: bool) -> dict[str, Any]:
    """Count the runs that were killed, and those that were resumed; list the steps with a wrong result.

    ``incomplete`` are the steps after which the final name had an incomplete folder, ``wrong`` those after which the
    next run did not give the expected files.
    """
    extract(rec, folder / "whole", options)
    expected = tree(folder / "whole")
    incomplete, wrong, resumed = [], [], 0
    for step in itertools.count(1):
        out = folder / f"{step}" / "out"
        out.parent.mkdir()
        if replace:
            extract(rec, out, ExtractOptions(head=1))
        earlier = tree(out)
        if not _killed_at(step, lambda out=out: extract(rec, out, options, force=replace)):
            return {"kills": step - 1, "incomplete": incomplete, "wrong": wrong, "resumed": resumed}
        incomplete += [step] if tree(out) not in (earlier, expected, {}) else []
        if tree(out) != expected:
            resumed += extract(rec, out, options, force=replace).resumed > 0
        wrong += [step] if tree(out) != expected or (out.parent / "out.im2rec-partial").exists() else []
    raise AssertionError


def _killed_at(step: int, work: Callable[[], Any]) -> bool:
    """Do *work* in a child process that is killed before its *step*-th change on disk; False if it made fewer."""
    child = os.fork()
    if child == 0:
        changes = itertools.count(1)

        def watch(event: str, args: tuple[Any, ...]) -> None:
            changing = event in ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate")
            if (changing or (event == "open" and set(str(args[1])) & set("xw+"))) and next(changes) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])

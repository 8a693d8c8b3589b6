"""Write a published set as ``.rec`` files with indexes, lists and class names."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from im2rec.datasets.cifar import read_cifar
from im2rec.datasets.mnist import MnistPair, find_mnist, read_mnist
from im2rec.datasets.set_files import SetFiles, check_output, output_files
from im2rec.datasets.sets import (
    BOTH,
    CIFAR10,
    CIFAR100,
    COARSE,
    FINE,
    MNIST,
    SETS,
    TEST,
    Cifar100Params,
    Dataset,
    ImageBatch,
    ImportParams,
)
from im2rec.errors import InputError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.listfile import list_line
from im2rec.images.engine import Engine, load_engine
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.schema import BYTES_OUT, DRY_RUN, ENGINE, FILES, IMAGES, RATE, SECONDS, WARNINGS, described
from im2rec.storage.classes import classes_text
from im2rec.storage.files import PathLike

PNG_LEVEL = 3  # as `im2rec pack`
_REPORT_EVERY = 256
# A folder or archive, or for MNIST the files of each split; None, in a dry run, when they are not downloaded yet.
Source = PathLike | Mapping[str, MnistPair] | None


@dataclasses.dataclass
class ImportSummary:
    """The result of :func:`import_set`, as ``--json`` prints it."""

    name: str = described("Name of the thing that the object is about.")
    title: str = described("Name of the set in words.")
    out: str = described("The folder that is written to.")
    version: str = described("Version of the thing that the object is about.", "")
    input: str = described("The folder or files that the set was read from; empty before a download.", "")
    images: int = described(IMAGES, 0)
    splits: dict[str, int] = described("Images of each split.", factory=dict)
    classes: int = described("Classes of these images; 0 if nothing was read, as before a download.", 0)
    encoding: str = described("How images are stored: `.png` for example.", "")
    engine: str = described(ENGINE, "")
    bytes_out: int = described(f"{BYTES_OUT} 0 in a dry run.", 0)
    seconds: float = described(SECONDS, 0.0)
    images_per_s: float = described(RATE, 0.0)
    files: list[str] = described(FILES, factory=list)
    fetched: list[str] = described("Files that were downloaded, or would be in a dry run.", factory=list)
    warnings: list[str] = described(WARNINGS, factory=list)
    dry_run: bool = described(DRY_RUN, False)


class _SourceImage(NamedTuple):
    """An image of a set, with the number of its batch file and its row in that file, both from 0."""

    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    labels: Sequence[int]
    batch: int
    row: int


def import_set(
    name: str,
    out: PathLike,
    source: Source | Callable[[], Source],
    params: ImportParams | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ImportSummary:
    """Write the set *name*, read from *source*, to the folder *out*, which is made if it is missing.

    Ids and keys count from 0 in each split. The files are locked before *source* is read, or called if it is a function
    that fetches and returns the source. No file has its final name before all files are written. A dry run reads the
    source and writes nothing; only then may *source* be None. *progress* is called with the number of images written so
    far and their share. Raises InputError for the source, OutputError, also while another run writes to *out*::

        import_set("cifar10", "cifar", "cifar-10-python.tar.gz")
    """
    started = time.monotonic()
    out = Path(out)
    params = params or (Cifar100Params() if name == CIFAR100 else ImportParams())
    splits = list(source) if isinstance(source, Mapping) else list(SETS[name].images)
    check_output(name, out, splits, force=force)
    summary = ImportSummary(name, SETS[name].title, os.fspath(out), encoding=params.encoding, dry_run=dry_run)
    summary.files = [os.fspath(file) for file in output_files(name, out, splits)]
    summary.splits = {split: SETS[name].images[split] for split in splits}
    summary.images = sum(summary.splits.values())
    with contextlib.nullcontext() if dry_run else SetFiles(name, out, splits, force=force) as files:
        if callable(source):
            source = source()
            started = time.monotonic()
        report = begin_phase(progress, Phase("importing", "image"))
        if source is None:
            assert dry_run
            return summary
        dataset = read_set(name, source)
        summary.input = ", ".join(_source_names(source))
        summary.version, summary.classes = dataset.version, len(dataset.classes)
        summary.warnings = list(_warnings(dataset, summary.splits))
        summary.splits = dataset.images()
        summary.images = sum(summary.splits.values())
        if files is not None:
            engine = load_engine("auto")
            summary.engine = engine.name
            summary.bytes_out = _write(name, files, dataset, params, engine, report)
    summary.seconds = round(time.monotonic() - started, 3)
    written = 0 if dry_run else summary.images
    summary.images_per_s = round(written / max(summary.seconds, 1e-9), 1)
    return summary


def read_set(name: str, source: PathLike | Mapping[str, MnistPair]) -> Dataset:
    """Read the set *name* from *source*, in any of its published forms.

    Raises InputError, also for a split without images.
    """
    if name == MNIST:
        dataset = read_mnist(source if isinstance(source, Mapping) else find_mnist(source))
    else:
        assert not isinstance(source, Mapping)
        dataset = read_cifar(name, source)
    for split, count in dataset.images().items():
        if not count:
            path = source[split].images if isinstance(source, Mapping) else source
            raise InputError(f"holds no {split} images", path=path, hint="is it the right one?")
    return dataset


def _source_names(source: PathLike | Mapping[str, MnistPair]) -> list[str]:
    if isinstance(source, Mapping):
        return [os.fspath(pair.images) for pair in source.values()]
    return [os.fspath(source)]


def _warnings(dataset: Dataset, published: Mapping[str, int]) -> Iterator[str]:
    for split, count in dataset.images().items():
        if count != published[split]:
            yield f"the {split} split holds {count:,} images, that of the published set {published[split]:,}"


def _write(
    name: str, files: SetFiles, dataset: Dataset, params: ImportParams, engine: Engine, progress: Progress
) -> int:
    """Write all files and publish them; return the size of the ``.rec`` files in bytes."""
    written, total = 0, sum(dataset.images().values())
    for split, batches in dataset.splits.items():
        writer, listed = files.records[split], files.lists[split]
        for id_, image in enumerate(_images(batches)):
            label = _label(image.labels, params)
            content = engine.encode(image.pixels, params.encoding, quality=params.quality, png_level=PNG_LEVEL)
            writer.write(encode_image_record(IRHeader(0, label, id_), content), key=id_)
            labels = _list_labels(name, split, image, label)
            listed.write(list_line(id_, labels, f"{split}/{id_:05d}{params.encoding}").encode())
            written += 1
            if written % _REPORT_EVERY == 0 or written == total:
                progress(written, written / total)
    stored = dataset.coarse_classes if getattr(params, "label", FINE) == COARSE else dataset.classes
    for file in files.labels:
        file.write(classes_text(stored))
    for file, names in zip(files.classes, (dataset.classes, dataset.coarse_classes), strict=False):
        file.write(classes_text(names))
    files.publish()
    return sum(writer.offset for writer in files.records.values())


def _images(batches: Iterable[ImageBatch]) -> Iterator[_SourceImage]:
    for number, batch in enumerate(batches):
        for row, labels in enumerate(batch.labels.tolist()):
            yield _SourceImage(np.ascontiguousarray(batch.pixels[row]), labels, number, row)


def _label(labels: Sequence[int], params: ImportParams) -> float | list[float]:
    """Return the label of a record: the class, or for CIFAR-100 what the parameter ``label`` selects."""
    choice = getattr(params, "label", FINE)
    if choice == BOTH:
        return [float(label) for label in labels]
    return float(labels[1 if choice == COARSE else 0])


def _list_labels(name: str, split: str, image: _SourceImage, label: float | list[float]) -> Sequence[float]:
    """Return the labels of a list line: those of the record, or for CIFAR-10 the four of MXNet's manual.

    These are the class, the number of the batch file, the row in it, and 0 for the training set or 1 for the test set.

    Source: MXNet's manual, "Loading Data": ``path_imglist="data/cifar/image.lst", label_width="4"``.
    """
    if name == CIFAR10:
        return image.labels[0], image.batch, image.row, float(split == TEST)
    return label if isinstance(label, list) else [label]

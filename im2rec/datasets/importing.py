"""Write a published set as ``.rec`` files with indexes, lists and class names."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from im2rec.datasets.cifar import read_cifar
from im2rec.datasets.mnist import MnistPair, find_mnist, read_mnist
from im2rec.datasets.sets import (
    BOTH,
    CIFAR10,
    CIFAR100,
    COARSE,
    FINE,
    MNIST,
    SETS,
    TEST,
    TRAIN,
    Cifar100Params,
    Dataset,
    ImageBatch,
    ImportParams,
)
from im2rec.errors import InputError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.listfile import list_line
from im2rec.images.engine import Engine, load_engine
from im2rec.parallel import Progress
from im2rec.schema import BYTES_OUT, DRY_RUN, ENGINE, FILES, IMAGES, RATE, SECONDS, WARNINGS, described
from im2rec.storage.digest import digest_path
from im2rec.storage.files import PathLike
from im2rec.storage.output import AtomicFile, check_output_folder, refuse_existing, writing
from im2rec.storage.writer import RecordWriter

PNG_LEVEL = 3  # as `im2rec pack`
_LISTS = {(CIFAR10, TRAIN): "image.lst"}  # as MXNet's manual calls it
_CLASSES, _COARSE_CLASSES = "classes.txt", "coarse_classes.txt"
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


def output_files(name: str, out: PathLike, splits: Iterable[str] = (TRAIN, TEST)) -> list[Path]:
    """Return the paths of all files that importing the set *name* writes to the folder *out*."""
    names = [file for split in splits for file in (f"{split}.rec", f"{split}.idx", _list_name(name, split))]
    names += [_CLASSES, *([_COARSE_CLASSES] if name == CIFAR100 else [])]
    return [Path(out, file) for file in names]


def check_output(name: str, out: PathLike, splits: Iterable[str] = (TRAIN, TEST), *, force: bool) -> None:
    """Raise OutputError if *out* cannot be made or, without *force*, contains a file that would be written or removed.

    Old digests would be removed.
    """
    out = Path(out)
    check_output_folder(out)
    if out.is_dir():
        digests = [digest_path(out / f"{split}.rec") for split in splits]
        refuse_existing([*output_files(name, out, splits), *digests], force=force)


def import_set(
    name: str,
    out: PathLike,
    source: Source,
    params: ImportParams | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ImportSummary:
    """Write the set *name*, read from *source*, to the folder *out*, which is made if it is missing.

    Ids and keys count from 0 in each split. No file has its final name before all files are written. A dry run reads
    the source and writes nothing; only then may *source* be None. *progress* is called with the number of images
    written so far and their share. Raises InputError for the source, OutputError::

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
    if source is None:
        assert dry_run
        return summary
    dataset = read_set(name, source)
    summary.input = ", ".join(_source_names(source))
    summary.version, summary.classes = dataset.version, len(dataset.classes)
    summary.warnings = list(_warnings(dataset, summary.splits))
    summary.splits = dataset.images()
    summary.images = sum(summary.splits.values())
    if not dry_run:
        engine = load_engine("auto")
        summary.engine = engine.name
        with _make_folder(out):
            summary.bytes_out = _write(name, out, dataset, params, engine, force=force, progress=progress)
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


def _list_name(name: str, split: str) -> str:
    return _LISTS.get((name, split), f"{split}.lst")


@contextlib.contextmanager
def _make_folder(out: Path) -> Iterator[None]:
    """Make *out* and the folders above it; after the ``with`` block remove those that are new and still empty."""
    with writing(out):
        made = [folder for folder in (out, *out.parents) if not folder.exists()]
        out.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a folder with files in it stays
            for folder in made:
                folder.rmdir()


def _write(
    name: str,
    out: Path,
    dataset: Dataset,
    params: ImportParams,
    engine: Engine,
    *,
    force: bool,
    progress: Progress | None,
) -> int:
    """Write all files under temporary names, then rename them; return the size of the ``.rec`` files in bytes."""
    written, size, total = 0, 0, sum(dataset.images().values())
    with contextlib.ExitStack() as stack:
        texts = []
        for split, batches in dataset.splits.items():
            writer = stack.enter_context(RecordWriter(out / f"{split}.rec", force=force))
            texts.append(stack.enter_context(AtomicFile(out / _list_name(name, split), force=force)))
            for id_, image in enumerate(_images(batches)):
                label = _label(image.labels, params)
                content = engine.encode(image.pixels, params.encoding, quality=params.quality, png_level=PNG_LEVEL)
                writer.write(encode_image_record(IRHeader(0, label, id_), content), key=id_)
                labels = _list_labels(name, split, image, label)
                texts[-1].write(list_line(id_, labels, f"{split}/{id_:05d}{params.encoding}").encode())
                written += 1
                if progress and written % _REPORT_EVERY == 0:
                    progress(written, written / total)
            size += writer.offset
        for file, names in ((_CLASSES, dataset.classes), (_COARSE_CLASSES, dataset.coarse_classes)):
            if names:
                texts.append(stack.enter_context(AtomicFile(out / file, force=force)))
                texts[-1].write("".join(f"{name}\n" for name in names).encode())
        for text in texts:
            text.finish()  # raises for a full disk, before any file has its final name
    return size


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

"""Pack a list into a training folder for face recognition, as InsightFace's trainers read it.

The folder has ``train.rec`` and ``train.idx``, ``property``, the map of labels and, where the list has class names,
``train.classes.txt``. What the records are is in :mod:`im2rec.format.insightface`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from pathlib import Path
from typing import Any

from im2rec.errors import ParameterError
from im2rec.format.face_list import FACE2REC2
from im2rec.format.insightface import PROPERTY_NAME, REC_NAME, check_exact
from im2rec.format.listfile import EXACT_INTEGERS
from im2rec.packing.face_lines import FaceLines
from im2rec.packing.face_numbering import FaceNumbering
from im2rec.packing.image_files import image_folder
from im2rec.packing.pack import PackOptions, PackRun
from im2rec.packing.params import PackParams
from im2rec.packing.partial_pack import Companions, Ending
from im2rec.packing.report import PackSummary, report_path
from im2rec.progress import Phase, Progress, begin_phase
from im2rec.storage.classes import class_names_beside, classes_path
from im2rec.storage.companions import LABELS_MAP, beside, index_to_write
from im2rec.storage.digest import digest_path
from im2rec.storage.files import PathLike, check_folder
from im2rec.storage.output import check_output_folder, refuse_existing, refuse_same_file
from im2rec.storage.output_folder import make_folders

PROFILE = "insightface"
_LIST_SHARE = 0.02  # of the progress: the first pass over the list, which reads no image


@dataclasses.dataclass(frozen=True)
class FaceOptions:
    """Options of a face-recognition set that change its records.

    With *header* it has a header record and identity records, and the keys of its images begin at 1; without, images
    alone, and keys from 0. *unaligned_as_is* takes images that a list of face2rec2 marks as not aligned as they are.
    """

    header: bool = True
    unaligned_as_is: bool = False


def pack_faces(
    list_path: PathLike,
    root: PathLike,
    folder: PathLike,
    params: PackParams | None = None,
    options: PackOptions | None = None,
    faces: FaceOptions | None = None,
    *,
    progress: Progress | None = None,
) -> PackSummary:
    """Pack the images that the list *list_path* names, found below the folder *root*, as a training set in *folder*.

    The images of an identity follow each other, identities by ascending label, whatever the order of the list; keys and
    classes have no gaps, also where bad images are left out. By default the image files are stored as they are. The
    list may be one of im2rec, with the first label as class, or of face2rec2: see
    :class:`~im2rec.packing.face_lines.FaceLines`; the paths of the latter are first looked for as they are given. A
    header record and the identity records follow the images. The folder is made if it is missing. *progress*, bad
    images and runs that were cut short are as in :func:`im2rec.packing.pack.pack`. Raises what that one does,
    InputError for a list that no set can be made of, and ParameterError for parameters that exclude each other and for
    keys that the header record cannot hold exactly::

        pack_faces("faces.lst", "crops", "train_set")

    Source: insightface src/data/face2rec2.py; recognition/arcface_mxnet/common/rec_builder.py.
    """
    started = time.monotonic()
    params, options = params or PackParams(unchanged=True), options or PackOptions()
    faces = faces or FaceOptions()
    _check(params, faces)
    check_output_folder(Path(folder))
    check_folder(root)
    target = Path(folder) / REC_NAME
    lines = FaceLines(
        list_path,
        root,
        label_width=params.label_width,
        all_labels=params.pack_label,
        unaligned_as_is=faces.unaligned_as_is,
        progress=begin_phase(progress, Phase("reading the list", "line", 0.0, _LIST_SHARE)),
    )
    _check_counts(lines, faces)
    names, warnings = _names(list_path, lines)
    files = _Files(target, has_names=names is not None)
    for written in (*files.replaced, report_path(target)):
        refuse_same_file(written, list_path, what="list")
    numbering = FaceNumbering(lines.runs, names, header=faces.header)
    as_given = lines.form == FACE2REC2
    run = PackRun(
        list_path,
        root,
        target,
        lines,
        image_folder(root, options.outside, as_given=as_given),
        params,
        options,
        progress,
        numbering,
        list_share=_LIST_SHARE,
        counts_outside=not as_given,
        started=started,
    )
    if options.dry_run:
        if target.parent.is_dir():
            refuse_existing(files.replaced, force=options.force)
        ids = run.dry()
        numbering.end()
    else:
        with make_folders(target.parent):
            output = run.open_output(_identity(lines, faces, names), files.companions, files.stale)
            ids = run.write(output, ending=lambda: _ending(numbering, files))
    form = numbering.summary(list_form=lines.form, reordered=lines.is_reordered)
    summary = run.summary(ids, files.written(digest=options.digest), faces=form)
    summary.warnings += [*numbering.warnings(), *warnings]
    return summary


class _Files:
    """The files of a training folder, by the path of its ``.rec``."""

    def __init__(self, target: Path, *, has_names: bool) -> None:
        self.target, self.property = target, target.with_name(PROPERTY_NAME)
        self.label_map = beside(target, LABELS_MAP)
        self.classes = classes_path(target) if has_names else None
        self.companions = Companions(self.label_map, (self.property, *filter(None, [self.classes])))
        self.stale = [] if has_names else [classes_path(target)]  # of an older set

    @property
    def replaced(self) -> list[Path]:
        """The paths of all files that are replaced with ``--force`` only; the report of bad images always is."""
        target = self.target
        return [target, index_to_write(target), *self.companions.paths, digest_path(target), *self.stale]

    def written(self, *, digest: bool) -> list[Path]:
        """Return the paths of the files of a complete set."""
        target = self.target
        return [target, index_to_write(target), *([digest_path(target)] if digest else []), *self.companions.paths]


def _check(params: PackParams, faces: FaceOptions) -> None:
    """Raise ParameterError for parameters that exclude each other."""
    if params.nsplit > 1:
        problem = f"nsplit={params.nsplit} excludes a set of --profile {PROFILE}, whose identities are in one file"
        raise ParameterError(problem, hint="leave it out")
    if params.pack_label and not faces.header:
        problem = "pack_label=1 excludes --no-header: published readers would take the first image for a header record"
        raise ParameterError(problem, hint="leave out one of the two")


def _check_counts(lines: FaceLines, faces: FaceOptions) -> None:
    """Raise ParameterError if keys or classes would be too large for float32."""
    identities = len(lines.runs.labels)
    if faces.header:
        check_exact(lines.images, identities)
    elif identities > EXACT_INTEGERS:
        problem = f"the list has {identities:,} identities, and labels are exact up to {EXACT_INTEGERS:,} only"
        raise ParameterError(problem, hint="pack fewer of them")


def _names(list_path: PathLike, lines: FaceLines) -> tuple[list[str] | None, list[str]]:
    """Return the class names beside the list by label, None if there are none of use, and warnings."""
    found, problem = class_names_beside(list_path)
    labels = lines.runs.labels
    if found is not None and len(labels) and labels[-1] >= len(found.names):
        problem = f"{found.path}: has {len(found.names):,} names, and the list the label {labels[-1]}"
    elif found is not None and any("\t" in name for name in found.names):
        problem = f"{found.path}: has a TAB in a name"
    if problem:
        return None, [f"{problem}; the class names are not copied"]
    return (None, []) if found is None else (found.names, [])


def _identity(lines: FaceLines, faces: FaceOptions, names: list[str] | None) -> dict[str, Any]:
    """Return what could change a byte of this set, besides what could in any pack."""
    text = "\n".join(names).encode("utf-8", "surrogateescape") if names is not None else None
    return {
        "profile": PROFILE,
        **dataclasses.asdict(faces),
        "class_names": "none" if text is None else hashlib.sha256(text).hexdigest(),
        **({"folder": os.getcwd()} if lines.form == FACE2REC2 else {}),  # noqa: PTH109 - its paths start there
    }


def _ending(numbering: FaceNumbering, files: _Files) -> Ending:
    """End the last identity, and return what follows the images."""
    map_lines = numbering.end()
    contents = {files.property: numbering.property_text()}
    if files.classes is not None:
        contents[files.classes] = numbering.classes_text()
    return Ending(map_lines, numbering.range_records(), contents)

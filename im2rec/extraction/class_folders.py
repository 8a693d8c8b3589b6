"""The folder of each class: by a given file of class names, by the one beside the ``.rec``, or by label."""

from __future__ import annotations

import dataclasses
import os

from im2rec.errors import InputError
from im2rec.extraction.writers import check_labels_have_folders, class_folders
from im2rec.format.irheader import Labels
from im2rec.storage.classes import find_classes
from im2rec.storage.files import PathLike

BY_LABEL = "none"  # in place of the path of a file


@dataclasses.dataclass
class ClassFolders:
    """The folders of the classes by label, *names*, from the file *path*; None takes the labels as names.

    A file that *is_found*, not given, is only used if it fits; otherwise *warnings* give the reason why not.
    """

    path: PathLike | None = None
    names: list[str] | None = None
    is_found: bool = False
    warnings: list[str] = dataclasses.field(default_factory=list)

    def check_labels(self, labels: Labels) -> None:
        """Raise InputError for the first of *labels* without a folder, if the file was given; else drop the names."""
        if self.path is None or self.names is None:
            return
        try:
            check_labels_have_folders(labels, self.names, self.path)
        except InputError as error:
            if not self.is_found:
                raise
            self.drop_names(error)

    def drop_names(self, error: InputError) -> None:
        """Name the folders by label, because of *error* in the file that was found."""
        self.names = None
        self.warnings.append(f"{error.location()}: {error.problem}; the folders are named by label")


def find_class_folders(rec: PathLike, classes: PathLike | None, list_name: str) -> ClassFolders:
    """Return the folders by the file *classes*, by that beside *rec* if there is a valid one, else by label.

    ``none`` as *classes* always gives those by label. *list_name* is the name of a file beside the folders. Raises
    InputError for a given file that is not valid.
    """
    if classes is not None and os.fspath(classes) == BY_LABEL:
        return ClassFolders()
    if classes is not None:
        return ClassFolders(classes, class_folders(classes, list_name))
    folders = ClassFolders(find_classes(rec), is_found=True)
    if folders.path is not None:
        try:
            folders.names = class_folders(folders.path, list_name)
        except InputError as error:
            folders.drop_names(error)
    return folders

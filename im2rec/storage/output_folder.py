"""Output folders that are written aside, as ``DIR.im2rec-partial``, and renamed to ``DIR`` when they are complete.

The unfinished folder is locked for as long as a run writes it, so that a second run to the same ``DIR`` is refused at
its start, and what a dead run left can be taken over. A finished folder replaces nothing, an empty folder, or with
force an earlier one of the same command, which is moved to ``DIR.im2rec-earlier`` and then removed. If a run is killed
between these steps, the next one puts the earlier folder back, or removes it. Where folders cannot be locked (on
Windows and some network file systems), two runs are not kept apart.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from im2rec.errors import OutputError
from im2rec.storage import disk
from im2rec.storage.files import PathLike, reason
from im2rec.storage.output import EARLIER, PARTIAL, check_output_folder, name_beside, refuse_unwritable, writing

try:
    import fcntl
except ImportError:  # Windows, where an open file keeps its folder from being renamed
    fcntl = None  # type: ignore[assignment]

OF_DESKTOPS = (".DS_Store", "Thumbs.db", "desktop.ini")  # that file managers leave in a folder where one looks around
NOT_EMPTY = "exists already and is not empty"
_OTHER_FOLDER = "choose another folder"
# Returns the reason why a folder is not to be replaced, or "" if the command wrote all that is in it.
FindRefusal = Callable[[Path], str]


def destination(out: PathLike) -> Path:
    """Return the folder that *out* means: the target of a link, the full path of ``.`` or ``sub/..``, else *out*."""
    path = Path(out)
    return Path(os.path.realpath(path)) if path.is_symlink() or path.name in ("", "..") else path


@contextlib.contextmanager
def make_folders(folder: Path) -> Iterator[None]:
    """Make *folder* and those above it; after the ``with`` block remove those that are new and still empty.

    Raises OutputError.
    """
    with writing(folder):
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a folder with files in it stays
            for path in made:
                path.rmdir()


def check_replaceable(path: Path, find_refusal: FindRefusal, *, force: bool, parents: bool = False) -> None:
    """Raise OutputError unless a finished folder can be renamed to *path*: it must not exist, or be an empty folder.

    With *force* a folder that *find_refusal* lets pass is allowed too. With *parents* the folders above it may be
    missing.
    """
    if parents and not path.parent.is_dir():
        check_output_folder(path)
        return
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} is missing", path=path, hint="make it first")
    refuse_unwritable(path.parent, path)
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise OutputError("is a file", path=path, hint="name a folder")
    if Path.cwd().is_relative_to(os.path.realpath(path)) or os.path.ismount(path):
        problem = "is a mount point or the folder you are in, which cannot be replaced by a finished one"
        raise OutputError(problem, path=path, hint="name a new folder in it")
    if not any(path.iterdir()):
        return
    if refusal := find_refusal(path):
        raise OutputError(refusal, path=path, hint=_OTHER_FOLDER)
    if not force:
        raise OutputError(NOT_EMPTY, path=path, hint=f"{_OTHER_FOLDER}, or replace it with force=True")


class AsideFolder:
    """The folder ``DIR.im2rec-partial``, which :meth:`publish` renames to ``DIR``, the destination of *out*.

    *find_refusal* returns why a folder is not one that this command wrote, or ``""``; only such a folder is replaced,
    with *force*, or removed. *marker* names the file in it that shows this: it is removed last, so that a folder of
    which a kill left a part is still recognised. With *parents* the folders above ``DIR`` are made. The constructor
    changes nothing on disk; the ``with`` block makes and locks the folder, and leaves it in place unless it is
    published or removed. Raises OutputError.
    """

    _hint = "check who may read and write there"  # of an error before anything is written

    def __init__(
        self, out: PathLike, find_refusal: FindRefusal, *, marker: str = "", force: bool = False, parents: bool = False
    ) -> None:
        self.out = destination(out)
        self.path, self.earlier = (
            name_beside(self.out, suffix) if self.out.name else Path(f"{self.out}{suffix}")  # of "/", which is refused
            for suffix in (PARTIAL, EARLIER)
        )
        self.force = force
        self._find_refusal, self._marker = find_refusal, marker
        self._parents, self._is_published = parents, False
        self._resources = contextlib.ExitStack()
        with self.writing(self._hint):
            check_replaceable(self.out, find_refusal, force=force, parents=parents)
            self._check_kind(self.path)

    def __enter__(self) -> AsideFolder:
        """Make and lock the folder, and end what an earlier run left half done. Raises OutputError."""
        with contextlib.ExitStack() as stack:
            if self._parents:
                stack.enter_context(make_folders(self.out.parent))
            with self.writing(self._hint):
                self._make_and_lock(stack)
                self._settle_earlier()
                # Again under the lock: another run may have finished since the constructor looked.
                check_replaceable(self.out, self._find_refusal, force=self.force)
            self._resources = stack.pop_all()  # the folder stays locked until __exit__
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @contextlib.contextmanager
    def writing(self, hint: str) -> Iterator[None]:
        """Raise an OSError of the ``with`` block as an OutputError with *hint*."""
        try:
            yield
        except (OSError, UnicodeEncodeError) as error:
            path = getattr(error, "filename", None)
            path = path if isinstance(path, str) else self.path
            raise OutputError(f"cannot be written: {reason(error)}", path=path, hint=hint) from error

    def _make_and_lock(self, stack: contextlib.ExitStack) -> None:
        """Make the folder if it is missing, and lock it until *stack* is closed. Raises OSError, OutputError."""
        while True:
            self._check_kind(self.path)
            self.path.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another run has renamed it meanwhile
                lock = stack.enter_context(_locked(self.path))
                if lock is None or disk.is_at(lock, self.path):
                    stack.callback(self._remove_if_empty)
                    return

    def _remove_if_empty(self) -> None:
        if not self._is_published:
            with contextlib.suppress(OSError):
                self.path.rmdir()

    def _settle_earlier(self) -> None:
        """Put back, or remove, the earlier folder of a run that was killed while it replaced it.

        Raises OSError, OutputError.
        """
        self._check_kind(self.earlier)
        with contextlib.suppress(FileNotFoundError), _locked(self.earlier) as lock:
            if lock is not None and not disk.is_at(lock, self.earlier):
                return  # the run that moved it has just removed it
            refusal = self._find_refusal(self.earlier) if any(self.earlier.iterdir()) else ""
            if refusal:
                raise OutputError(refusal, path=self.earlier, hint="move it away")
            if os.path.lexists(self.out) and any(self.out.iterdir()):
                remove_folder(self.earlier, last=self._marker)
                return
            with contextlib.suppress(FileNotFoundError):
                self.out.rmdir()
            self.earlier.rename(self.out)

    def _check_kind(self, path: Path) -> None:
        if os.path.lexists(path) and not stat.S_ISDIR(path.lstat().st_mode):
            raise OutputError("exists and is not a folder", path=path, hint="remove it")

    def publish(self) -> None:
        """Rename the folder to its final name; with *force* remove an earlier one of that name.

        Raises OSError, and OutputError if the earlier one is in use by another run.
        """
        with contextlib.ExitStack() as stack:
            replaces = self.force and self.out.is_dir() and any(self.out.iterdir()) and not self._find_refusal(self.out)
            if replaces:
                # Its lock goes with it to its new name, and shows other runs that this one is about to remove it.
                stack.enter_context(_locked(self.out))
            elif self.out.is_dir():
                self.out.rmdir()
            disk.sync_folder(self.path)
            try:
                if replaces:
                    self.out.rename(self.earlier)
                    disk.sync_folder(self.out.parent)
                self.path.rename(self.out)
                self._is_published = True
            finally:
                if replaces and not os.path.lexists(self.out):
                    with contextlib.suppress(OSError):
                        self.earlier.rename(self.out)
            disk.sync_folder(self.out.parent)
            if replaces:
                with contextlib.suppress(OSError):  # no reason to fail: the new one is complete
                    remove_folder(self.earlier, last=self._marker)

    def clear(self) -> None:
        """Remove all that is in the folder, the marker last. Raises OSError."""
        _clear(self.path, self._marker)

    def remove(self) -> None:
        """Remove the folder with all that is in it, as far as possible, unless it is published."""
        if not self._is_published:  # another run may have a folder of this name by then
            with contextlib.suppress(OSError):
                remove_folder(self.path, last=self._marker)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """Lock *folder* in the ``with`` block, and yield its descriptor; None where folders cannot be locked.

    The lock belongs to the folder, whatever its name becomes. Raises OutputError if another run has it, and OSError.
    """
    if fcntl is None:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = f"wait for it, or {_OTHER_FOLDER}"
            raise OutputError("another im2rec is writing it", path=folder, hint=hint) from None
        except OSError:  # some network file systems have no locks
            os.close(handle)
            handle = -1
        yield None if handle < 0 else handle
    finally:
        if handle >= 0:
            os.close(handle)


def remove_folder(folder: Path, *, last: str = "") -> None:
    """Remove *folder* with all that is in it; the file *last* after all others. Raises OSError."""
    _clear(folder, last)
    folder.rmdir()


def _clear(folder: Path, last: str) -> None:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == last):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)

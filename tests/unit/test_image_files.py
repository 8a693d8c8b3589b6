"""Image files of a list: their paths, what is refused, and which of them lie outside of ROOT."""

from __future__ import annotations

import ntpath
import os
import posixpath
import socket
from pathlib import Path

import pytest

from im2rec.errors import ImageError, ListFormatError
from im2rec.format.listfile import ListEntry
from im2rec.packing.image_files import ImageFolder, image_folder
from im2rec.packing.outside import OutsideCount, leads_outside

POSIX = {
    "a.jpg": False,
    "a/b.jpg": False,
    "a/../b.jpg": False,
    "a/b/../../c.jpg": False,
    "..jpg": False,
    "..a/b.jpg": False,
    "a..b/c.jpg": False,
    "../top/a.jpg": False,
    "/data/top/a.jpg": False,
    "/data/other/../top/a.jpg": False,
    "/real/top/a.jpg": False,
    "C:/a.jpg": False,
    "C:\\a.jpg": False,
    "\\a.jpg": False,
    "../a.jpg": True,
    "a/../../b.jpg": True,
    "../root2/a.jpg": True,
    "/data/root2/a.jpg": True,
    "/data/a.jpg": True,
    "//host/a.jpg": True,
}
WINDOWS = {
    "a.jpg": False,
    "a\\..\\b.jpg": False,
    "D:/Data/ROOT/a.jpg": False,
    "d:\\data\\root\\a.jpg": False,
    "\\data\\root\\a.jpg": False,
    "..\\a.jpg": True,
    "../a.jpg": True,
    "C:\\a.jpg": True,
    "C:/a.jpg": True,
    "C:a.jpg": True,
    "D:\\data\\root2\\a.jpg": True,
    "\\a.jpg": True,
    "/a.jpg": True,
    "\\\\host\\share\\a.jpg": True,
    "//host/share/a.jpg": True,
}


@pytest.mark.parametrize("path", POSIX)
def test_a_path_leads_out_of_the_root_if_what_is_written_does(path: str) -> None:
    assert POSIX[path] == leads_outside(("/data/top/", "/real/top/"), path, posixpath)


@pytest.mark.parametrize("path", WINDOWS)
def test_on_windows_drives_and_servers_lead_out_of_the_root(path: str) -> None:
    assert WINDOWS[path] == leads_outside(("D:\\data\\root\\",), path, ntpath)


def test_nothing_is_outside_of_the_whole_file_system() -> None:
    assert not leads_outside(("/",), "/data/a.jpg", posixpath)
    assert not leads_outside(("/",), "../a.jpg", posixpath)


def test_entries_outside_are_counted_and_the_first_line_is_kept(tmp_path: Path) -> None:
    paths = ["a.jpg", "a/../b.jpg", "../c.jpg", f"{tmp_path}/d.jpg", f"{tmp_path.parent}/e.jpg"]
    entries = [*(ListEntry(line, line, (0.0,), path) for line, path in enumerate(paths, 11)), ListFormatError("x")]
    count = OutsideCount(tmp_path)

    count.add(entries[:3])
    count.add(entries[3:])
    assert (2, 13) == (count.count, count.line)
    none = OutsideCount(tmp_path)
    none.add(entries[:2])
    assert (0, None) == (none.count, none.line)


def refusal(folder: ImageFolder, name: str) -> tuple[str, str]:
    """Return reason and problem of the error for *name*, which reading and a dry run must agree on."""
    errors = []
    for work in (folder.read, folder.size):
        with pytest.raises(ImageError) as caught:
            work(name)
        errors.append((caught.value.reason, caught.value.problem))
    assert errors[0] == errors[1]
    return errors[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_an_image_that_is_no_file_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket may have a hundred characters
    folder = ImageFolder(".")
    os.mkfifo("pipe.jpg")
    Path("folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
        assert ("unreadable", "is a socket, not a regular file") == refusal(folder, "socket.jpg")
    assert ("unreadable", "is a pipe, not a regular file") == refusal(folder, "pipe.jpg")
    assert ("unreadable", "is a device, not a regular file") == refusal(folder, "/dev/zero")
    assert ("unreadable", "is a directory") == refusal(folder, "folder.jpg")
    assert ("unreadable", "not a directory") == refusal(folder, "pipe.jpg/a.jpg")
    assert ("unreadable", "a zero byte in the name") == refusal(folder, "nul\0.jpg")
    assert ("missing", "no such file") == refusal(folder, "none.jpg")


def test_a_file_that_no_record_can_hold_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.touch()
    os.truncate(path, 2**29 - 24)
    problem = "has 536,870,888 bytes, more than 536,870,887"  # 2**29 - 1 in a record, 24 of them its header
    assert ("too large for a record", problem) == refusal(ImageFolder(str(tmp_path)), "large.jpg")
    os.truncate(path, 2**29 - 25)
    assert 2**29 - 25 == ImageFolder(str(tmp_path)).size("large.jpg")


def test_a_name_that_the_locale_cannot_express_has_no_zero_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("im2rec.packing.image_files.file_name", lambda name: name.encode("ascii"))
    expected = "unreadable", "ascii, the encoding of the locale, lacks a character of its name"
    assert expected == refusal(ImageFolder(str(tmp_path)), "ä.jpg")


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_an_image_outside_of_the_root_is_refused_on_request_links_included(tmp_path: Path) -> None:
    root, far = tmp_path / "top", tmp_path / "far"
    for folder in (root, far):
        folder.mkdir()
        (folder / "a.jpg").write_bytes(folder.name.encode())
    (root / "in.jpg").symlink_to("a.jpg")
    (root / "out.jpg").symlink_to(far / "a.jpg")
    (root / "dir").symlink_to(far)
    (tmp_path / "link").symlink_to(root)
    contents = {
        **dict.fromkeys(("a.jpg", "in.jpg", "../top/a.jpg", f"{root}/a.jpg", f"{tmp_path}/link/a.jpg"), b"top"),
        **dict.fromkeys(("out.jpg", "dir/a.jpg", "../far/a.jpg", f"{far}/a.jpg"), b"far"),
    }

    for spelling in (root, tmp_path / "link", root / ".." / "top"):
        allowed, strict = image_folder(spelling, "allow"), image_folder(spelling, "refuse")
        for name, content in contents.items():
            assert content == allowed.read(name)
            if content == b"top":
                assert content == strict.read(name)
            else:
                assert ("outside ROOT", "lies outside of ROOT") == refusal(strict, name)
        assert ("missing", "no such file") == refusal(strict, "none.jpg")
        assert ("outside ROOT", "lies outside of ROOT") == refusal(strict, "../none.jpg")

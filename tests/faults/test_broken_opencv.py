"""OpenCV that is installed and cannot be imported, as without the libGL that its wheel with windows needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from image_helpers import a_list_of_images, command

WARNING = (
    "warning: OpenCV is installed but cannot be imported: libGL.so.1: no such file;"
    " Pillow is used, whose pixels differ a little"
)


@pytest.fixture(autouse=True)
def _broken_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "cv2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('libGL.so.1: no such file')\n")
    paths = [str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def test_pack_and_iterate_say_that_pillow_takes_its_place(tmp_path: Path) -> None:
    packed = command("pack", *a_list_of_images(tmp_path), tmp_path / "o.rec", "resize=16", "-q")
    assert (0, WARNING) == (packed.code, packed.err.strip())
    iterated = command("iterate", tmp_path / "o.rec", "--data-shape", "3,16,16", "-q")
    assert (0, WARNING) == (iterated.code, iterated.err.strip())


def test_engine_pillow_asks_for_no_opencv(tmp_path: Path) -> None:
    packed = command("pack", *a_list_of_images(tmp_path), tmp_path / "o.rec", "engine=pillow", "-q")
    assert (0, "") == (packed.code, packed.err)

"""The examples of docs/mxnet.md print what the page says, run by ``python -m im2rec.mx``."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import im2rec

ROOT = Path(im2rec.__file__).parents[1]
PAGE = ROOT / "docs" / "mxnet.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_examples_print_what_follows_them(tmp_path: Path) -> None:
    blocks = [block for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if block[0] != "sh"]
    assert ["python", "text"] * (len(blocks) // 2) == [kind for kind, _ in blocks]
    assert len(blocks) > 2

    for (_, code), (_, expected) in zip(blocks[::2], blocks[1::2], strict=True):
        (tmp_path / "example.py").write_text(code, encoding="utf-8")
        command = [sys.executable, "-W", "error", "-m", "im2rec.mx", "example.py"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120
        )
        assert ("", expected) == (done.stderr, done.stdout)


@pytest.mark.parametrize("name", ["recordio", "nd", "image", "io", "gluon.data", "gluon.data.vision"])
def test_every_name_is_on_the_page(name: str) -> None:
    module = importlib.import_module(f"im2rec.mx.{name}")
    page = PAGE.read_text(encoding="utf-8")

    assert [] == [known for known in module.__all__ if not re.search(rf"\b{known}\b", page)]

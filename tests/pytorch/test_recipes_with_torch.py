"""The examples of the recipes that use PyTorch print what the recipes say, also in two processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from page_helpers import BLOCK, ROOT, run_command, run_page

RECIPES = [
    path for path in sorted((ROOT / "docs" / "recipes").glob("*.md")) if "im2rec.torch import" in path.read_text()
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_example_of_a_recipe_prints_what_the_recipe_says(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    monkeypatch.setenv("IM2REC_CACHE", str(tmp_path / "cache"))

    assert run_page(recipe.read_text(encoding="utf-8"), tmp_path, with_torch=True) >= 4


def test_the_script_for_several_gpus_runs_in_two_processes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "recipes" / "pytorch.md").read_text(encoding="utf-8")
    (script,) = [
        block for kind, block in BLOCK.findall(page) if kind == "python" and "DistributedDataParallel" in block
    ]
    shutil.copytree(ROOT / "sample_data" / "photos", tmp_path / "photos")
    for words in ("make-list photos", "pack photos.lst photos train.rec resize=144"):
        run_command(f"im2rec {words} -q", tmp_path)
    (tmp_path / "train.py").write_text(script, encoding="utf-8")

    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    assert 0 == done.returncode, done.stderr
    printed = sorted(re.findall(r"rank (\d), epoch (\d): (\d+) batches", done.stdout))
    assert [("0", "0", "5"), ("0", "1", "5"), ("1", "0", "5"), ("1", "1", "5")] == printed
    assert (tmp_path / "checkpoint.pt").exists()

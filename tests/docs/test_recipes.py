"""The recipes, and the page on choosing: examples are run, job scripts too, with what SLURM does in place of SLURM."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from page_helpers import BLOCK, ROOT, run_command, run_page

DOCS = ROOT / "docs"
PAGES = {path.stem: path for path in (*sorted((DOCS / "recipes").glob("*.md")), DOCS / "choosing.md")}
SLURM = PAGES["slurm"].read_text(encoding="utf-8")
SCRIPTS = {
    name: block
    for kind, block in BLOCK.findall(SLURM)
    for name in re.findall(r"^#SBATCH --job-name=(\S+)$", block, re.MULTILINE)
}
# A command of SLURM, which writes its words to a file.
NOTED = 'echo "$(basename "$0")" "$@" >> "$NOTES"\n'
# Runs the words behind its options as two tasks, one after the other, or as one with --ntasks-per-node=1.
SRUN = """
tasks=2
while [ "${1#--}" != "$1" ]; do [ "$1" = --ntasks-per-node=1 ] && tasks=1; shift; done
for task in $(seq 0 $((tasks - 1))); do SLURM_PROCID=$task "$@" || exit; done
"""
# A pack that needs longer than the time limit: it has SLURM send USR1 to the script until the script ends it.
LONG_PACK = """
trap 'echo pack has stopped >> "$NOTES"; exit 143' TERM
while :; do sleep 0.1; kill -USR1 $PPID; done
"""

needs_bash = pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="job scripts need bash")


@pytest.mark.parametrize("name", PAGES)
def test_every_example_of_a_recipe_prints_what_the_recipe_says(
    name: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(prepared, tmp_path / "pages"))
    monkeypatch.setenv("IM2REC_CACHE", str(folder / "cache"))

    assert run_page(PAGES[name].read_text(encoding="utf-8"), folder) >= 2


@pytest.mark.parametrize("name", PAGES)
def test_python_that_is_not_run_can_be_read_by_python(name: str) -> None:
    for kind, block in BLOCK.findall(PAGES[name].read_text(encoding="utf-8")):
        if kind == "py":
            compile(block, f"{name}.md", "exec")


@needs_bash
@pytest.mark.parametrize("name", PAGES)
def test_scripts_can_be_read_by_bash(name: str) -> None:
    for kind, block in BLOCK.findall(PAGES[name].read_text(encoding="utf-8")):
        if kind in ("sh", "bash"):
            done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
            assert ("", 0) == (done.stderr, done.returncode), block


class Cluster:
    """A folder with the sample photos, the job scripts, and stand-ins for the commands of SLURM.

    *notes* is what the commands of SLURM have been called with, a line each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._bin, self._notes = folder / "jobs", folder / "bin", folder / "notes"
        for made in (self.folder, self._bin):
            made.mkdir()
        shutil.copytree(ROOT / "sample_data", self.folder / "sample_data")
        for name, script in SCRIPTS.items():
            (self.folder / f"{name}.sh").write_text(script, encoding="utf-8")
        self.install("im2rec", f'exec "{sys.executable}" -m im2rec "$@"\n')
        self.install("python", f'exec "{sys.executable}" "$@"\n')
        self.install("scontrol", NOTED)
        self.install("srun", SRUN)

    @property
    def notes(self) -> list[str]:
        return self._notes.read_text().splitlines() if self._notes.exists() else []

    def install(self, name: str, code: str) -> None:
        """Put the command *name* on the path."""
        (self._bin / name).write_text(f"#!/bin/bash\n{code}", encoding="utf-8")
        (self._bin / name).chmod(0o755)

    def run(self, name: str, **variables: object) -> subprocess.CompletedProcess[str]:
        """Run the job script *name* with *variables* in its environment."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NOTES": str(self._notes), "USER": "someone"}
        environment |= {"PATH": f"{self._bin}{os.pathsep}{os.environ['PATH']}", "SLURM_SUBMIT_DIR": str(self.folder)}
        environment |= {variable: str(value) for variable, value in variables.items()}
        return subprocess.run(
            ["bash", f"{name}.sh"], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
        )

    def pack(self, task: int) -> subprocess.CompletedProcess[str]:
        """Run a task of the array job that packs."""
        return self.run("pack", SLURM_ARRAY_TASK_ID=task, SLURM_ARRAY_JOB_ID=17)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    made = Cluster(tmp_path)
    run_command("im2rec make-list sample_data/photos --prefix train --shuffle -q", made.folder)
    return made


@needs_bash
def test_the_array_job_packs_what_one_pack_would_and_is_joined(cluster: Cluster) -> None:
    for task in range(4):
        assert 0 == cluster.pack(task).returncode
    again = cluster.pack(2)
    joined = cluster.run("join")
    run_command("im2rec pack train.lst sample_data/photos whole.rec resize=256 -q", cluster.folder)

    assert (0, "", "") == (again.returncode, again.stdout, again.stderr)
    assert 0 == joined.returncode, joined.stderr
    assert (cluster.folder / "whole.rec").read_bytes() == (cluster.folder / "train.rec").read_bytes()
    assert (cluster.folder / "train.rec.digest").exists()


@needs_bash
def test_bad_images_do_not_fail_a_task(cluster: Cluster) -> None:
    (cluster.folder / "sample_data" / "photos" / "bark" / "bark_02.jpg").write_bytes(b"no image")
    done = [cluster.pack(task) for task in range(4)]
    joined = cluster.run("join")

    assert [0, 0, 0, 0, 0] == [task.returncode for task in (*done, joined)]
    assert 1 == sum("left out  1 not an image" in task.stdout for task in done)
    assert "bark_02.jpg" in (cluster.folder / "train.rec.bad.jsonl").read_text()


@needs_bash
def test_a_list_that_is_missing_fails_its_task(cluster: Cluster) -> None:
    (cluster.folder / "train.lst").unlink()

    assert 4 == cluster.pack(3).returncode


@needs_bash
def test_a_task_whose_time_is_over_stops_its_pack_and_joins_the_queue_again(cluster: Cluster) -> None:
    cluster.install("im2rec", LONG_PACK)
    done = cluster.pack(1)

    assert 0 == done.returncode, done.stderr
    assert ["pack has stopped", "scontrol requeue 17_1"] == cluster.notes


@needs_bash
@pytest.mark.parametrize("name", ["train", "train-local"])
def test_the_tasks_of_a_training_read_every_image_once(name: str, cluster: Cluster, tmp_path: Path) -> None:
    run_command("im2rec pack train.lst sample_data/photos train.rec resize=128 -q", cluster.folder)
    training = next(block for kind, block in BLOCK.findall(SLURM) if kind == "python")
    (cluster.folder / "train.py").write_text(training, encoding="utf-8")
    (tmp_path / "local disk").mkdir()
    variables = {"SLURM_NNODES": 1, "SLURM_NTASKS": 2, "SLURM_CPUS_PER_TASK": 2, "TMPDIR": tmp_path / "local disk"}
    done = cluster.run(name, **variables)

    printed = re.findall(r"rank (\d) of 2, epoch (\d): (\d+) batches, (\d+) images", done.stdout)
    assert 0 == done.returncode, done.stderr
    assert [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")] == [line[:2] for line in printed]
    assert {("3", "18")} == {line[2:] for line in printed}

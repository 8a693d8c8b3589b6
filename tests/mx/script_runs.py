"""Run the scripts of ``tests/mx/scripts``, and give what they print and write: by MXNet itself, or by im2rec.mx.

    python tests/mx/script_runs.py --python MXNET_ENVIRONMENT/bin/python --torch --out tests/golden/mx/scripts.json

records the results of MXNet 1.9.1, with those of the scripts that need torch if its environment has torch too.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from mx.sequence_story import Story, digest, png

SCRIPTS = Path(__file__).parent / "scripts"
STARTS = ("fork", "spawn")
RECORDING = Path(__file__).parent.parent / "golden" / "mx" / "scripts.json"

# What the scripts make, in this order: the script, the folder that it reads, and its options.
JOBS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "set": ("build_rec.py", "images", ()),
    "encoded": ("build_rec.py", "images", ("--encode",)),
    "shuffled": ("shuffle_rec.py", "set", ()),
    "extracted": ("extract_rec.py", "set", ()),
    "extracted again": ("extract_rec.py", "shuffled", ()),
    "decoded": ("extract_rec.py", "encoded", ("--decode",)),
}


# Inputs.


def training_images(root: Path) -> None:
    """Write 15 images of 16 x 16 pixels of three persons, a folder for each."""
    story = Story(random.Random(19))
    for person, count in {"anna": 5, "bo": 4, "chris": 6}.items():
        (root / person).mkdir(parents=True)
        for number in range(count):
            (root / person / f"{number}.png").write_bytes(png(story.image(low=16, high=16)))


def verification_set(path: Path) -> Path:
    """Write a verification set of six pairs, of images of 32 and 40 pixels."""
    story = Story(random.Random(20))
    sizes = [32, 40] * 6
    images = [png(story.image(low=size, high=size)) for size in sizes]
    path.write_bytes(pickle.dumps((images, [number % 3 == 0 for number in range(6)]), protocol=4))
    return path


# The ways in which a script finds its mxnet.


@dataclass
class Way:
    """One way to run the scripts: the folder that they are in, the words before a script, and variables."""

    python: str
    scripts: Path = SCRIPTS
    words: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, script: str, *arguments: object, words: tuple[str, ...] = ()) -> str:
        """Run *script* to its end, and return what it prints; *words* come between ``python`` and those of the way."""
        command = [self.python, *words, *self.words, str(self.scripts / script), *map(str, arguments)]
        ran = subprocess.run(command, env=os.environ | self.variables, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}{ran.stderr}"
        return ran.stdout


def by_import_line(folder: Path) -> Way:
    """The scripts with their import lines changed, and nothing else."""
    scripts = folder / "changed scripts"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    for script in scripts.glob("*.py"):
        text = script.read_text(encoding="utf-8")
        script.write_text(re.sub(r"(?m)^(import|from) mxnet\b", r"\1 im2rec.mx", text), encoding="utf-8")
    return Way(sys.executable, scripts)


def by_module(_: Path) -> Way:
    """The scripts as they are, by ``python -m im2rec.mx``."""
    return Way(sys.executable, words=("-m", "im2rec.mx"))


def by_path(_: Path) -> Way:
    """The scripts as they are, with the folder of ``python -m im2rec.mx --path`` in ``PYTHONPATH``."""
    printed = subprocess.run(
        [sys.executable, "-m", "im2rec.mx", "--path"], capture_output=True, text=True, check=True
    ).stdout
    paths = [printed.strip(), *filter(None, [os.environ.get("PYTHONPATH")])]
    return Way(sys.executable, variables={"PYTHONPATH": os.pathsep.join(paths)})


WAYS: dict[str, Callable[[Path], Way]] = {"import line": by_import_line, "module": by_module, "path": by_path}


# Runs, each with its results.


def files(folder: Path) -> dict[str, str]:
    """Return a digest of each file below *folder*."""
    return {
        path.relative_to(folder).as_posix(): digest(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def recorded(name: str) -> Any:
    """Return the results of MXNet that are recorded under *name*."""
    return json.loads(RECORDING.read_text(encoding="utf-8"))[name]


def record_results(way: Way, folder: Path, start: str, names: Iterable[str] = JOBS) -> dict[str, Any]:
    """Build a training set, shuffle it and extract it, in processes by *start*; return what is printed and written.

    *names* are those of the results that are wanted.
    """
    training_images(folder / "images")
    results = {}
    for name in names:
        script, source, words = JOBS[name]
        printed = way.run(script, folder / source, folder / name, *words, "--context", start)
        results[name] = {"printed": printed.splitlines(), "files": files(folder / name)}
    return results


def array_results(way: Way, folder: Path) -> list[str]:
    """Load a verification set into arrays, and return what is printed."""
    return way.run("verify_arrays.py", verification_set(folder / "pairs.bin")).splitlines()


def torch_results(way: Way, folder: Path, training_set: Path, start: str) -> dict[str, list[str]]:
    """Load both sets into tensors, with a DataLoader of two processes by *start*; return what is printed."""
    return {
        "verify": way.run("verify.py", verification_set(folder / "pairs.bin")).splitlines(),
        "dataset": way.run("face_dataset.py", training_set, "--context", start).splitlines(),
    }


def trained(way: Way, training_set: Path, start: str) -> list[str]:
    """Train in two processes of torchrun, and return what the first one prints."""
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return way.run("train.py", training_set, "--context", start, words=torchrun).splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the Python of an environment with MXNet")
    parser.add_argument("--torch", action="store_true", help="run the scripts that need torch too")
    parser.add_argument("--out", type=Path, default=RECORDING)
    words = parser.parse_args()
    way = Way(words.python)
    recording: dict[str, Any] = {}
    for start in STARTS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            results: dict[str, Any] = {
                "records": record_results(way, folder, start),
                "arrays": array_results(way, folder),
            }
            if words.torch:
                results["torch"] = torch_results(way, folder, folder / "set", start)
                results["train"] = trained(way, folder / "set", start)
            assert recording in ({}, results), f"{start} gives other results"
            recording = results
    words.out.write_text(json.dumps(recording, indent=1) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

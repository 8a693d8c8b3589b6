"""Helpers of tests of documentation pages: their blocks of code, and what these print."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)  # its kind and its text
# Runs each of the examples that come as a JSON list on stdin, with a new namespace; prints a list of what they print.
_RUN_EXAMPLES = """
import contextlib, io, json, sys
printed = []
for example in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(example, {"__name__": "__main__"})
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


def check_examples(page: str, folder: Path) -> None:
    """Run the Python examples of *page* in *folder*: each prints the block of text that follows it, and no warning.

    Addresses of objects are shown as ``0x...``.
    """
    blocks = BLOCK.findall(page)
    examples = [code for kind, code in blocks if kind == "python"]
    assert ["python", "text"] * len(examples) == [kind for kind, _ in blocks]

    command = [sys.executable, "-W", "error", "-c", _RUN_EXAMPLES]
    done = subprocess.run(command, cwd=folder, input=json.dumps(examples), capture_output=True, text=True)

    assert "" == done.stderr
    for (_, expected), printed in zip(blocks[1::2], json.loads(done.stdout), strict=True):
        assert expected == re.sub(r"0x[0-9a-f]+", "0x...", printed)

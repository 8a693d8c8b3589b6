"""The command line: the group of commands, and what every one of them has in common."""

from im2rec.cli.group import main as main

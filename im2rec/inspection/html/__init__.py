"""The HTML report of ``im2rec inspect --html``: one file that needs nothing else."""

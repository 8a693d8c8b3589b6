"""``python -m im2rec`` runs the command line, also when the ``im2rec`` script is not on the ``PATH``."""

from im2rec.cli import main

if __name__ == "__main__":
    main()

"""``python -m im2rec``: the command line, also where the console script is not on the path."""

from im2rec.cli import main

if __name__ == "__main__":
    main()

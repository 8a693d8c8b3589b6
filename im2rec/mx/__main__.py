"""``python -m im2rec.mx script.py`` runs a script that says ``import mxnet``."""

from im2rec.mx.launch import main

if __name__ == "__main__":
    main()

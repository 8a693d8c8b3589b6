"""``mxnet``, which is :mod:`im2rec.mx`: for scripts that import it, where the folder above is in ``sys.path``."""

import sys

import im2rec.mx

sys.modules[__name__] = im2rec.mx

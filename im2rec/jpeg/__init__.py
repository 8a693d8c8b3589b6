"""A JPEG decoder in Python, compiled by numba: only the crop, straight into the batch, libjpeg-turbo's exact pixels.

Read it in the order in which an image passes through it: :mod:`~im2rec.jpeg.markers` (the header, and whether the image
is supported), :mod:`~im2rec.jpeg.tables` (Huffman look-up tables), :mod:`~im2rec.jpeg.entropy` (bits to coefficients),
:mod:`~im2rec.jpeg.idct` (coefficients to samples), :mod:`~im2rec.jpeg.upsample` and :mod:`~im2rec.jpeg.color` (samples
to pixels), :mod:`~im2rec.jpeg.scaling`, :mod:`~im2rec.jpeg.taps` and :mod:`~im2rec.jpeg.scale` (resizing, row by row),
:mod:`~im2rec.jpeg.decoder` (all of these for the rows and columns of a crop), :mod:`~im2rec.jpeg.kernel` (the interface
that the rest of im2rec calls). :mod:`~im2rec.jpeg.verdict` finds the damage of a file that the decoder refuses.

Importing this package imports no numba and compiles nothing; :func:`im2rec.jpeg.loading.load` does. The compiled code
is stored by :mod:`~im2rec.jpeg.cache`; :mod:`~im2rec.jpeg.background` compiles it while a training program runs.
"""

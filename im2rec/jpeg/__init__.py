"""A JPEG decoder in Python, compiled by numba: only the crop, straight into the batch, libjpeg-turbo's very pixels.

Read it in the order in which an image passes through: :mod:`~im2rec.jpeg.markers` (what the head says and whether the
image is taken), :mod:`~im2rec.jpeg.tables` (Huffman codes as look-ups), :mod:`~im2rec.jpeg.entropy` (bits to
coefficients), :mod:`~im2rec.jpeg.idct` (coefficients to samples), :mod:`~im2rec.jpeg.upsample` and
:mod:`~im2rec.jpeg.color` (samples to pixels), :mod:`~im2rec.jpeg.scaling`, :mod:`~im2rec.jpeg.taps` and
:mod:`~im2rec.jpeg.scale` (rows to rows of another size, where that is asked for), :mod:`~im2rec.jpeg.decoder` (all of
it for the rows and columns of a crop), :mod:`~im2rec.jpeg.kernel` (the face that the rest of im2rec calls).

Importing this package imports no numba and compiles nothing; :func:`im2rec.jpeg.loading.load` does. The compiled code
is kept by :mod:`~im2rec.jpeg.cache`, and :mod:`~im2rec.jpeg.background` has it compiled beside a program that runs.
"""

"""The engine that computes what MXNet 1.9.1 computed, bit for bit, in numpy: slow, and the measure of the others."""

from __future__ import annotations

from im2rec.images.affine import Matrix
from im2rec.images.codec import Image
from im2rec.images.hls import shifted_hls
from im2rec.images.planes import write_planes
from im2rec.images.reference_resize import resized
from im2rec.images.reference_warp import warped


class Reference:
    """Resize, warp and shift colours as MXNet 1.9.1 did."""

    name = "reference"

    def resize(self, image: Image, width: int, height: int, inter_method: int) -> Image:
        """*image* scaled to *width* x *height* pixels by interpolation 0 to 4; a new array."""
        return resized(image, width, height, inter_method)

    def warp(self, image: Image, matrix: Matrix, width: int, height: int, inter_method: int, fill: int) -> Image:
        """*image* moved by *matrix* onto a canvas of *width* x *height* pixels."""
        return warped(image, matrix, width, height, inter_method, fill)

    def shift_hls(self, image: Image, hue: int, lightness: int, saturation: int) -> Image:
        """*image* with its hue, lightness and saturation shifted."""
        return shifted_hls(image, hue, lightness, saturation)

    def planes(self, image: Image, out: Image, *, mirror: bool) -> None:
        """Write the channels of *image*, mirrored if *mirror*, to *out*, uint8 (channels, height, width)."""
        write_planes(image, out, mirror=mirror)


ENGINE = Reference()

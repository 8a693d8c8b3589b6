"""Draw the sample images: `python sample_data/draw.py [OUT_DIR]`.

Every image is computed from noise and a fixed seed, so the set can be redrawn at any time and is
free of copyright. OUT_DIR (by default the folder of this script) gets `photos/`, with one folder per
class, and `labels4.lst`, which gives four measured labels for each of the JPEGs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Field = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Scene = Callable[[int, int, int], Field]
Colour = tuple[float, float, float]

PER_CLASS = 6
QUALITY = 84
ORIENTATION_TAG = 0x0112


def generator(*key: int) -> np.random.Generator:
    """Return a random generator that depends on `key` alone."""
    return np.random.Generator(np.random.PCG64(key))


# ---- noise, light and colour ----------------------------------------------------------------------


def gradient_noise(key: tuple[int, ...], x: Field, y: Field) -> Field:
    """Return smooth noise at the points (x, y), about -0.7 to 0.7, with features about one unit wide."""
    angles = generator(*key).uniform(0.0, 2.0 * np.pi, (256, 256))
    slope_x, slope_y = np.cos(angles).ravel(), np.sin(angles).ravel()
    column, row = np.floor(x), np.floor(y)
    across, down = x - column, y - row
    ease_x, ease_y = fade(across), fade(down)
    left, above = column.astype(np.int64), row.astype(np.int64)
    total = np.zeros(np.broadcast(x, y).shape)
    for j in (0, 1):
        for i in (0, 1):
            # The table repeats every 256 units, far more than any image spans.
            cell = (above + j) % 256 * 256 + (left + i) % 256
            weight = (ease_x if i else 1.0 - ease_x) * (ease_y if j else 1.0 - ease_y)
            total += weight * (slope_x[cell] * (across - i) + slope_y[cell] * (down - j))
    return total


def fade(t: Field) -> Field:
    """Return t clipped to 0 to 1 and eased at both ends: first and second derivative are 0 there."""
    t = np.clip(t, 0.0, 1.0)
    eased: Field = t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
    return eased


def fractal(key: tuple[int, ...], x: Field, y: Field, octaves: int = 5, gain: float = 0.5) -> Field:
    """Return noise summed over octaves, each twice as fine and `gain` times as strong as the one before."""
    total = np.zeros(np.broadcast(x, y).shape)
    for octave in range(octaves):
        # Each octave is rotated a little, or the lattice lines of all octaves would show as a grid.
        angle, scale = 0.65 * octave, 2.0**octave
        u, v = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
        total += gain**octave * gradient_noise((*key, octave), u * scale + 17.3, v * scale + 5.9)
    return total


def plane(height: int, width: int) -> tuple[Field, Field]:
    """Return the x and y of every pixel, in units of the longer side."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64) / max(height, width)
    return x, y


def lit(relief: Field, angle: float, elevation: float = 0.8) -> Field:
    """Return how strongly a low sun at `angle` (radians) lights a relief (heights in pixels), 0 to 1."""
    slope_y, slope_x = np.gradient(relief)
    facing = elevation - np.cos(angle) * slope_x - np.sin(angle) * slope_y
    cosine: Field = facing / np.sqrt((1.0 + elevation**2) * (1.0 + slope_x**2 + slope_y**2))
    return np.clip(cosine, 0.0, 1.0)


def ramp(amount: Field, *colours: Colour) -> Field:
    """Return each amount from 0 to 1 as a colour, blended between evenly spaced colours."""
    stops = np.linspace(0.0, 1.0, len(colours))
    channels: list[Field] = [np.interp(amount, stops, channel) for channel in zip(*colours, strict=True)]
    return np.stack(channels, axis=-1)


def mixed(below: Field, above: Field, cover: Field) -> Field:
    """Return the image `above` laid over `below`, opaque where `cover` is 1."""
    blend: Field = below + (above - below) * np.clip(cover, 0.0, 1.0)[..., None]
    return blend


# ---- scenes: (seed, height, width) -> image, about 0 to 1 ---------------------------------------


def bark(seed: int, height: int, width: int) -> Field:
    """Draw a tree trunk from close by: upright ridges, dark cracks, patches of lichen."""
    x, y = plane(height, width)
    rng = generator(seed)
    coarse = rng.uniform(5.0, 11.0)
    sway = 0.05 * fractal((seed, 1), 3.0 * x, 2.0 * y, 3)
    across, along = coarse * (x + sway), coarse * rng.uniform(0.18, 0.34) * (y + 0.6 * sway)
    ridges = 1.0 - np.abs(fractal((seed, 2), across, along, 4)) * 2.6
    crack = fade((ridges - 0.5) * 2.2)
    fine = fractal((seed, 3), across * 4.0, along * 9.0, 5, 0.65)
    relief = (0.45 * fine - 0.8 * crack) * max(height, width) / coarse * 0.22
    light = lit(relief, rng.uniform(-0.6, 0.6) + np.pi * rng.integers(0, 2), 1.1)
    tone = 0.5 + 0.6 * fine + 0.5 * fractal((seed, 4), 3 * x, 3 * y, 3)
    brown = ramp(tone, (0.22, 0.13, 0.08), (0.56, 0.41, 0.29))
    grey = ramp(tone, (0.24, 0.22, 0.20), (0.66, 0.62, 0.56))
    wood = mixed(brown, grey, np.full(tone.shape, rng.uniform(0.0, 1.0)))
    lichen = fade(2.4 * fractal((seed, 5), 4 * x, 4 * y, 6, 0.65) + rng.uniform(-0.3, 0.35)) * (1.0 - crack)
    image = mixed(wood, ramp(0.5 + fine, (0.36, 0.40, 0.26), (0.64, 0.68, 0.54)), 0.7 * lichen)
    # The trunk is round, so its edges turn away from the light.
    round_off = 1.0 - 0.6 * np.abs(2.0 * x / x.max() - 1.0) ** 2.5
    exposure: Field = (0.18 + 1.65 * light) * (1.0 - 0.75 * crack) * round_off
    return image * exposure[..., None]


def sky(seed: int, height: int, width: int, cover: float, warmth: float) -> tuple[Field, Field]:
    """Draw a sky with its horizon just below the image; also return how much of each pixel is cloud, 0 to 1."""
    x, y = plane(height, width)
    down = y / y.max()
    distance = 1.0 / (1.12 - down)
    u, v = (x - 0.5) * distance * 2.2, distance * 2.6
    warp = fractal((seed, 11), u, v, 3)
    density = fractal((seed, 12), u + 0.5 * warp, v + 0.5 * warp, 7, 0.55)
    sunward = fractal((seed, 12), u + 0.5 * warp + 0.14, v + 0.5 * warp - 0.16, 4, 0.55)
    cloud = fade(0.15 + cover + 1.5 * density)
    blue = ramp(down, (0.08, 0.22, 0.52), (0.24, 0.46, 0.74), (0.62, 0.74, 0.84))
    dusk = ramp(down, (0.14, 0.17, 0.36), (0.52, 0.36, 0.44), (0.98, 0.62, 0.30))
    bright = np.clip(0.72 - 1.1 * (sunward - 0.4 * density) - 0.35 * cover * density, 0.0, 1.0)
    white = ramp(bright, (0.32, 0.35, 0.41), (0.66, 0.69, 0.74), (1.0, 0.99, 0.97))
    glow = ramp(bright, (0.20, 0.15, 0.22), (0.68, 0.38, 0.34), (1.0, 0.80, 0.55))
    hues = np.full(density.shape, warmth)
    return mixed(mixed(blue, dusk, hues), mixed(white, glow, hues), cloud * (1.0 - 0.5 * down**3)), cloud


def clouds(seed: int, height: int, width: int) -> Field:
    """Draw clouds by day or at dusk."""
    rng = generator(seed)
    return sky(seed, height, width, rng.uniform(0.15, 0.55), rng.choice([0.0, 0.1, 0.85]))[0]


def overcast(seed: int, height: int, width: int) -> Field:
    """Draw an overcast, colourless sky over dim hills."""
    image = sky(seed, height, width, 0.75, 0.0)[0]
    dull = image.mean(axis=-1, keepdims=True) * np.array([0.70, 0.73, 0.77])
    return hills(seed, 0.25 * image + 0.6 * dull, 1.02, (0.36, 0.38, 0.41))


def sand_height(seed: int, x: Field, z: Field) -> Field:
    """Return the height of the dunes at (x, z): sharp, winding crests on long waves."""
    bend = fractal((seed, 21), 0.5 * x, 0.5 * z, 3, 0.4)
    crest = 1.0 - 2.0 * np.abs(fractal((seed, 22), 0.30 * x + 0.5 * bend, 0.55 * z + 0.5 * bend, 2, 0.3))
    return 0.75 * crest + 0.5 * fractal((seed, 23), 0.3 * x, 0.3 * z, 2)


def dunes(seed: int, height: int, width: int) -> Field:
    """Draw sand dunes out to the horizon, under a low sun from the side."""
    rng = generator(seed)
    focal, horizon = 0.9 * max(height, width), height * rng.uniform(0.22, 0.38)
    z = np.geomspace(24.0, 0.7, 1100)[:, None]
    x = (np.arange(width)[None, :] - width / 2) / focal * z
    here, step = sand_height(seed, x, z), 0.02
    slope_x = (sand_height(seed, x + step, z) - here) / step
    # Towards the camera, not away: on a crest the far side is the one that cannot be seen.
    slope_z = (here - sand_height(seed, x, z - step)) / step
    phase = 34.0 * z + 9.0 * x + 14.0 * fractal((seed, 24), x, z, 3) + 8.0 * here
    # Far ripples are finer than a pixel; left in, they would shimmer.
    slope_z = slope_z + 0.30 * np.cos(phase) * np.exp(-((z / 4.0) ** 2))
    side = rng.choice([-1.0, 1.0])
    light = (0.42 + 0.85 * side * slope_x + 0.35 * slope_z) / np.sqrt(1.0 + slope_x**2 + slope_z**2)
    sand = ramp(np.clip(light, 0, 1), (0.20, 0.10, 0.09), (0.66, 0.37, 0.19), (0.97, 0.74, 0.47))
    haze = np.broadcast_to(1.0 - np.exp(-z / 24.0), here.shape)
    sand = mixed(sand, ramp(haze, (0.86, 0.76, 0.68), (0.86, 0.76, 0.68)), haze)
    image = sky(seed, height, width, rng.uniform(-0.7, -0.2), 0.12)[0]
    # From far to near, each strip of sand hides everything below its top edge.
    top = horizon + (1.25 - here) * focal / z
    rows, nearest = np.arange(height)[:, None], np.full((height, width), -1)
    for strip in range(len(z)):
        nearest[rows >= top[strip]] = strip
    ground = sand[nearest, np.arange(width)[None, :]]
    return mixed(image, ground, (nearest >= 0).astype(np.float64))


def pebbles(seed: int, height: int, width: int) -> Field:
    """Draw rounded stones heaped on a beach, each with its own colour and speckle."""
    x, y = plane(height, width)
    rng = generator(seed)
    level = 0.02 * fractal((seed, 31), 20 * x, 20 * y, 4)
    hue, stone = np.full(x.shape, 0.15), np.zeros(x.shape)
    size = rng.uniform(0.045, 0.085)
    for number in range(1, int(2.2 * x.max() * y.max() / size**2)):
        cx, cy, turn = rng.uniform(-0.05, 1.05) * x.max(), rng.uniform(-0.05, 1.05) * y.max(), rng.uniform(0, np.pi)
        long, short = size * rng.uniform(0.6, 1.5), size * rng.uniform(0.5, 0.9)
        a = (np.cos(turn) * (x - cx) + np.sin(turn) * (y - cy)) / long
        b = (np.cos(turn) * (y - cy) - np.sin(turn) * (x - cx)) / short
        # An exponent above 2 flattens the top, as on stones worn by water.
        dome = short * (1.0 - np.clip((a * a + b * b) ** 1.3, 0, 1)) ** 0.5 + rng.uniform(0.0, 0.8) * size
        seen = (a * a + b * b < 1.0) & (dome > level)
        level[seen], hue[seen], stone[seen] = dome[seen], rng.uniform(0, 1), number
    grain = fractal((seed, 32), 30 * x + 3.1 * stone, 30 * y, 5, 0.7)
    light = lit((level + 0.0025 * grain) * max(height, width), rng.uniform(0.6, 2.4), 0.9)
    greys, browns = ((0.20, 0.20, 0.22), (0.42, 0.40, 0.38)), ((0.60, 0.50, 0.40), (0.45, 0.30, 0.26))
    colours = ramp(hue, *greys, *browns, (0.78, 0.76, 0.72))
    depth = fade(level / (1.2 * size))
    return colours * ((0.12 + 1.25 * light) * (0.25 + 0.75 * depth) * (1.0 + 0.45 * grain))[..., None]


def hills(seed: int, image: Field, foot: float, haze: Colour) -> Field:
    """Draw three ranges of hills into an image, the nearest one wooded, rising from `foot` of its height (0 to 1)."""
    height, width = image.shape[:2]
    x, y = plane(height, width)
    line = np.arange(width)[None, :] / max(height, width)
    for near in (0, 1, 2):
        rough = fractal((seed, 41, near), (2.0 + near) * line, np.zeros(line.shape), 6, 0.45)
        trees = 0.012 * near * np.abs(fractal((seed, 42, near), 60.0 * line, np.zeros(line.shape), 3))
        edge = foot * y.max() - (0.20 - 0.065 * near) * (0.75 + 1.3 * rough) - trees
        wood = fractal((seed, 43, near), 35 * x, 50 * y, 4, 0.7)
        dark = ramp(0.5 + 0.8 * wood, (0.03, 0.06, 0.04), (0.14, 0.19, 0.09))
        veil = np.clip(0.78 - 0.36 * near + 1.2 * (y - edge), 0.0, 0.9)
        slope = mixed(dark, ramp(veil, haze, haze), veil)
        image = mixed(image, slope, np.clip((y - edge) * max(height, width), 0.0, 1.0))
    return image


def mirrored(seed: int, upper: Field, height: int) -> Field:
    """Return the image `upper` with its reflection in rippled water below it, `height` rows in all."""
    shore, width = upper.shape[:2]
    rows, columns = np.mgrid[0 : height - shore, 0:width].astype(np.float64)
    nearness = (rows + 1.0) / max(height, width)
    # Ripples are seen at a slant: flat and thin far out, wider and longer near the camera.
    u, v = (columns / width - 0.5) / (nearness + 0.06) * 1.4, 3.0 / (nearness + 0.06)
    ripple = fractal((seed, 51), u, v, 4, 0.6)
    calm = fade(0.5 + 1.6 * fractal((seed, 52), 0.5 * u, 0.35 * v, 3))
    swing = ripple * (0.4 + 0.6 * calm) * nearness * 0.45 * max(height, width)
    source = np.clip(np.abs(shore - 1 - rows * shore / max(shore, height - shore) - swing), 0, shore - 1)
    sideways = np.clip(columns + 0.15 * swing, 0, width - 1)
    image = upper[source.astype(int), sideways.astype(int)]
    deep = np.clip(0.18 + 0.75 * nearness + 0.35 * ripple * calm, 0.0, 0.8)
    water = mixed(image * 0.9, ramp(deep, (0.05, 0.13, 0.15), (0.04, 0.10, 0.12)), deep)
    return np.concatenate([upper, water])


def lake(seed: int, height: int, width: int) -> Field:
    """Draw a lake in front of wooded hills, with the sky reflected in it."""
    rng = generator(seed)
    shore = int(height * rng.uniform(0.45, 0.58))
    warmth = rng.choice([0.0, 0.15, 0.8])
    upper = sky(seed, shore, width, rng.uniform(-0.1, 0.4), warmth)[0]
    haze = (0.55 + 0.2 * warmth, 0.62 - 0.1 * warmth, 0.70 - 0.3 * warmth)
    return mirrored(seed, hills(seed, upper, 1.0, haze), height)


def bridge(seed: int, height: int, width: int) -> Field:
    """Draw a lake with a stone bridge of round arches across it."""
    shore = int(height * 0.52)
    upper = hills(seed, sky(seed, shore, width, 0.2, 0.1)[0], 1.0, (0.58, 0.64, 0.70))
    x, y = plane(shore, width)
    above = y.max() - y
    along = x / x.max() * 3.4 + 0.3
    arch = np.hypot((along % 1.0 - 0.5) / 0.40, above / 0.105)
    wall = (above < 0.15 - 0.02 * (along / 1.7 - 1.0) ** 2) & (arch > 1.0)
    course = np.floor(above * 70.0)
    joint = (np.abs(above * 70.0 - course - 0.5) > 0.42) | ((along * 14.0 + 0.5 * (course % 2)) % 1.0 < 0.09)
    tone = 0.5 + 0.7 * fractal((seed, 61), 60 * x, 60 * y, 4, 0.7) - 0.25 * joint - 0.5 * (arch < 1.12)
    stone = ramp(tone, (0.14, 0.12, 0.10), (0.56, 0.49, 0.40))
    return mirrored(seed, mixed(upper, stone, wall.astype(np.float64)), height)


# ---- from scenes to files ---------------------------------------------------------------------------


def eight_bit(image: Field) -> Pixels:
    """Return an image of 0 to 1 as uint8, 0 to 255."""
    pixels: Pixels = np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    return pixels


def photographed(scene: Scene, seed: int, width: int, height: int) -> Pixels:
    """Draw the scene as a camera takes it: antialiased, vignetted, with film-like contrast and grain."""
    drawn = np.clip(scene(seed, 2 * height, 2 * width), 0.0, 1.0)
    image = drawn.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
    x, y = plane(height, width)
    vignette = 1.0 - 0.55 * ((x - x.max() / 2) ** 2 + (y - y.max() / 2) ** 2)
    exposed = np.clip(image * vignette[..., None], 0.0, 1.0) ** 0.85
    grain = generator(seed, 71).normal(0.0, 0.009, (height, width, 1))
    return eight_bit(exposed + grain)


def size_of(seed: int) -> tuple[int, int]:
    """Return width and height of an ordinary image: both orientations, longer side 120 to 420."""
    rng = generator(seed, 81)
    long = int(rng.integers(120, 421))
    short = int(long / rng.choice([1.25, 4 / 3, 1.5, 16 / 9]))
    return (long, short) if seed % 5 < 3 else (short, long)


def measured(pixels: Pixels, number: int) -> list[float]:
    """Return four labels of an upright image: mean brightness, redness, 1 if it is wider than high, class number."""
    red, green, blue = (float(channel) for channel in pixels.reshape(-1, 3).mean(axis=0) / 255.0)
    return [(red + green + blue) / 3.0, red - (green + blue) / 2.0, float(pixels.shape[1] > pixels.shape[0]), number]


CLASSES: dict[str, Scene] = {"bark": bark, "clouds": clouds, "dunes": dunes, "pebbles": pebbles, "water/lake": lake}


def draw_jpegs(photos: Path) -> dict[str, list[float]]:
    """Draw all JPEGs into the folder `photos` and return the labels of each by its path in there."""
    jobs = [
        (f"{folder}/{folder.split('/')[-1]}_{nth + 1:02d}.jpg", scene, 100 * number + nth, size_of(100 * number + nth))
        for number, (folder, scene) in enumerate(CLASSES.items(), 1)
        for nth in range(PER_CLASS)
    ]
    jobs += [
        ("bark/greyscale.jpg", bark, 901, (200, 260)),
        ("clouds/grey morning.jpg", overcast, 902, (300, 200)),
        ("dunes/sideways.jpg", dunes, 903, (180, 270)),
        ("water/lake/br\u00fccke.jpg", bridge, 904, (360, 270)),
    ]
    labels: dict[str, list[float]] = {}
    for name, scene, seed, (width, height) in jobs:
        pixels = photographed(scene, seed, width, height)
        image, exif = Image.fromarray(pixels), Image.Exif()
        if name == "bark/greyscale.jpg":
            image = image.convert("L")
            pixels = np.asarray(image.convert("RGB"))
        if name == "dunes/sideways.jpg":
            # Orientation 6 means that a reader rotates the image 90 degrees clockwise: it is stored rotated back.
            image = image.transpose(Image.Transpose.ROTATE_90)
            exif[ORIENTATION_TAG] = 6
        image.save(photos / name, quality=QUALITY, optimize=True, exif=exif)
        labels[name] = measured(pixels, list(CLASSES).index(name.rpartition("/")[0]))
    return labels


def draw_pngs(photos: Path) -> None:
    """Draw the two PNGs: a cloud with soft alpha, and the heights of dunes in 16 bits."""
    width, height = 160, 120
    image, cloud = sky(910, height, width, 0.2, 0.0)
    Image.fromarray(eight_bit(np.dstack([image, cloud]))).save(photos / "clouds" / "cutout.png", optimize=True)
    x, y = plane(120, 160)
    relief = sand_height(911, 8.0 * x, 8.0 * y)
    relief = (relief - relief.min()) / (relief.max() - relief.min())
    Image.fromarray(np.round(relief * 65535.0).astype(np.uint16)).save(photos / "dunes" / "heights16.png")


def main(out: Path) -> None:
    """Write photos/ and labels4.lst into the folder `out`."""
    for folder in CLASSES:
        (out / "photos" / folder).mkdir(parents=True, exist_ok=True)
    labels = draw_jpegs(out / "photos")
    draw_pngs(out / "photos")
    lines = [
        "\t".join([str(number), *(f"{label:.3f}" for label in labels[name]), name]) + "\n"
        for number, name in enumerate(sorted(labels))
    ]
    (out / "labels4.lst").write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)

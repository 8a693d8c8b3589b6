"""Draw sample faces: `python sample_data/draw_faces.py [OUT_DIR]`.

Every face is computed from the number of a person and of an image, so the set can be redrawn at any time and shows
nobody. OUT_DIR (by default the folder of this script) gets `faces/`, with one folder per person as LFW has them, and
`pairs.txt`, which lists pairs of faces of the same person and of two, in LFW's form. The faces are aligned as
InsightFace aligns them: 112 by 112 pixels, with eyes, nose and mouth near the same five points.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Point = tuple[float, float]

SIDE = 112
SCALE = 3  # drawn larger by this, then reduced: antialiased
QUALITY = 88
NAMES = ("Ada_Alder", "Ben_Birch", "Cleo_Cedar", "Dan_Dogwood", "Eva_Elm", "Finn_Fir", "Gus_Ginkgo", "Hana_Hazel")
IMAGES = (6, 5, 5, 4, 4, 3, 3, 2)  # of each of these
FOLDS = 10  # of pairs.txt, with one pair of each kind in each
EYES: tuple[Point, Point] = ((38.3, 51.7), (73.5, 51.5))
NOSE: Point = (56.0, 71.7)
MOUTH: tuple[Point, Point] = ((41.5, 92.4), (70.7, 92.2))
_SKINS = ((248, 216, 190), (232, 184, 148), (198, 142, 104), (146, 96, 66), (98, 62, 44))
_HAIRS = ((38, 28, 24), (92, 56, 30), (168, 120, 62), (150, 62, 36), (176, 176, 172), (60, 52, 50))
_IRISES = ((72, 102, 136), (86, 118, 78), (88, 58, 34), (52, 36, 26))


class Person(NamedTuple):
    """The traits that all images of a person share: colours, and lengths in pixels."""

    skin: Colour
    hair: Colour
    iris: Colour
    shirt: Colour
    width: float
    chin: float
    fringe: float
    long_hair: bool
    eye: float
    brow: float
    nose: float
    mouth: float
    beard: bool


def generator(*key: int) -> np.random.Generator:
    """Return a random generator that depends on `key` alone."""
    return np.random.Generator(np.random.PCG64(key))


def person(number: int) -> Person:
    """Return the traits of the person `number`, from 0 on."""
    rng = generator(11, number)

    def chosen(colours: tuple[Colour, ...]) -> Colour:
        red, green, blue = rng.normal(0, 7, 3) + colours[rng.integers(len(colours))]
        return int(np.clip(red, 0, 255)), int(np.clip(green, 0, 255)), int(np.clip(blue, 0, 255))

    return Person(
        skin=chosen(_SKINS),
        hair=chosen(_HAIRS),
        iris=chosen(_IRISES),
        shirt=(int(rng.integers(40, 220)), int(rng.integers(40, 220)), int(rng.integers(40, 220))),
        width=float(rng.uniform(35, 43)),
        chin=float(rng.uniform(106, 116)),
        fringe=float(rng.uniform(10, 34)),
        long_hair=bool(rng.random() < 0.5),
        eye=float(rng.uniform(5.0, 7.0)),
        brow=float(rng.uniform(1.5, 3.5)),
        nose=float(rng.uniform(4.0, 7.5)),
        mouth=float(rng.uniform(2.5, 5.5)),
        beard=bool(rng.random() < 0.25),
    )


class _Canvas:
    """Shapes in the coordinates of the face, which is turned, moved and drawn enlarged."""

    def __init__(self, background: Colour, shift: Point, turn: float) -> None:
        self.image = Image.new("RGB", (SCALE * SIDE, SCALE * SIDE), background)
        self._draw = ImageDraw.Draw(self.image)
        self._shift, self._turn = shift, turn

    def _placed(self, x: float, y: float) -> Point:
        x, y = x - SIDE / 2, y - SIDE / 2
        cosine, sine = float(np.cos(self._turn)), float(np.sin(self._turn))
        across, down = x * cosine - y * sine, x * sine + y * cosine
        return SCALE * (across + SIDE / 2 + self._shift[0]), SCALE * (down + SIDE / 2 + self._shift[1])

    def ellipse(self, x: float, y: float, wide: float, high: float, colour: Colour) -> None:
        """Fill an ellipse around (x, y)."""
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        self._draw.polygon([self._placed(x + wide * np.cos(a), y + high * np.sin(a)) for a in angles], fill=colour)

    def line(self, points: list[Point], width: float, colour: Colour) -> None:
        """Draw a line through points."""
        placed = [self._placed(*point) for point in points]
        self._draw.line(placed, fill=colour, width=max(1, round(SCALE * width)), joint="curve")


def draw_face(number: int, nth: int) -> Pixels:
    """Return image `nth` of the person `number`: uint8 (112, 112, 3), RGB."""
    rng, traits = generator(12, number, nth), person(number)
    background = (int(rng.integers(60, 230)), int(rng.integers(60, 230)), int(rng.integers(60, 230)))
    shift, turn = (float(rng.normal(0, 1.2)), float(rng.normal(0, 1.0))), float(rng.normal(0, 0.03))
    canvas = _Canvas(background, shift, turn)
    _draw_head(canvas, traits)
    _draw_features(canvas, traits, smile=float(rng.uniform(-2, 5)), gaze=float(rng.normal(0, 1.2)))
    reduced = canvas.image.resize((SIDE, SIDE), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.5))
    return photographed(np.asarray(reduced, np.float64), rng)


def photographed(image: npt.NDArray[np.float64], rng: np.random.Generator) -> Pixels:
    """Light `image` from one side, and add the grain of a camera."""
    across = np.linspace(-1, 1, SIDE)
    light = 1 + rng.normal(0, 0.14) * across[None, :] + rng.normal(0, 0.08) * across[:, None] + rng.normal(0, 0.06)
    grain = rng.normal(0, 3.0, (SIDE, SIDE, 1))
    pixels: Pixels = np.round(np.clip(image * light[..., None] + grain, 0, 255)).astype(np.uint8)
    return pixels


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(channel * factor)) for channel in colour)
    return red, green, blue


def _draw_head(canvas: _Canvas, traits: Person) -> None:
    middle, low = SIDE / 2, traits.chin
    if traits.long_hair:
        canvas.ellipse(middle, 70, traits.width + 13, 68, traits.hair)
    canvas.ellipse(middle, 142, 62, 34, traits.shirt)
    canvas.ellipse(middle, low + 4, 17, 22, _shade(traits.skin, 0.86))
    canvas.ellipse(middle, 34, traits.width + 7, 48, traits.hair)
    canvas.ellipse(middle, (low + 2) / 2 + 4, traits.width, (low - 2) / 2, traits.skin)
    canvas.ellipse(middle, traits.fringe - 18, traits.width, 30, traits.hair)
    if traits.beard:
        canvas.ellipse(middle, low - 10, traits.width * 0.72, 17, _shade(traits.hair, 1.1))


def _draw_features(canvas: _Canvas, traits: Person, *, smile: float, gaze: float) -> None:
    for x, y in EYES:
        canvas.ellipse(x, y, traits.eye, traits.eye * 0.62, (245, 243, 240))
        canvas.ellipse(x + gaze, y, traits.eye * 0.55, traits.eye * 0.58, traits.iris)
        canvas.ellipse(x + gaze, y, traits.eye * 0.25, traits.eye * 0.27, (18, 16, 16))
        brow = [(x - 8.5, y - 8.0), (x, y - 11.0), (x + 8.5, y - 8.5)]
        canvas.line(brow, traits.brow, _shade(traits.hair, 0.8))
    x, y = NOSE
    dark = _shade(traits.skin, 0.78)
    canvas.line([(x - 1, y - 14), (x - traits.nose, y + 3), (x + traits.nose, y + 3)], 1.6, dark)
    (left, top), (right, _) = MOUTH
    middle = (left + right) / 2
    canvas.ellipse(middle, top - 1 + smile / 3, (right - left) / 2.4, traits.mouth * 0.8, _shade((196, 84, 84), 0.95))
    canvas.line([(left, top), (middle, top + smile), (right, top)], 1.4, (112, 40, 44))


def write_pairs(path: Path) -> None:
    """Write the list of pairs: in each of ten sets one pair of one person, then one of two."""
    lines = [f"{FOLDS}\t1"]
    for fold in range(FOLDS):
        rng = generator(13, fold)
        first, second = rng.permutation(len(NAMES))[:2].tolist()
        one, other = sorted(rng.permutation(IMAGES[first])[:2].tolist())
        lines.append(f"{NAMES[first]}\t{one + 1}\t{other + 1}")
        chosen = [int(rng.integers(IMAGES[number])) + 1 for number in (first, second)]
        lines.append(f"{NAMES[first]}\t{chosen[0]}\t{NAMES[second]}\t{chosen[1]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def main(out: Path) -> None:
    """Write faces/ and pairs.txt into the folder `out`."""
    for number, (name, images) in enumerate(zip(NAMES, IMAGES, strict=True)):
        folder = out / "faces" / name
        folder.mkdir(parents=True, exist_ok=True)
        for nth in range(images):
            face = Image.fromarray(draw_face(number, nth))
            face.save(folder / f"{name}_{nth + 1:04d}.jpg", quality=QUALITY, optimize=True)
    write_pairs(out / "pairs.txt")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)

from pathlib import Path
from typing import Any

import pytest
from helpers import image_payload, write_rec
from image_helpers import encoded, im2rec, texture

from im2rec.inspection.report import DETECTION, INSIGHTFACE, VECTORS, DetectionSet
from im2rec.inspection.spread import Spread
from im2rec.inspection.survey import survey

FACE = encoded(texture(16, 16))


def faces(folder: Path, *, images: int = 6, identities: int = 2, header: tuple[int, int] | None = None) -> Path:
    """A set as InsightFace's face2rec2 writes it: a header record, the images, and a record per identity."""
    first, last = header or (images + 1, images + 1 + identities)
    payloads = [image_payload(0, [first, last], b"")]
    payloads += [image_payload(1 + n, float(n * identities // images), FACE) for n in range(images)]
    payloads += [image_payload(1 + images + n, [1 + 3 * n, 4 + 3 * n], b"") for n in range(identities)]
    return write_rec(folder / "train.rec", payloads, keys=range(len(payloads)))


def test_a_face_set_is_summarised_by_a_subtraction_and_its_arcface_configuration(tmp_path: Path) -> None:
    (tmp_path / "property").write_text("2,16,16\n")
    found = survey(faces(tmp_path))

    assert INSIGHTFACE == found.set_kind
    assert 6 == found.images
    assert [] == found.problems
    assert found.insightface is not None
    assert (6, 2) == (found.insightface.images, found.insightface.identities)
    assert "2,16,16" == found.insightface.property
    assert "9 records - 1 header - 2 identities = 6 images" == found.insightface.sum
    config = [f'config.rec = "{tmp_path}"', "config.num_classes = 2", "config.num_image = 6"]
    assert config == found.insightface.config


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("3,16,16", "says 3 classes, the labels of the images 2"),
        ("2,112,16", "says 112 pixels high, the images have 16"),
        ("2,16,112", "says 112 pixels wide, the images have 16"),
    ],
)
def test_a_property_file_that_contradicts_the_set_is_a_problem(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "property").write_text(text)
    path = faces(tmp_path)

    assert [f"{tmp_path / 'property'}: {problem}"] == survey(path).problems
    assert 3 == im2rec("inspect", path).code


def test_a_property_file_of_other_text_is_a_problem_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "property").write_text("two")
    expected = f"{tmp_path / 'property'}, line 1: expected classes,height,width, found 'two'"
    assert [expected] == survey(faces(tmp_path)).problems


def test_a_header_record_that_claims_more_than_the_file_holds_is_a_problem(tmp_path: Path) -> None:
    expected = ["the header record says 9 images, there are 6", "the header record says 5 identities, there are 2"]
    assert expected == survey(faces(tmp_path, header=(10, 15))).problems


def test_inspect_prints_the_configuration_of_a_face_set_within_24_lines(tmp_path: Path) -> None:
    (tmp_path / "property").write_text("2,16,16")
    code, out, _ = im2rec("inspect", faces(tmp_path))

    assert 0 == code
    assert "  property    agrees: 2,16,16\n" in out
    assert "  arcface     config.num_image = 6\n" in out
    assert len(out.splitlines()) <= 24


def boxes(*counts: int, header: tuple[float, ...] = (2, 5), width: int = 5) -> list[bytes]:
    labels: list[Any] = [[*header, *([1.0] * (width * count))] for count in counts]
    return [image_payload(n, label, FACE) for n, label in enumerate(labels)]


def test_the_objects_of_a_detection_set_are_counted(tmp_path: Path) -> None:
    found = survey(write_rec(tmp_path / "a.rec", boxes(1, 4, 2)))

    assert DETECTION == found.set_kind
    assert DetectionSet([2], [5], 7, Spread(1, 2, 4)) == found.detection
    assert found.class_statistics is None


def test_header_and_object_width_are_read_from_the_labels(tmp_path: Path) -> None:
    found = survey(write_rec(tmp_path / "a.rec", boxes(1, 3, header=(4, 6, 300, 200), width=6)))
    assert DetectionSet([4], [6], 4, Spread(1, 3, 3)) == found.detection


def test_one_vector_that_is_not_detection_labels_makes_it_a_set_of_label_vectors(tmp_path: Path) -> None:
    payloads = [*boxes(1, 2), image_payload(9, [0.5, 0.25, 1.0], FACE)]
    found = survey(write_rec(tmp_path / "a.rec", payloads))
    assert VECTORS == found.set_kind
    assert found.detection is None


def test_jpeg_quality_and_exif_orientations_are_reported(tmp_path: Path) -> None:
    sideways = Path(__file__).parents[2] / "sample_data" / "photos" / "dunes" / "sideways.jpg"
    contents = [encoded(texture(), quality=80), encoded(texture(), quality=95), sideways.read_bytes()]
    path = write_rec(tmp_path / "a.rec", [image_payload(n, 0.0, content) for n, content in enumerate(contents)])
    images = survey(path).image_statistics

    assert images.jpeg_quality is not None
    assert (80, 95) == (images.jpeg_quality.smallest, images.jpeg_quality.largest)
    assert {6: 1} == images.orientations
    assert "  EXIF      1 with orientation 6: not all readers turn them\n" in im2rec("inspect", path).out

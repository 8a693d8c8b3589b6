"""Scenes of random sequences: decoding, resizing and cropping of images, their records, and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from mx.sequence_story import Folder, Name, Story, png


def pictures(story: Story) -> None:
    """Decode an image and send it through some steps, each on a result before it."""
    story.call("python.seed", story.number(0, 2**30))
    buffer: Any = story.content()
    form = story.number(0, 5)
    if form == 0:
        buffer = bytearray(buffer)
    elif form == 1:
        buffer = np.frombuffer(buffer, np.uint8)
    elif form == 2:
        buffer = np.frombuffer(buffer, np.uint8).reshape(-1, 1)
    ways: list[dict[str, Any]] = [{}, {}, {"flag": 1}, {"flag": 0}, {"to_rgb": 0}, {"to_rgb": False}, {"to_rgb": True}]
    image = story.call("image.imdecode", buffer, name=story.new("image"), **story.one(ways))
    images = [image]
    for step in story.some(STEPS, 3, 8):
        images += step(story, story.one(images))
    story.call("python.draw")


def imread(story: Story, _: Name) -> list[Name]:
    file = Folder(f"{story.new('picture')}.png")
    story.call("python.write", file, story.content())
    return [story.call("image.imread", file, name=story.new("image"), **story.one([{}, {"flag": 0}, {"to_rgb": 0}]))]


def imresize(story: Story, image: Name) -> list[Name]:
    width, height = story.number(1, 60), story.number(1, 60)
    interp = story.one([{}, *({"interp": number} for number in range(5))])
    result = story.call("image.imresize", image, width, height, name=story.new("image"), **interp)
    return [result] if min(width, height) > 5 else []


def resize_short(story: Story, image: Name) -> list[Name]:
    interp = story.one([{}, {}, *({"interp": number} for number in (0, 1, 2, 3, 4, 9, 10))])
    return [story.call("image.resize_short", image, story.number(6, 50), name=story.new("image"), **interp)]


def fixed_crop(story: Story, image: Name) -> list[Name]:
    place: list[Any] = [story.number(0, 4), story.number(0, 4), story.number(1, 12), story.number(1, 12)]
    size = story.one([(story.number(6, 30), story.number(6, 30)), (place[2], place[3])]) if story.chance(40) else (0, 0)
    if size != (0, 0):
        place += [size, *story.one([(), (1,), (9,)])]
    result = story.call("image.fixed_crop", image, *place, name=story.new("image"))
    return [result] if min(size) > 5 else []


def crop(story: Story, image: Name) -> list[Name]:
    """Crop at the centre or at random, sometimes larger than the image."""
    size = (story.number(6, 60), story.number(6, 60))
    given = story.one([size, size, list(size)])
    name = story.new("crop")
    story.call(
        story.one(["image.center_crop", "image.random_crop", "image.random_crop"]),
        image,
        given,
        *story.one([(), (), (0,), (1,), (3,), (9,)]),
        name=name,
    )
    return [Name(name, (0,))]


def scale_down(story: Story, _: Name) -> list[Name]:
    sizes = [(story.number(1, 700), story.number(1, 700)) for _ in range(2)]
    story.call("image.scale_down", *sizes)
    return []


def turned(story: Story, image: Name) -> list[Name]:
    """Bring an image to (channels, height, width), and mirror it, as loaders of verification sets do."""
    axes = story.call("nd.transpose", image, axes=(2, 0, 1), name=story.new("chw"))
    story.call("ndarray.flip", data=axes, axis=2)
    story.call("python.attribute", axes, "shape")
    return []


def refused_image(story: Story, image: Name) -> list[Name]:
    calls: list[tuple[str, Any]] = [
        ("image.imdecode", (b"",)),
        ("image.imdecode", (b"no image at all",)),
        ("image.imdecode", (png(np.zeros((9, 9, 3), np.uint8))[:80],)),
        ("image.imdecode", ("text",)),
        ("image.imdecode", (None,)),
        ("image.imdecode", (b"abc", -1)),
        ("image.imread", (Folder("missing.png"),)),
        ("image.imresize", (image, 0, 5)),
        ("image.imresize", (image, 5, -1)),
        ("image.imresize", (image, 5, 5, 11)),
        ("image.resize_short", (image, 5, 11)),
        ("image.resize_short", (image, 0)),
        ("image.fixed_crop", (image, 200, 200, 5, 5)),
        ("image.fixed_crop", (image, 1, 1, 0, 5)),
    ]
    function, arguments = story.one(calls)
    story.call(function, *arguments)
    return []


STEPS = [
    imread,
    imresize,
    imresize,
    imresize,
    resize_short,
    resize_short,
    resize_short,
    fixed_crop,
    fixed_crop,
    crop,
    crop,
    crop,
    scale_down,
    turned,
    refused_image,
]


def image_records(story: Story) -> None:
    """Pack arrays of pixels as records, unpack them, and decode them."""
    for _ in range(story.number(1, 3)):
        pixels = story.image(story.one([1, 3, 3, 3, 4]))
        if pixels.shape[2] == 1 and story.chance(50):
            pixels = pixels[:, :, 0]
        lossless = pixels.shape[-1] == 4 or story.chance(50)
        form = story.one([".png", ".PNG"] if lossless else [".jpg", ".jpeg", ".JPG"])
        header = story.call(
            "recordio.IRHeader", 0, story.one([3.0, [1.0, 2.0]]), story.number(0, 99), 0, name=story.new("header")
        )
        quality = {"quality": story.number(0, 9) if lossless else story.number(1, 100)} if story.chance(50) else {}
        packed = story.call(
            "recordio.pack_img", header, pixels, img_fmt=form, name=story.new("packed"), hidden=lossless, **quality
        )
        colour = story.one([{}, {}, {"iscolor": -1}, {"iscolor": 0}, {"iscolor": 1}])
        story.call("recordio.unpack_img", packed, **colour)
        unpacked = story.call("recordio.unpack", packed, name=story.new("unpacked"), hidden=lossless)
        story.call("image.imdecode", Name(unpacked.name, (1,)))


def refused_image_records(story: Story) -> None:
    pixels = story.image()
    header = story.call("recordio.IRHeader", 0, 1.0, 1, 0, name=story.new("header"))
    for number in story.some(range(5), 1, 3):
        if number == 0:
            story.call("recordio.pack_img", header, pixels, img_fmt=story.one(["jpg", ".xyz"]))
        elif number == 1:
            story.call("recordio.pack_img", header, pixels[:, :, :2])
        elif number == 2:
            story.call("recordio.pack_img", header, pixels[:0])
        elif number == 3:
            story.call("recordio.unpack_img", bytes(24) + b"no image")
        else:
            story.call("recordio.unpack_img", bytes(24))


def arrays(story: Story) -> None:
    """Make arrays and compute with them, each on a result before it."""
    made = []
    for _ in range(2):
        shape = tuple(story.number(1, 4) for _ in range(story.number(1, 3)))
        count = int(np.prod(shape))
        values = np.array([story.number(0, 60) for _ in range(count)]).reshape(shape)
        kind = story.one([{}, {}, {"dtype": "uint8"}, {"dtype": np.int32}, {"dtype": np.float32}])
        source = story.one([values, values.astype(np.float64), values.astype(np.uint8), values.tolist()])
        made.append(story.call("nd.array", source, name=story.new("array"), **kind))
        other = story.one(["zeros", "ones"])
        made.append(story.call(f"nd.{other}", shape, name=story.new("array"), **story.one([{}, {"dtype": "int32"}])))
    for step in story.some(ARRAY_STEPS, 4, 9):
        made += step(story, story.one(made))


def arithmetic(story: Story, array: Name) -> list[Name]:
    """Compute with one number, or with the array itself."""
    name = story.one(["add", "sub", "mul", "truediv", "eq", "ne", "lt", "le", "gt", "ge"])
    if name == "truediv":  # not of integers by a zero, which ends the process of MXNet
        return [story.call("python.operator", name, array, story.one([2, 1, 4, 2.0]), name=story.new("array"))]
    right = story.one([array, 2, 1, 4, 0.5])
    pair = (array, right) if story.chance(80) else (right, array)
    return [story.call("python.operator", name, *pair, name=story.new("array"))]


def indexed(story: Story, array: Name) -> list[Name]:
    keys = [0, -1, slice(0, 1), slice(None), slice(None, None, -1), Ellipsis, [0], (Ellipsis, 0), 99]
    return [story.call("python.item", array, story.one(keys), name=story.new("array"))]


def assigned(story: Story, array: Name) -> list[Name]:
    story.call("python.assigned", array, story.one([0, slice(None), slice(0, 1), (Ellipsis, 0)]), story.number(0, 9))
    return []


def reshaped(story: Story, array: Name) -> list[Name]:
    shapes = [(-1,), (0, -1), (-2,), (-3, -2), (-3,), (-4, 1, -1, -2), (1, -1), (7, 11, 13), (0, 0, 0), (-1, 1)]
    shape = story.one(shapes)
    function = story.number(0, 2)
    if function == 0:
        return [story.call(f"{array.name}.reshape", shape, name=story.new("array"))]
    if function == 1:
        return [story.call(f"{array.name}.reshape", *shape, name=story.new("array"))]
    return [story.call(f"{array.name}.reshape", shape=shape, name=story.new("array"))]


def method(story: Story, array: Name) -> list[Name]:
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("asnumpy", ()),
        ("asscalar", ()),
        ("astype", (story.one(["uint8", "float32", "int32"]),)),
        ("copy", ()),
        ("sum", ()),
        ("max", ()),
        ("wait_to_read", ()),
        ("transpose", ()),
    ]
    name, arguments = story.one(calls)
    kept = {} if name in ("asnumpy", "asscalar", "wait_to_read") else {"name": story.new("array")}
    result = story.call(f"{array.name}.{name}", *arguments, **kept)
    return [result] if kept else []


def attribute(story: Story, array: Name) -> list[Name]:
    story.call("python.attribute", array, story.one(["shape", "size", "ndim"]))
    return []


def arranged(story: Story, array: Name) -> list[Name]:
    name = story.new("array")
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("transpose", (array,), {}),
        ("flip", (array,), {"axis": story.one([0, 0, 5])}),
        ("slice_axis", (array,), {"axis": 0, "begin": 0, "end": story.one([1, None, -1])}),
        ("concat", (array, array), {"dim": 0}),
        ("concat", (array, array), {}),
        ("stack", (array, array), {}),
        ("stack", (array, array), {"axis": 1}),
        ("full", ((2, 3), story.number(0, 5)), {}),
        ("array", (array,), {}),
    ]
    function, arguments, keywords = story.one(calls)
    return [story.call(f"nd.{function}", *arguments, name=name, **keywords)]


def copied(story: Story, array: Name) -> list[Name]:
    return [story.call(story.one(["python.pickled", "python.deep_copy"]), array, name=story.new("array"))]


ARRAY_STEPS = [
    arithmetic,
    arithmetic,
    arithmetic,
    indexed,
    indexed,
    assigned,
    reshaped,
    reshaped,
    method,
    method,
    attribute,
    arranged,
    arranged,
    copied,
]

image_scenes = [pictures] * 6 + [image_records] * 2 + [refused_image_records]
array_scenes = [arrays] * 3

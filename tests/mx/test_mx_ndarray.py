"""``mx.nd``: what MXNet 1.9.1 gives for the same calls, recorded by hand, and what only an ndarray subclass can."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from im2rec.errors import InputError, ParameterError
from im2rec.mx import ndarray as nd
from im2rec.mx.context import Context, cpu, cpu_pinned, current_context, gpu, num_gpus
from im2rec.mx.ndarray import NDArray
from im2rec.mx.reshaping import inferred_shape


@pytest.fixture
def table() -> NDArray:
    """The numbers 0 to 11 in three rows of four, float32."""
    return nd.arange(12).reshape((3, 4))


@pytest.fixture
def image() -> NDArray:
    """The numbers 0 to 23, uint8, as an image of two rows, three columns and four channels."""
    return nd.arange(24, dtype="uint8").reshape((2, 3, 4))


def values(array: NDArray) -> Any:
    return array.asnumpy().tolist()


# Making arrays.


@pytest.mark.parametrize("source", [[1, 2], (1, 2), np.array([1, 2]), np.array([1.0, 2.0]), np.array([1, 2], np.uint8)])
def test_an_array_is_float32_whatever_it_is_made_of(source: Any) -> None:
    assert np.float32 == nd.array(source).dtype


def test_a_copy_of_an_array_keeps_its_type(image: NDArray) -> None:
    made = nd.array(image)
    made[:] = 0

    assert np.uint8 == made.dtype
    assert 1 == image[0, 0, 1].asscalar()


def test_an_array_does_not_share_the_memory_of_its_source() -> None:
    source = np.zeros(2, np.float32)
    made = nd.array(source)
    source[:] = 9

    assert [0, 0] == values(made)


@pytest.mark.parametrize(
    ("source", "dtype", "expected"),
    [([300, -1], "uint8", [44, 255]), ([1.9, -1.9], "int32", [1, -1]), ([2**31], np.int32, [-(2**31)])],
)
def test_numbers_that_a_type_cannot_hold_are_cut_off_or_wrap_around(source: Any, dtype: Any, expected: Any) -> None:
    assert expected == values(nd.array(source, dtype=dtype))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([[1, 2], [3]], "an array cannot be made of list (rows of equal length, of numbers)"),
        ("text", "an array cannot be made of str (rows of equal length, of numbers)"),
        (None, "an array cannot be made of NoneType"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(source: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        nd.array(source)
    assert message == str(caught.value)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "complex64", "no type", object])
def test_a_type_that_mxnet_lacks_is_refused_and_the_others_listed(dtype: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        nd.zeros(3, dtype=dtype)
    assert f"dtype={dtype} must be float32, float64, float16, uint8, int8, int32, int64, bool" == str(caught.value)


@pytest.mark.parametrize("shape", [(), 0, (2, 0), (2, -1), (2.5,), None, "x"])
def test_a_shape_without_values_is_refused(shape: Any) -> None:
    with pytest.raises(ParameterError, match="must be one or more integers, each 1 or more"):
        nd.zeros(shape)


def test_arrays_are_made_of_a_shape_a_number_and_a_type() -> None:
    assert ((3,), np.float32) == (nd.empty(3).shape, nd.empty(3).dtype)
    assert [[0, 0]] == values(nd.zeros((1, 2), cpu(), "uint8"))
    assert [1, 1] == values(nd.ones(2))
    assert [44, 44] == values(nd.full((2,), val=300, dtype="uint8"))
    assert [2, 4, 6] == values(nd.arange(2, 8, 2))
    assert [[0, 0]] == values(nd.zeros_like(nd.ones((1, 2))))
    assert [[1, 1]] == values(nd.ones_like(nd.zeros((1, 2))))


# Operators: a number takes the type of the array, and the result has it.


@pytest.mark.parametrize(
    ("calculate", "dtype", "expected"),
    [
        (lambda a: a + 300, "uint8", [45, 46, 51]),
        (lambda a: a - 127.5, "uint8", [130, 131, 136]),
        (lambda a: 1 - a, "uint8", [0, 255, 250]),
        (lambda a: a * 1.5, "uint8", [1, 2, 7]),
        (lambda a: a / 2, "uint8", [0, 1, 3]),
        (lambda a: (a - 8) / 2, "int32", [-3, -3, 0]),
        (lambda a: -7 / a, "int32", [-7, -3, -1]),
        (lambda a: (a - 8) % 3, "int32", [2, 0, 2]),
        (lambda a: a > 1.5, "int32", [0, 1, 1]),
        (lambda a: a > -1, "uint8", [0, 0, 0]),
        (lambda a: a == 2, "uint8", [0, 1, 0]),
        (lambda a: (a > 1) * (a < 7), "uint8", [0, 1, 0]),
        (lambda a: a != 2, "float32", [1, 0, 1]),
        (lambda a: a <= nd.array([1, 1, 9]), "float32", [1, 0, 1]),
        (lambda a: a / 0, "float32", [np.inf] * 3),
        (lambda a: 2**a, "float32", [2, 4, 128]),
        (lambda a: 7 / a, "float32", [7, 3.5, 1]),
        (lambda a: np.float64(0.5) + a, "float32", [1.5, 2.5, 7.5]),
        (lambda a: a * np.array(3), "float32", [3, 6, 21]),
        (lambda a: a + 1, "bool", [2, 2, 2]),
        (lambda a: -a, "uint8", [255, 254, 249]),
    ],
)
def test_the_result_of_an_operator_has_the_type_of_the_array(
    calculate: Callable[[NDArray], NDArray], dtype: str, expected: list[float]
) -> None:
    array = nd.array([1, 2, 7]).astype(dtype)
    result = calculate(array)

    assert isinstance(result, NDArray)
    assert expected == values(result)
    assert (np.int64 if dtype == "bool" else np.dtype(dtype)) == result.dtype


def test_operators_in_place_keep_array_and_type() -> None:
    array = nd.array([1, 2, 7], dtype="uint8")
    same = array
    same += 0.5
    same -= 1.5
    same *= 2
    same /= 4

    assert same is array
    assert ([0, 0, 3], np.uint8) == (values(array), array.dtype)


def test_a_plain_array_beside_an_array_follows_numpy() -> None:
    assert [2, 4] == values(nd.array([1, 2]) + np.array([1, 2]))
    assert [2, 4] == values(np.array([1, 2]) + nd.array([1, 2]))


@pytest.mark.parametrize("other", [None, "x", [1, 2]])
def test_other_operands_are_refused(other: Any) -> None:
    with pytest.raises(TypeError, match=f"^add of an NDArray and {type(other).__name__}$"):
        nd.ones(2) + other


def test_an_operand_with_operators_of_its_own_uses_these() -> None:
    class Other:
        __array_ufunc__ = None

        def __radd__(self, array: NDArray) -> str:
            return f"{array.shape}"

    assert "(2,)" == nd.ones(2) + Other()


def test_an_operand_that_gives_an_array_is_taken_for_it() -> None:
    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
            return np.array([1, 2], np.float32)

    assert [2, 3] == values(Tensor() + nd.ones(2))


# Indexing.


def test_an_index_gives_an_array_of_one_value(table: NDArray) -> None:
    assert [6] == values(table[1, 2])
    assert [6] == values(table[1][2])
    assert [[0], [1]] == [values(value) for value in nd.arange(2)]
    assert (6.0, 6) == (float(table[1, 2]), int(table[1, 2]))


@pytest.mark.parametrize("part", [1, slice(1, 3), (0, 1), (0, slice(1, 3)), None, ..., slice(None)])
def test_a_part_whose_values_lie_together_shares_the_memory(table: NDArray, part: Any) -> None:
    table[part][:] = 99

    assert 99 in values(table.reshape(-1))


@pytest.mark.parametrize("part", [(slice(None), 1), (slice(None), slice(1, 3)), slice(None, None, 2), [0, 1]])
def test_any_other_part_is_a_copy(table: NDArray, part: Any) -> None:
    table[part][:] = 99

    assert list(range(12)) == values(table.reshape(-1))


def test_a_batch_is_filled_as_the_verification_loader_fills_it() -> None:
    batch, picture = nd.zeros((2, 3, 4, 5)), nd.arange(60, dtype="uint8").reshape((4, 5, 3))
    batch[1][:] = nd.transpose(picture, axes=(2, 0, 1))

    assert 0 == batch[0].sum().asscalar()
    assert values(picture.transpose((2, 0, 1))) == values(batch[1])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(7, 7), (np.float32(7), 7), (nd.full(1, 7), 7), (np.array([7]), 7), ([7], 7), (300, 44), (-1, 255), (2.7, 2)],
)
def test_one_value_is_set_from_a_number_or_an_array_of_one(value: Any, expected: int) -> None:
    array = nd.zeros(3, dtype="uint8")
    array[1] = value
    array[2][:] = value

    assert [0, expected, expected] == values(array)


def test_parts_are_set_from_arrays_that_are_converted(image: NDArray) -> None:
    image[0] = np.full((3, 4), -1.5)
    image[:, 1] = nd.full((2, 4), 300)

    assert [[255] * 4, [44] * 4, [255] * 4] == values(image[0])
    assert [44] * 4 == values(image[1, 1])


def test_an_array_of_floats_is_an_index_by_its_whole_numbers(table: NDArray) -> None:
    assert [[8, 9, 10, 11], [0, 1, 2, 3]] == values(table[nd.array([2.9, 0.9])])
    assert (3, 4, 4) == table[table > 5].shape  # rows 0 and 1, as in MXNet


def test_an_array_of_bools_selects(table: NDArray) -> None:
    assert [[4, 5, 6, 7]] == values(table[nd.array([0, 1, 0], dtype="bool")])


def test_an_index_out_of_bounds_is_an_index_error(table: NDArray) -> None:
    with pytest.raises(IndexError):
        table[3]


# Shapes.


@pytest.mark.parametrize(
    ("codes", "reverse", "expected"),
    [
        ((6, -1), False, (6, 4)),
        ((0, -1), False, (2, 12)),
        ((-1, 0), True, (6, 4)),
        ((-2,), False, (2, 3, 4)),
        ((-2, 1), False, (2, 3, 4, 1)),
        ((-3, 0), False, (6, 4)),
        ((0, -3), True, (2, 12)),
        ((-4, 1, 2, -2), False, (1, 2, 3, 4)),
        ((0, -4, -1, 3, 0), False, (2, 1, 3, 4)),
        ((0, 0, -4, 2, -1), False, (2, 3, 2, 2)),
        ((0, 0, 0, -1), False, (2, 3, 4, 1)),
        ((24,), False, (24,)),
    ],
)
def test_codes_of_a_shape_stand_for_old_sizes(
    image: NDArray, codes: tuple[int, ...], reverse: bool, expected: tuple[int, ...]
) -> None:
    new = image.reshape(codes, reverse=reverse)

    assert expected == new.shape
    assert np.shares_memory(new, image)
    assert expected == image.reshape(*codes, reverse=reverse).shape
    assert expected == image.reshape(shape=codes, reverse=reverse).shape
    assert expected == nd.reshape(image, shape=codes, reverse=reverse).shape


@pytest.mark.parametrize(
    ("codes", "problem"),
    [
        ((5, 5), "has 24 values: it cannot be reshaped by (5, 5)"),
        ((0, 0), "has 24 values: it cannot be reshaped by (0, 0)"),
        ((), "has 24 values: it cannot be reshaped by ()"),
        ((0, 0, 0, 0), "cannot be reshaped by (0, 0, 0, 0): they need more axes than it has"),
        ((-3, -3), "cannot be reshaped by (-3, -3): they need more axes than it has"),
        ((2, -1, -1), "cannot be reshaped by (2, -1, -1): only one size can be inferred"),
        ((3, -4, 2, 2, 2), "cannot be reshaped by (3, -4, 2, 2, 2): 3 is not 2 times 2"),
        (
            (2, -4, -1, -1, 4),
            "cannot be reshaped by (2, -4, -1, -1, 4): two sizes must follow -4, one of which may be -1",
        ),
        ((0, -4), "cannot be reshaped by (0, -4): two sizes must follow -4, one of which may be -1"),
        ((-5,), "cannot be reshaped by (-5,): -5 is no code"),
    ],
)
def test_codes_that_do_not_fit_are_refused(image: NDArray, codes: tuple[int, ...], problem: str) -> None:
    with pytest.raises(ParameterError) as caught:
        image.reshape(codes)
    assert f"an array of shape (2, 3, 4) {problem}" == str(caught.value)


def test_a_size_is_read_from_any_integer() -> None:
    assert (2, -1) == inferred_shape((2, 3), [np.int64(2), -1])


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (lambda a: nd.transpose(a, axes=(2, 0, 1)), np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)),
        (lambda a: nd.transpose(data=a), np.arange(24).reshape(2, 3, 4).T),
        (lambda a: a.T, np.arange(24).reshape(2, 3, 4).T),
        (lambda a: np.transpose(a, (2, 0, 1)), np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)),
        (lambda a: nd.flip(data=a, axis=2), np.arange(24).reshape(2, 3, 4)[:, :, ::-1]),
        (lambda a: nd.flip(a, (0, 1)), np.arange(24).reshape(2, 3, 4)[::-1, ::-1]),
        (lambda a: nd.swapaxes(a, 0, 2), np.arange(24).reshape(2, 3, 4).swapaxes(0, 2)),
        (lambda a: nd.slice_axis(a, axis=1, begin=1, end=None), np.arange(24).reshape(2, 3, 4)[:, 1:]),
        (lambda a: a.slice_axis(-1, -2, -1), np.arange(24).reshape(2, 3, 4)[:, :, 2:3]),
        (lambda a: nd.expand_dims(a, axis=0), np.arange(24).reshape(1, 2, 3, 4)),
        (lambda a: nd.squeeze(a[0:1]), np.arange(12).reshape(3, 4)),
        (lambda a: a.flatten(), np.arange(24).reshape(2, 12)),
        (lambda a: a.take(nd.array([1])), np.arange(24).reshape(2, 3, 4)[1:]),
    ],
)
def test_moved_values_are_a_copy_in_order(
    image: NDArray, move: Callable[[NDArray], NDArray], expected: np.ndarray[Any, Any]
) -> None:
    moved = move(image)

    assert (NDArray, np.uint8) == (type(moved), moved.dtype)
    assert expected.tolist() == values(moved)
    assert moved.flags.c_contiguous
    assert not np.shares_memory(moved, image)


@pytest.mark.parametrize(("begin", "end"), [(0, 9), (2, 1), (-9, 1), (1, 1)])
def test_a_slice_beyond_the_array_is_refused(image: NDArray, begin: int, end: int) -> None:
    with pytest.raises(ParameterError) as caught:
        nd.slice_axis(image, 1, begin, end)
    assert f"begin={begin}, end={end} must be a part of the 3 values along axis 1" == str(caught.value)


def test_arrays_are_joined(table: NDArray) -> None:
    assert (3, 8) == nd.concat(table, table).shape
    assert (6, 4) == nd.concat(table, table, dim=0).shape
    assert (6, 4) == nd.concatenate([table, table]).shape
    assert (2, 3, 4) == nd.stack(table, table).shape
    assert (3, 4, 2) == nd.stack(*[table, table], axis=-1).shape


def test_joining_takes_arrays_one_by_one(table: NDArray) -> None:
    with pytest.raises(TypeError, match=r"^concat\(\) takes arrays one by one, not list$"):
        nd.concat([table, table])
    with pytest.raises(ParameterError, match=r"^stack\(\) needs an array or more$"):
        nd.stack()


def test_reductions_keep_the_type_and_an_axis(table: NDArray) -> None:
    assert [66] == values(table.sum())
    assert [5.5] == values(table.mean())
    assert [[1.5], [5.5], [9.5]] == values(table.mean(axis=1, keepdims=True))
    assert [3, 3, 3] == values(table.argmax(axis=1))
    assert [11] == values(table.max(axis=(0, 1)))
    assert [0, 4, 8] == values(table.min(axis=1))
    assert ([20], np.uint8) == (values(nd.arange(24, dtype="uint8").sum()), nd.ones(1, dtype="uint8").sum().dtype)
    assert [5] == values(nd.array([3, 4]).norm())
    assert 0 == table.argmin().asscalar()
    assert [6] == values(nd.array([1, 2, 3]).prod())


# Copies, contexts, and other libraries.


def test_asnumpy_gives_a_plain_writable_copy(image: NDArray) -> None:
    plain = image.transpose((2, 0, 1)).asnumpy()
    plain[:] = 0

    assert type(plain) is np.ndarray
    assert plain.flags.c_contiguous
    assert plain.flags.owndata
    assert 23 == image.max().asscalar()


def test_asscalar_is_the_only_value_of_an_array_of_any_shape() -> None:
    value = nd.full((1, 1), 5).asscalar()

    assert (np.float32, 5) == (type(value), value)
    with pytest.raises(ValueError, match=r"^an array of shape \(2,\) is not a scalar$"):
        nd.ones(2).asscalar()


def test_astype_wraps_around_and_copies_unless_told_otherwise(table: NDArray) -> None:
    assert [251, 252, 253, 254] == values((table - 5).astype("uint8")[0])
    assert table.astype("float32") is not table
    assert table.astype("float32", copy=False) is table


def test_a_context_is_a_name(table: NDArray) -> None:
    on_gpu = table.as_in_context(gpu(1))

    assert table.as_in_context(cpu()) is table
    assert (gpu(1), cpu()) == (on_gpu.context, table.ctx)
    assert gpu(1) == (on_gpu + 1)[0].context
    assert gpu(1) == pickle.loads(pickle.dumps(on_gpu)).context
    assert values(table) == values(on_gpu)
    assert cpu(2) == table.copyto(cpu(2)).context
    assert table.wait_to_read() is nd.waitall()


def test_copyto_writes_to_an_array_of_the_same_shape(table: NDArray) -> None:
    target = nd.zeros((3, 4), dtype="uint8")

    assert table.copyto(target) is target
    assert values(table) == values(target)
    with pytest.raises(ParameterError, match=r"cannot copy an array of shape \(3, 4\) to one of shape \(2,\)"):
        table.copyto(nd.zeros(2))
    with pytest.raises(TypeError, match="cannot copy to int: an NDArray or a context is needed"):
        table.copyto(5)  # type: ignore[arg-type]


def test_with_a_context_arrays_are_made_in_it() -> None:
    with cpu(1) as context:
        assert (cpu(1), cpu(1)) == (context, current_context())
        assert cpu(1) == nd.zeros(2).context
        assert cpu(2) == nd.zeros(2, ctx=cpu(2)).context
    assert cpu(0) == current_context()


def test_contexts_are_compared_by_type_and_number() -> None:
    assert (cpu(), gpu(0), cpu_pinned(1)) == (Context("cpu"), Context(gpu()), Context("cpu_pinned", 1))
    assert cpu() != cpu(1)
    assert cpu() != "cpu"
    assert {cpu(): 1} == {cpu(0): 1}
    assert ("gpu", 1, 2, "gpu(1)") == (gpu(1).device_type, gpu(1).device_id, gpu(1).device_typeid, str(gpu(1)))
    assert gpu(3) == pickle.loads(pickle.dumps(gpu(3)))
    assert 0 == num_gpus()
    with pytest.raises(ParameterError, match="device_type='tpu' must be cpu, gpu, cpu_pinned, cpu_shared"):
        Context("tpu")
    with pytest.raises(ParameterError, match=r"ctx='cpu' must be a context \(mx.cpu\(\) is one\)"):
        nd.zeros(2, ctx="cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_pickled_and_copied(image: NDArray, protocol: int) -> None:
    for twin in (pickle.loads(pickle.dumps(image, protocol)), copy.deepcopy(image), copy.copy(image), image.copy()):
        assert (NDArray, values(image)) == (type(twin), values(twin))
        twin[:] = 0
    assert 23 == image.max().asscalar()


def test_an_array_prints_as_in_mxnet() -> None:
    assert "\n[1. 2. 3.]\n<NDArray 3 @cpu(0)>" == repr(nd.array([1, 2, 3])) == str(nd.array([1, 2, 3]))


def test_numpy_takes_an_array_for_one_of_its_own(table: NDArray) -> None:
    assert type(np.asarray(table)) is np.ndarray
    assert np.shares_memory(np.asarray(table), table)
    assert type(np.stack([table, table])) is np.ndarray
    assert 5.5 == np.mean(table)
    assert np.allclose(table, table.asnumpy())
    assert [[0, 1], [4, 5]] == values(np.sqrt(table[0:2] * table[0:2]).slice_axis(1, 0, 2))
    out = np.zeros((3, 4), np.float32)
    np.add(table, 1, out=out)
    assert 78 == out.sum()


def test_an_array_is_a_key_by_its_identity(table: NDArray) -> None:
    assert {table: 1}[table] == 1


# Files.


@pytest.mark.parametrize("named", [False, True])
def test_arrays_are_saved_and_loaded(tmp_path: Path, table: NDArray, image: NDArray, named: bool) -> None:
    path = tmp_path / "arrays.nd"
    nd.save(path, {"t": table, "i": image} if named else [table, image])
    found = nd.load(path)

    if named:
        assert isinstance(found, dict)
        assert ["t", "i"] == list(found)
        found = list(found.values())
    assert [values(table), values(image)] == [values(array) for array in found]
    assert [np.float32, np.uint8] == [array.dtype for array in found]


def test_a_single_array_is_saved_as_a_list_of_one(tmp_path: Path) -> None:
    nd.save(tmp_path / "one.nd", nd.ones(2))
    nd.save(tmp_path / "one.nd", nd.zeros(2))  # a file that exists is replaced

    found = nd.load(tmp_path / "one.nd")
    assert isinstance(found, list)
    assert [[0, 0]] == [values(array) for array in found]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("x", "data must be an NDArray, a list of them, or a dict of text and NDArrays, not str"),
        ([np.ones(2)], "cannot save ndarray under the name None (data is an NDArray, a list of them, or"),
        ({1: nd.ones(2)}, "cannot save NDArray under the name 1 (data is an NDArray, a list of them, or"),
    ],
)
def test_other_data_is_not_saved(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        nd.save(tmp_path / "x.nd", data)
    assert str(caught.value).startswith(message)
    assert [] == list(tmp_path.iterdir())


def test_a_file_of_something_else_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "x.nd"
    path.write_bytes(b"no arrays")
    with pytest.raises(InputError, match=r"x\.nd, byte 0: expected the number 0x112 of an array file"):
        nd.load(path)
    with pytest.raises(InputError, match=r"none\.nd: cannot be read"):
        nd.load(tmp_path / "none.nd")


def test_a_name_that_is_not_there_says_why() -> None:
    with pytest.raises(AttributeError) as caught:
        nd.Convolution  # noqa: B018
    assert "mx.nd has no Convolution: im2rec.mx reads and writes data, it does not train; mx.nd has NDArray," in str(
        caught.value
    )
    with pytest.raises(AttributeError, match=r"did you mean transpose\? mx.nd has NDArray,"):
        nd.tranpose  # noqa: B018
    with pytest.raises(AttributeError, match=r"does not train; mx.nd has NDArray,"):
        nd.log  # noqa: B018 - not a wrong load


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("floor", "numpy.floor takes an NDArray"),
        ("tile", "numpy.tile takes an NDArray"),
        ("softmax", "im2rec.mx reads and writes data, it does not train"),
        ("float64", "im2rec.mx reads and writes data, it does not train"),
        ("clp", "im2rec.mx reads and writes data, it does not train; did you mean clip?"),
    ],
)
def test_a_method_that_is_not_there_says_what_to_use(name: str, reason: str, table: NDArray) -> None:
    assert not hasattr(table, name)
    with pytest.raises(AttributeError) as caught:
        getattr(table, name)
    found = str(caught.value)
    assert found.startswith(f"NDArray has no {name}: {reason}")
    assert "NDArray has T, argmax," in found
    assert ", dtype, " in found
    assert ", _" not in found


def test_names_that_libraries_ask_for_get_the_words_of_python(table: NDArray) -> None:
    for name in ("__cuda_array_interface__", "_values"):
        with pytest.raises(AttributeError, match=f"^'NDArray' object has no attribute '{name}'$"):
            getattr(table, name)


# Sorting and limits.


def test_sort_gives_a_copy_as_mxnet() -> None:
    mixed = nd.array([[3, 1, 2], [9, 7, 8]], dtype="int32")

    assert [[1, 2, 3], [7, 8, 9]] == values(mixed.sort()) == values(nd.sort(mixed))
    assert [[3, 2, 1], [9, 8, 7]] == values(mixed.sort(is_ascend=False))
    assert [[9, 7, 8], [3, 1, 2]] == values(mixed.sort(axis=0, is_ascend=0)) == values(nd.sort(mixed, 0, 0))
    assert [1, 2, 3, 7, 8, 9] == values(mixed.sort(axis=None))
    assert [[3, 1, 2], [9, 7, 8]] == values(mixed)
    assert (NDArray, np.int32) == (type(mixed.sort()), mixed.sort().dtype)
    assert [250, 5, 0] == values(nd.array([5, 0, 250], dtype="uint8").sort(is_ascend=False))


def test_argsort_gives_float32_and_equal_values_keep_their_order() -> None:
    mixed = nd.array([[3, 1, 2], [9, 7, 8]], dtype="int32")

    assert [[1, 2, 0], [1, 2, 0]] == values(mixed.argsort()) == values(nd.argsort(mixed))
    assert [1, 2, 0, 4, 5, 3] == values(mixed.argsort(axis=None))
    assert np.float32 == mixed.argsort().dtype
    descending = mixed.argsort(axis=1, is_ascend=False, dtype="int32")
    assert ([[0, 2, 1], [0, 2, 1]], np.int32) == (values(descending), descending.dtype)
    equal = nd.array([1, 1, 0, 0, 1, 0, float("nan")])
    assert [2, 3, 5, 0, 1, 4, 6] == values(equal.argsort())
    assert [0, 1, 4, 2, 3, 5, 6] == values(equal.argsort(is_ascend=False))
    with pytest.raises(ParameterError, match="dtype=text must be float32"):
        equal.argsort(dtype="text")


def test_clip_has_the_limits_of_mxnet_by_name_and_keeps_the_type() -> None:
    mixed = nd.array([[3, 1, 2], [9, 7, 8]], dtype="int32")

    assert [[3, 2, 2], [8, 7, 8]] == values(mixed.clip(a_min=2, a_max=8)) == values(nd.clip(mixed, 2, 8))
    assert [[2, 1, 2], [2, 2, 2]] == values(nd.clip(data=mixed, a_min=1.5, a_max=2.5))
    assert np.int32 == mixed.clip(2, 8).dtype
    small = nd.array([1, 5, 250], dtype="uint8")
    assert [1, 5, 250] == values(small.clip(-3, 300))
    assert [2, 5, 200] == values(small.clip(2.7, 200.5))
    assert [2, 5, 9] == np.clip(small, 2, 9).tolist()  # NumPy's own

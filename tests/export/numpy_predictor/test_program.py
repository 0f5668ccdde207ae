"""Lines of a program, their names, the formulas that they call and the constants that they hold."""

import keras
import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import activations, formulas
from tfnorm.export.numpy_predictor.program import Code, Program, Value, as_numpy, code, dtype_code

X = Value("x", "int32", (None, 3), mask="x_mask")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("features", ["features", "features_2", "features_3"]),
        ("dense", ["dense_0", "dense_1"]),  # A formula has that name.
        ("class", ["class_0", "class_1"]),
        ("match", ["match_0"]),
        ("len", ["len_0"]),
        ("weights", ["weights_0"]),
        ("tower/dense-1", ["tower_dense_1"]),
        ("1st", ["_1st"]),
        ("größe", ["gr__e", "gr__e_2"]),
    ],
)
def test_a_name_is_like_its_path_and_no_other_s(path, names):
    program = Program()
    assert [program.name(path) for _ in names] == names
    assert all(name.isidentifier() for name in names)


def test_a_numbered_name_that_is_taken_is_passed_over():
    program = Program()
    assert [program.name(path) for path in ("a_2", "a", "a")] == ["a_2", "a", "a_3"]


def test_lines_that_the_result_does_not_need_are_left_out_and_remarks_stay():
    program = Program()
    program.assign("a", "x + 1")
    program.remark("of b")
    program.assign("b", "a * 2")
    program.assign("unread", "a + b")
    program.assign("c", "1")
    assert program.lines("b - c") == ["a = x + 1", "# of b", "b = a * 2", "c = 1"]
    assert program.lines("a") == ["a = x + 1", "# of b"]


def test_a_formula_comes_after_those_that_it_calls_and_once():
    program = Program()
    called = program.call(formulas.dice, X, Code("**w"), epsilon=0.5)
    program.use(activations.silu)
    assert called == "dice(x, **w, epsilon=0.5)"
    assert list(program.formulas) == ["sigmoid", "dice", "silu"]
    assert program.formulas["sigmoid"] is activations.sigmoid


def test_arrays_become_weights_of_the_program_and_others_stay_as_they_are():
    program = Program()
    array, variable = np.ones((2, 1), np.float64), keras.Variable([3.0])
    first, second = program.constant("add", array), program.constant("add", variable)
    assert (str(first), first.dtype, first.shape) == ('w["add"]["constant_1"]', "float64", (2, 1))
    assert (str(second), second.dtype, second.shape) == ('w["add"]["constant_2"]', "float32", (1,))
    np.testing.assert_array_equal(program.weights["add/constant_2"], [3.0])
    for given in (None, 3, "mean", X, [1, 2]):
        assert program.constant("add", given) is given
    assert len(program.weights) == 2


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "None"),
        (True, "True"),
        (-3, "-3"),
        (0.1, "0.1"),
        (np.float64(0.1), "0.1"),
        (np.int32(7), "7"),
        (float("inf"), "np.inf"),
        (float("-inf"), "-np.inf"),
        (float("nan"), "np.nan"),
        (np.float32("-inf"), "-np.inf"),
        (..., "..."),
        ('a "name"', '"a \\"name\\""'),
        (Code("x + 1"), "x + 1"),
        (X, "x"),
        ((1,), "(1,)"),
        ((1, (2, None)), "(1, (2, None))"),
        ([X, 1.5], "[x, 1.5]"),
        (slice(None), ":"),
        (slice(1, -1), "1:-1"),
        (slice(None, None, -2), "::-2"),
    ],
)
def test_a_constant_is_written_as_python_writes_it(value, written):
    assert code(value) == written


def test_what_no_code_can_hold_is_refused():
    with pytest.raises(InputError, match="can't be written as Python code; accepted: numbers"):
        code((1, object()))


def test_a_value_is_cast_where_it_has_another_dtype_and_keeps_its_mask():
    cast = X.cast("float64")
    assert cast == Value("x.astype(np.float64)", "float64", (None, 3), "x_mask")
    assert (X.is_float, cast.is_float) == (False, True)
    assert cast.cast("float64") is cast
    assert str(X.cast("bool")) == "x.astype(bool)"
    assert [dtype_code(dtype) for dtype in ("bool", "int8")] == ["bool", "np.int8"]


def test_what_is_kept_of_an_array_is_a_copy():
    array, variable = np.ones(2), keras.Variable([1.0, 1.0])
    kept = [as_numpy(array), as_numpy(variable)]
    array += 4
    variable.assign([5.0, 5.0])
    assert [(each.tolist(), each.dtype) for each in kept] == [
        ([1.0, 1.0], np.float64),
        ([1.0, 1.0], np.float32),
    ]

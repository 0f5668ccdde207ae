"""How a layer's call is written."""

import keras
import pytest
from export.numpy_predictor.compared import one

from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import to_numpy
from tfnorm.export.numpy_predictor.call import (
    FORMULAS,
    Call,
    check_dtype,
    kind,
    relu,
    result_dtype,
    write,
)
from tfnorm.export.numpy_predictor.program import Program, Value
from tfnorm.layers import Dice


@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize`")
def test_a_quantized_layer_is_refused():
    model = one(keras.layers.Dense(2), 6)
    model.quantize("int8")
    with pytest.raises(InputError, match="quantized to int8"):
        to_numpy(model)


def called(layer, *shape, mask=None, dtype="float32"):
    """A call of a built layer, and the value that it is called with."""
    layer.build((None, *shape))
    return Call(layer, "tower/mine", Program(), mask, (None, *shape)), Value(
        "x", dtype, (None, *shape)
    )


def test_a_formula_is_registered_by_package_and_class():
    assert kind(keras.layers.Dense(1)) == "keras.Dense" and kind(Dice()) == "tfnorm.Dice"
    assert {"keras.Dense", "keras.Add", "tfnorm.Dice"} <= FORMULAS.keys()
    with pytest.raises(InputError, match=r"'conv' \(keras.Conv1D\) has no .*; accepted: keras.Act"):
        write(*called(keras.layers.Conv1D(1, 1, name="conv"), 4, 3))


def test_weights_go_in_by_their_names_and_none_at_all_where_there_are_none():
    call, x = called(keras.layers.Dense(2, use_bias=False), 3)
    assert write(call, x) == 'dense(x, **w["tower/mine"])'
    assert list(call.program.weights) == ["tower/mine/kernel"]
    call, x = called(keras.layers.LayerNormalization(center=False, scale=False, epsilon=0.5), 3)
    assert write(call, x) == "layer_normalization(x, axis=-1, epsilon=0.5)"
    assert call.program.weights == {}


@pytest.mark.parametrize(
    ("layer", "written"),
    [
        (keras.layers.Dense(3), 'dense(x.astype(np.float32), **w["tower/mine"])'),
        (keras.layers.Flatten(), "flatten(x)"),
        (keras.layers.Embedding(9, 2), 'embedding(x, **w["tower/mine"])'),
    ],
    ids=["casts", "keeps", "reads"],
)
def test_integers_are_cast_kept_or_read_as_the_layer_does(layer, written):
    call, x = called(layer, 3, dtype="int32")
    assert write(call, x) == written
    assert result_dtype(layer, [x]) == ("int32" if written == "flatten(x)" else "float32")


def test_a_layer_that_keeps_one_dtype_casts_mixed_ones():
    call, x = called(keras.layers.Identity(), 3)
    call.layer = keras.layers.Concatenate()
    call.mask = [None, None]
    both = [x, Value("n", "int32", (None, 3))]
    assert write(call, both) == "np.concatenate([x, n.astype(np.float32)], axis=-1)"
    assert result_dtype(call.layer, both) == "float32"
    assert result_dtype(call.layer, [both[1]] * 2) == "int32"


def test_an_activation_is_a_function_or_a_layer_with_weights_of_its_own():
    call, _ = called(keras.layers.Dense(3), 3)
    assert call.activated(None, "x") == call.activated(keras.activations.linear, "x") == "x"
    assert call.activated(keras.activations.relu, "x") == "relu(x)"
    dice = Dice(name="gate")
    dice.build((None, 3))
    written = call.activated(dice, "x @ k")
    assert written == 'dice(tower_mine_linear, **w["tower/mine/gate"], epsilon=1e-09)'
    assert call.program.lines(written) == ["tower_mine_linear = x @ k"]
    # Which Keras 3.6 has not.
    after = "celu" if hasattr(keras.activations, "celu") else "elu"
    with pytest.raises(InputError, match=f"has the activation abs, .*; accepted: linear, {after}"):
        call.activated(abs, "x")


def test_half_precision_and_further_arguments_are_refused():
    for dtype in ("float16", "bfloat16"):
        with pytest.raises(InputError, match=f"computes in {dtype}; accepted: float32 and float64"):
            check_dtype(keras.layers.Dense(1), dtype)
    check_dtype(keras.layers.Dense(1), "int8")
    call, x = called(keras.layers.Dense(1), 3)
    with pytest.raises(InputError, match="is called with more than its inputs"):
        write(call, x, x)


def test_a_mask_passes_through_layers_that_support_masks():
    assert called(keras.layers.Dense(1), 3, mask="m")[0].output_mask == "m"
    assert called(keras.layers.Flatten(), 3, mask="m")[0].output_mask is None
    call, _ = called(keras.layers.Dense(1), 3)
    call.set_mask("x != 0")
    assert call.output_mask == "tower_mine_mask"
    assert call.program.lines("tower_mine_mask") == ["tower_mine_mask = x != 0"]
    call.set_mask("m")
    assert call.output_mask == "m"


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ((None, 0.0, 0.0), "relu(x)"),
        ((None, 0.25, 0.0), "leaky_relu(x, negative_slope=0.25)"),
        ((6, 0.0, 0.0), "clipped_relu(x, max_value=6.0)"),
        ((0, 0.0, 0.0), "clipped_relu(x, max_value=0.0)"),
        ((None, 0.5, 1), "clipped_relu(x, negative_slope=0.5, threshold=1.0)"),
    ],
)
def test_relu_is_written_in_the_simplest_form(arguments, written):
    assert relu(Program(), Value("x", "float32", (None,)), *arguments) == written

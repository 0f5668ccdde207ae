"""Requests of candidates whose shapes do not fit each other."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm._tensorflow import session_callable
from tfnorm.export.candidates.request_shapes import checked
from tfnorm.session import SavedModel

INPUTS = {
    "item": tf.TensorSpec([None, None], tf.int32, "item"),
    "tags": tf.TensorSpec([None, None, 2], tf.int32, "tags"),
    "history": tf.TensorSpec([None, None], tf.string, "history"),
}
GOOD = {"item": (2, 3), "tags": (2, 3, 2), "history": (2, 5)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the check in a session, past what compares shapes with the signature before."""
    path = tmp_path_factory.mktemp("checked")
    module = tf.Module()

    def shapes(**features):
        found = checked(features, INPUTS, ["item", "tags"])
        return {name: tf.shape(x) for name, x in found.items()}

    module.shapes = tf.function(shapes, autograph=False)
    tf.saved_model.save(module, str(path), signatures=module.shapes.get_concrete_function(**INPUTS))
    with SavedModel(path) as saved:
        definition = saved.signature_defs["serving_default"]
        outputs = {name: info.name for name, info in definition.outputs.items()}
        called = session_callable(
            saved.session,
            [definition.inputs[name].name for name in GOOD],
            [*outputs.values()],
            one_thread=True,
        )

        def run(**given):
            arrays = {
                name: np.zeros(shape, "i4") if name != "history" else np.full(shape, b"a", object)
                for name, shape in {**GOOD, **given}.items()
            }
            return dict(zip(outputs, called(*(arrays[name] for name in GOOD)), strict=True))

        yield run


@pytest.mark.parametrize("given", [{}, {"item": (1, 0), "tags": (1, 0, 2), "history": (1, 0)}])
def test_shapes_that_fit_pass(run, given):
    assert {name: tuple(shape) for name, shape in run(**given).items()} == {**GOOD, **given}


@pytest.mark.parametrize(
    "given",
    [
        {"history": (3, 5)},
        {"history": (1, 5)},
        {"history": (2, 5, 1)},
        {"history": ()},
        {"item": (2,)},
        {"item": (2, 4)},
        {"tags": (2, 1, 2)},
        {"tags": (2, 3, 3)},
    ],
)
def test_shapes_that_do_not_fit_are_refused_in_a_line_with_all_of_them(run, given):
    with pytest.raises(tf.errors.InvalidArgumentError) as refused:
        run(**given)
    line = next(x for x in str(refused.value).splitlines() if x.startswith("assertion failed"))
    assert "item [users, candidates], tags [users, candidates, 2], history [users, any]" in line
    for name, shape in {**GOOD, **given}.items():
        assert f"[{name}] [{' '.join(map(str, shape))}]" in line

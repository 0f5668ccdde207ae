import keras
import numpy as np
import pytest
import tensorflow as tf
from apart import apart, printed

from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.layers import BatchNormalization, Dice

RNG = np.random.default_rng(0)
X = RNG.normal(1.0, 2.0, (64, 3)).astype(np.float32)

# An export that may write no file of more than 100 kB, which is how a disk fills up in the middle.
EXPORT_IN_LITTLE_SPACE = """
import resource, sys
import keras, numpy as np
from tfnorm.export import export_saved_model

inputs = keras.Input((300,), name="x")
model = keras.Model(inputs, keras.layers.Dense(300)(inputs))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
export_saved_model(model, sys.argv[1], examples={"x": np.zeros((2, 300))})
"""


def normalized(layer):
    inputs = keras.Input((3,), name="x")
    return keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("weight", ["kernel", "gamma", "moving_variance"])
def test_a_weight_that_is_not_finite_is_refused_by_name(tmp_path, weight, value):
    inputs = keras.Input((3,), name="x")
    model = keras.Model(
        inputs, keras.layers.Dense(2, name="out")(BatchNormalization(name="bn")(inputs))
    )
    (bad,) = (w for w in model.weights if w.name == weight)
    values = bad.numpy()
    values.flat[1] = value
    bad.assign(values)
    first = np.argwhere(~np.isfinite(values))[0].tolist()
    with pytest.raises(InputError) as error:
        export_saved_model(model, tmp_path / "ranker")
    assert f"weight '{bad.path}'" in str(error.value)
    assert f"first at {first}" in str(error.value)
    assert not (tmp_path / "ranker").exists()


@pytest.mark.parametrize("kind", [keras.layers.BatchNormalization, BatchNormalization, Dice])
def test_moving_statistics_that_training_never_updated_are_refused_by_name(tmp_path, kind):
    model = normalized(kind(name="pitfall"))
    with pytest.raises(
        InputError, match="the moving statistics of 'pitfall' are as they were made"
    ):
        export_saved_model(model, tmp_path)
    assert export_saved_model(model, tmp_path, allow_untrained_statistics=True).version == 1
    model(X, training=True)
    assert export_saved_model(model, tmp_path).version == 2


@pytest.mark.parametrize("kind", [keras.layers.BatchNormalization, BatchNormalization])
def test_other_initial_statistics_are_told_from_trained_ones(tmp_path, kind):
    layer = kind(
        moving_mean_initializer=keras.initializers.RandomNormal(seed=3),
        moving_variance_initializer=keras.initializers.Constant(4.0),
    )
    model = normalized(layer)
    with pytest.raises(InputError, match="are as they were made"):
        export_saved_model(model, tmp_path)
    layer.moving_variance.assign([1, 1, 1])
    assert export_saved_model(model, tmp_path).version == 1


def test_statistics_of_one_channel_of_constant_data_count_as_trained(tmp_path):
    inputs = keras.Input((1,), name="x")
    layer = BatchNormalization()
    model = keras.Model(inputs, layer(inputs))
    model(np.zeros((8, 1), np.float32), training=True)
    assert export_saved_model(model, tmp_path).version == 1


def test_frozen_layers_with_statistics_are_exported_and_those_without_are_not(tmp_path):
    layer = BatchNormalization(name="frozen")
    model = normalized(layer)
    layer.trainable = False
    model(X, training=True)
    with pytest.raises(InputError, match="'frozen'"):
        export_saved_model(model, tmp_path)
    layer.moving_mean.assign([1, 2, 3])
    assert export_saved_model(model, tmp_path).version == 1


def test_statistics_that_no_score_reads_may_be_untrained(tmp_path):
    class WithAuxiliary(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)
            self.auxiliary = BatchNormalization()

        def call(self, inputs, training=None):
            return self.dense(self.auxiliary(inputs) if training else inputs)

    model = WithAuxiliary()
    model.auxiliary.build((None, 3))
    model(X)
    assert export_saved_model(model, tmp_path).version == 1


def test_a_layer_that_trains_when_it_scores_is_refused_by_name(tmp_path):
    class Leaky(keras.Model):
        def __init__(self):
            super().__init__()
            self.leak = keras.layers.BatchNormalization(name="leak")

        def call(self, inputs):
            return self.leak(inputs, training=True)

    model = Leaky()
    model(X)
    before = model.leak.moving_mean.numpy()
    with pytest.raises(InputError, match=r"/leak_1/Assign.* changes a variable"):
        export_saved_model(model, tmp_path, examples={"x": X})
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(model.leak.moving_mean, before)


def test_dropout_that_is_left_on_is_refused(tmp_path):
    class Noisy(keras.Model):
        def __init__(self):
            super().__init__()
            self.dropout = keras.layers.Dropout(0.5)

        def call(self, inputs):
            return self.dropout(inputs, training=True)

    model = Noisy()
    model(X)
    with pytest.raises(InputError, match="random at inference"):
        export_saved_model(model, tmp_path)


def test_python_inside_the_model_is_refused(tmp_path):
    def python(x):
        return tf.numpy_function(np.sqrt, [x], tf.float32)

    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, keras.layers.Lambda(python, output_shape=(3,))(inputs))
    with pytest.raises(InputError, match=r"\(PyFunc\) runs Python"):
        export_saved_model(model, tmp_path)


def test_examples_that_the_model_can_not_score_are_refused(tmp_path):
    ids = keras.Input((), name="id", dtype="int32")
    model = keras.Model(ids, keras.layers.Embedding(5, 2)(ids))
    with pytest.raises(InputError, match=r"the model can't score the examples: .*9 is not in"):
        export_saved_model(model, tmp_path, examples={"id": np.array([1, 9])})
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_while_weights_are_written_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match=r"no version was added to .*File too large"):
        apart(printed, (EXPORT_IN_LITTLE_SPACE, str(tmp_path / "ranker")))
    assert not list((tmp_path / "ranker").iterdir())

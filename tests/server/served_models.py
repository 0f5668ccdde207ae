"""Small SavedModels, with signatures of every kind."""

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

RECORDS = tf.TensorSpec([None], tf.string, "inputs")


class Everything(tf.Module):
    """Signatures with each kind of dtype, and with one and more inputs and outputs."""

    def __init__(self):
        self.table = tf.Variable(np.arange(30, dtype=np.float32).reshape(10, 3) / 7)
        self.weights = tf.Variable([0.5, -2.0])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def score(self, x):
        return {"score": tf.sigmoid(tf.linalg.matvec(x, self.weights))}

    def expected_score(self, x):
        return 1 / (1 + np.exp(-x.astype(np.float64) @ [0.5, -2.0]))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64, "id"),
            tf.TensorSpec([None, 2], tf.float32, "x"),
        ]
    )
    def embed(self, id, x):
        rows = tf.gather(self.table, id)
        return {"sum": tf.reduce_sum(rows, 1) + tf.reduce_sum(x, 1), "embedding": rows}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def text(self, text):
        return {"text_bytes": tf.strings.join([text, "!"]), "upper": tf.strings.upper(text)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.bool, "flag"),
            tf.TensorSpec([None], tf.int8, "int8"),
            tf.TensorSpec([None], tf.uint8, "uint8"),
            tf.TensorSpec([None], tf.int32, "int32"),
            tf.TensorSpec([None], tf.int64, "int64"),
            tf.TensorSpec([None], tf.uint64, "uint64"),
            tf.TensorSpec([None], tf.float64, "float64"),
        ]
    )
    def echo(self, flag, int8, uint8, int32, int64, uint64, float64):
        return {
            "flag": tf.identity(flag),
            "int8": tf.identity(int8),
            "uint8": tf.identity(uint8),
            "int32": tf.identity(int32),
            "int64": tf.identity(int64),
            "uint64": tf.identity(uint64),
            "float64": tf.identity(float64),
        }

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float16, "half"),
            tf.TensorSpec([None], tf.bfloat16, "brain"),
        ]
    )
    def halves(self, half, brain):
        return {"half": half + 1, "brain": brain + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def reduce(self, x):
        return {"sum": tf.reduce_sum(x), "same": tf.identity(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def to_half(self, x):
        return {"half": tf.cast(x, tf.float16)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, "steps")])
    def slow(self, steps):
        matrix = tf.eye(200)
        for _ in tf.range(steps):
            matrix = tf.matmul(matrix, matrix)
        return {"trace": tf.linalg.trace(matrix)}

    def _records(self, inputs):
        parsed = tf.io.parse_example(
            inputs, {name: tf.io.FixedLenFeature([], tf.float32, 0.0) for name in ("x0", "x1")}
        )
        return self.score(tf.stack([parsed["x0"], parsed["x1"]], 1))["score"]

    @tf.function(input_signature=[RECORDS])
    def regress(self, inputs):
        return {"outputs": self._records(inputs)}

    @tf.function(input_signature=[RECORDS])
    def regress_column(self, inputs):
        return {"outputs": self._records(inputs)[:, None]}

    @tf.function(input_signature=[RECORDS])
    def regress_wide(self, inputs):
        return {"outputs": tf.stack([self._records(inputs)] * 2, 1)}

    @tf.function(input_signature=[RECORDS])
    def regress_double(self, inputs):
        return {"outputs": tf.cast(self._records(inputs), tf.float64)}

    @tf.function(input_signature=[RECORDS])
    def regress_first(self, inputs):
        return {"outputs": self._records(inputs)[:1]}

    @tf.function(input_signature=[RECORDS])
    def regress_other(self, inputs):
        return {"score": self._records(inputs)}

    @tf.function(input_signature=[RECORDS])
    def regress_two(self, inputs):
        score = self._records(inputs)
        return {"outputs": score, "more": score + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "records")])
    def regress_records(self, records):
        return {"outputs": self._records(records)}

    @tf.function(input_signature=[RECORDS])
    def classify(self, inputs):
        score = self._records(inputs)
        labels = tf.tile(tf.constant([["no", "yes"]]), [tf.size(score), 1])
        return {"classes": labels, "scores": tf.stack([1 - score, score], 1)}

    @tf.function(input_signature=[RECORDS])
    def classify_scores(self, inputs):
        return {"scores": self.classify(inputs)["scores"]}

    @tf.function(input_signature=[RECORDS])
    def classify_labels(self, inputs):
        return {"classes": self.classify(inputs)["classes"]}

    @tf.function(input_signature=[RECORDS])
    def classify_flat(self, inputs):
        return {"scores": self._records(inputs)}

    @tf.function(input_signature=[RECORDS])
    def classify_double(self, inputs):
        return {"scores": tf.cast(self.classify(inputs)["scores"], tf.float64)}

    @tf.function(input_signature=[RECORDS])
    def classify_numbers(self, inputs):
        return {"classes": self.classify(inputs)["scores"]}

    @tf.function(input_signature=[RECORDS])
    def classify_first(self, inputs):
        return {"scores": self.classify(inputs)["scores"][:1]}

    @tf.function(input_signature=[RECORDS])
    def classify_uneven(self, inputs):
        found = self.classify(inputs)
        return {"classes": found["classes"][:, :1], "scores": found["scores"]}

    @tf.function(input_signature=[RECORDS])
    def classify_three(self, inputs):
        return {**self.classify(inputs), "more": self._records(inputs)}

    @tf.function(input_signature=[RECORDS])
    def classify_given(self, inputs):
        given = tf.io.parse_example(inputs, {"label": tf.io.FixedLenFeature([], tf.string, "")})
        return {"classes": given["label"][:, None]}

    @tf.function(input_signature=[RECORDS])
    def classify_other(self, inputs):
        return {"score": self._records(inputs)}


class Constant(tf.Module):
    """Scores everything with one value, so that an answer tells which version gave it."""

    def __init__(self, value):
        self.value = tf.Variable(float(value))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def score(self, x):
        return {"score": tf.zeros_like(x) + self.value}


class Scaled(tf.Module):
    """Multiplies by a value, so that an answer tells which version gave it, and for which row."""

    def __init__(self, value):
        self.value = tf.Variable(float(value))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def score(self, x):
        return {"score": x * self.value}


class Hungry(tf.Module):
    """Takes as much memory as it is asked to, for numbers, for strings and within an op."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def double(self, x):
        return {"y": 2 * x}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, "values")])
    def fill(self, values):
        return {"sum": tf.reduce_sum(tf.fill([values], 1.0))}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "text"),
            tf.TensorSpec([], tf.int32, "times"),
        ]
    )
    def repeat(self, text, times):
        return {"length": tf.strings.length(tf.repeat(text, times))[0]}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, "steps")])
    def spin(self, steps):
        value = 0.0
        for _ in tf.range(steps):
            value += 1.0
        return {"value": value}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, "size")])
    def convolve(self, size):
        picture = tf.ones([1, size, size, 1])
        return {"sum": tf.reduce_sum(tf.nn.conv2d(picture, tf.ones([25, 25, 1, 8]), 1, "SAME"))}


ECHOED = (
    *("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "bool", "string", "complex64"),
)


def echo(dtype, output="y"):
    """Gives back what it takes, of any shape."""
    return tf.function(
        lambda x: {output: tf.identity(x)}, input_signature=[tf.TensorSpec(None, dtype, "x")]
    )


def save_hungry(directory):
    """Saves it, with a signature for each of its functions."""
    module = Hungry()
    functions = [module.double, module.fill, module.repeat, module.spin, module.convolve]
    names = ["serving_default", "fill", "repeat", "spin", "convolve"]
    tf.saved_model.save(module, str(directory), signatures=dict(zip(names, functions, strict=True)))


def save_everything(module, directory):
    """Saves `Everything`; those that take records have the methods that TensorFlow Serving wants."""
    names = [
        name
        for name, value in vars(Everything).items()
        if hasattr(value, "get_concrete_function") and name != "score"
    ]
    signatures = {"serving_default": module.score, "defaulted": module.score}
    signatures |= {f"echo_{dtype}": echo(dtype) for dtype in ECHOED}
    signatures["echo_bytes"] = echo("string", "y_bytes")
    tf.saved_model.save(
        module,
        str(directory),
        signatures=signatures | {name: getattr(module, name) for name in names},
    )
    file = directory / "saved_model.pb"
    saved = SavedModel.FromString(file.read_bytes())
    for name, signature in saved.meta_graphs[0].signature_def.items():
        method = name.partition("_")[0]
        if method in ("regress", "classify"):
            signature.method_name = f"tensorflow/serving/{method}"
        if name == "defaulted":
            signature.defaults["x"].CopyFrom(tf.make_tensor_proto([[0.0, 0.0]], tf.float32))
    file.write_bytes(saved.SerializeToString())


BREAKS = (
    *("input", "output", "no name", "dtype", "no dtype", "main op", "op", "tags", "variables"),
    "bytes",
)


def break_version(path, how):
    """Damages a copy of a SavedModel: what its signature or its main op names is not there, ..."""
    file = path / "saved_model.pb"
    saved = SavedModel.FromString(file.read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    if how == "input":
        signatures["serving_default"].inputs["x"].name = "nowhere:0"
    elif how == "output":
        signatures["serving_default"].outputs["score"].name = "StatefulPartitionedCall:7"
    elif how == "no name":
        signatures["serving_default"].inputs["x"].ClearField("name")
    elif how == "dtype":
        signatures["serving_default"].inputs["x"].dtype = tf.int64.as_datatype_enum
    elif how == "no dtype":
        signatures["serving_default"].inputs["x"].dtype = 12345
    elif how == "main op":
        for output in signatures["__saved_model_init_op"].outputs.values():
            output.name = "nowhere"
    elif how == "op":
        saved.meta_graphs[0].graph_def.node.add(name="strange", op="NoSuchOp")
    elif how == "tags":
        saved.meta_graphs[0].meta_info_def.tags[:] = ["train"]
    elif how == "variables":
        (path / "variables" / "variables.index").unlink()
    file.write_bytes(saved.SerializeToString() if how != "bytes" else b"damaged")

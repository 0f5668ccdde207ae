"""Whether the shapes of a request of candidates fit each other, told in one line by whatever serves it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import tensorflow as tf

from tfnorm.session import CANDIDATES

_MOST_AXES = 9


def checked(
    features: Mapping[str, tf.Tensor],
    inputs: Mapping[str, tf.TensorSpec],
    candidates: Collection[str],
) -> dict[str, tf.Tensor]:
    """The features, behind an op that refuses the request unless their shapes fit each other.

    TensorFlow Serving compares names and dtypes with the signature, and no shapes.

    Args:
        features: input name -> value.
        inputs: dtype and shape of each, `[users, candidates, ...]` of the candidates', else `[users, ...]`.
        candidates: the inputs of candidates.
    """
    # By the raw ops, as the shapes that a request has may not be those that are declared.
    shapes = {name: tf.raw_ops.Shape(input=x) for name, x in features.items()}
    first = _leading(shapes[next(iter(candidates))], 2)
    conditions, taken = [], []
    for name, spec in inputs.items():
        common = 2 if name in candidates else 1
        conditions += [
            tf.equal(tf.raw_ops.Rank(input=features[name]), spec.shape.rank),
            tf.reduce_all(tf.equal(_leading(shapes[name], common), first[:common])),
        ]
        sizes = [n or -1 for n in spec.shape[common:]]
        own = _leading(shapes[name], spec.shape.rank)[common:]
        conditions += [tf.reduce_all(tf.equal(own, sizes) | tf.less(sizes, 0))] if sizes else []
        axes = ["users", "candidates"][:common] + [str(n or "any") for n in spec.shape[common:]]
        taken.append(f"{name} [{', '.join(axes)}]")
    said: list[object] = [f"signature {CANDIDATES} takes {', '.join(taken)}; the request has"]
    for name, shape in shapes.items():
        said += [name, shape]
    fits = tf.reduce_all(tf.stack(conditions))
    with tf.control_dependencies([tf.debugging.Assert(fits, said, summarize=_MOST_AXES)]):
        return {name: tf.identity(x) for name, x in features.items()}


def _leading(shape: tf.Tensor, count: int) -> tf.Tensor:
    """The first sizes of a shape; -1 where it has fewer."""
    return tf.concat([shape, [-1] * count], axis=0)[:count]

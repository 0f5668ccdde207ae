"""Population statistics in the place of moving averages."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from tfnorm.errors import InputError
from tfnorm.statistics.moves import Before, Recalibration
from tfnorm.statistics.observation.batches import Batches, Dataset
from tfnorm.statistics.observation.moving import (
    Population,
    assign,
    moving_variables,
    read,
    variance,
)
from tfnorm.statistics.observation.observe import Observer
from tfnorm.statistics.progress import progress_bar

PATIENCE = 100
"""Passes that a layer that feeds itself has to settle, beyond those that others need."""

SETTLED = 1e-6
"""Standard deviations, and share of the variance: a move this small is rounding."""

FLOAT32_STEP = float(np.finfo(np.float32).eps)


def recalibrate_statistics(
    model: keras.Model, dataset: Dataset, steps: int | None = None
) -> Recalibration:
    """Make a model's moving statistics exact: those of a whole dataset, not of the last batches.

        mu = sum(x) / m,    var = sum((x - mu)^2) / m

    over all values x of a channel that a layer is given in inference, m of them; m - 1 for m in the
    variance where the layer has `unbiased_variance`. It takes in every tfnorm.BatchNormalization,
    tfnorm.Dice and keras.layers.BatchNormalization at any depth. A layer that is called several
    times has the values of all its calls; positions that a mask leaves out don't count.

    What a layer is given depends on the statistics of the layers before it, so the dataset is run
    through several times, a batch in memory at a time: pass k makes those exact that have k - 1 such
    layers one after the other before them. There are as many passes as layers in the longest such row,
    however many stand beside each other; which depends on which is read from the graphs that the model is
    traced to. A model that runs eagerly (`run_eagerly=True`), and one that calls a layer from Python in
    the middle of a run (`tf.py_function`), has none: each layer is then taken to depend on all that are
    called before it, and the last pass is that in which none moves any more. The dataset should have the
    same examples in each pass, in any order. Where they are drawn at random, each layer gets the
    statistics of a draw of its own.

    A frozen layer (`trainable=False`) keeps its statistics: it normalized by them in training too,
    so the weights after it are fitted to them, not to the data's. Set `trainable` to recalibrate
    it. A layer that is not called in inference keeps its own as well, as does a channel without
    values.

    With `renorm` the moving standard deviation and both statistics of renorm are set to the same
    population. With `momentum=None` or `momentum_warmup` the number of updates becomes the number
    of calls that the statistics come from, so that training can go on from them.

    Whatever stops it, Ctrl-C and errors of the dataset too, the model is left as it was.

    Args:
        model: a built model; it need not be compiled. It is called with `training=False`.
        dataset: batches of x, (x, y) or (x, y, sample_weight), as `keras.Model.predict` takes them:
            a `tf.data.Dataset`, a `keras.utils.PyDataset`, a list, a function that gives an iterator
            anew for each pass, a generator (which is kept in memory, as it can be run through only
            once). Or all examples: an array, or arrays by name. Labels and weights are not used.
        steps: batches to take at most; None for all.

    Returns:
        The names of the recalibrated layers, each after those of the models and layers around it,
        in the order in which the model calls them: a list, which also has `examples` (how many there
        were), `passes`, `moves` (what each layer's statistics moved by) and `standard_error` (how far the
        examples decide: that of the worst mean, in standard deviations). `print` says it in a line.

    Raises:
        InputError: the model is not built or has no such layer (or only frozen ones, or none that
            is called), the dataset is empty or endless, the model refuses a batch, the inputs of a
            layer are not finite, or a layer that feeds itself doesn't settle.

    Example:

        >>> model = keras.Sequential([keras.Input((1,)), BatchNormalization(name="bn")])
        >>> done = recalibrate_statistics(model, [np.array([[1.0], [3.0]]), np.array([[8.0]])])
        >>> list(done), done.examples, done.passes
        (['bn'], 3, 1)
        >>> model.get_layer("bn").moving_mean.numpy().tolist()
        [4.0]

    Reference:
        Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167, algorithm 2; Wu and Johnson,
        2021, https://arxiv.org/abs/2105.07576, section 3, on what moving averages get wrong.
    """
    observer = Observer(model, training=False)
    targets = [layer for layer in observer.layers if layer.trainable]
    if not targets:
        raise InputError(
            f"all layers with moving statistics in model {model.name!r} are frozen "
            "(trainable=False); set trainable=True on those to recalibrate"
        )
    batches = Batches(dataset, steps)
    batches.keep()
    kept = [(v, v.numpy()) for layer in targets for v in moving_variables(layer)]
    before = {layer: Before(layer) for layer in targets}
    try:
        errors, passes = _settle(observer, targets, batches)
    except BaseException:
        for variable, value in kept:
            variable.assign(value)
        raise
    moves = [before[layer].move(observer.names[layer], error) for layer, error in errors.items()]
    return Recalibration(moves, observer.examples, passes)


def _settle(
    observer: Observer, targets: list[keras.layers.Layer], batches: Batches
) -> tuple[dict[keras.layers.Layer, np.ndarray], int]:
    """Pass over the batches until the statistics are those that a pass finds.

    Returns:
        The standard errors of the means of each layer that is called, and how many passes it took.
    """
    errors: dict[keras.layers.Layer, np.ndarray] = {}
    number, of = 0, ""
    while True:
        number += 1
        with progress_bar(batches.count()) as start:
            found = observer.populations(batches, start(f"pass {number}{of}"))
        reached = {
            layer: population
            for layer, population in found.items()
            if layer in targets and population.count.any()
        }
        if not reached:
            raise InputError(
                f"no layer with moving statistics in model {observer.model.name!r} was given a "
                "value: the batches are empty, or no such layer is called in inference"
            )
        levels = _levels(observer.upstream(reached))
        moved = [layer for layer, population in reached.items() if _moves(layer, population)]
        # What is given to a layer of level k is right once those of the levels before it are.
        exact = [x for x in reached if not moved or levels is None or levels[x] == number]
        for layer in exact:
            _check_finite(observer, layer, reached[layer])
            assign(layer, reached[layer])
            errors[layer] = observer.standard_error(layer)
        if levels is not None:
            last = max(levels.values())
        else:
            last = len(reached) + (PATIENCE if observer.called_again else 0)
        if not moved or (number >= last and not (levels is None and observer.called_again)):
            return {layer: errors[layer] for layer in reached}, number
        if number >= last:
            raise InputError(
                f"the statistics of layer {observer.names[moved[0]]!r} don't settle in {number} passes: "
                "the model calls a layer several times, which feeds itself or is given other values "
                "in each pass; give a dataset that stays the same"
            )
        of = f" of {last}" if levels is not None else f" of {last} at most"


def _levels(
    upstream: Mapping[keras.layers.Layer, frozenset[keras.layers.Layer]] | None,
) -> dict[keras.layers.Layer, int] | None:
    """How many layers, itself and one above the other, each depends on; None where one feeds itself."""
    if upstream is None:
        return None
    levels: dict[keras.layers.Layer, int] = {}
    while len(levels) < len(upstream):
        ready = [x for x, above in upstream.items() if x not in levels and above <= levels.keys()]
        if not ready:
            return None
        levels |= dict.fromkeys(ready, 1 + max(levels.values(), default=0))
    return levels


def _moves(layer: keras.layers.Layer, population: Population) -> bool:
    """Whether the population's statistics are others than the layer's by more than rounding."""
    mean, moving_variance = read(layer.moving_mean), read(layer.moving_variance)
    rounding = SETTLED * np.sqrt(moving_variance) + FLOAT32_STEP * np.abs(mean)
    still = np.abs(population.mean - mean) <= rounding
    still &= np.abs(variance(layer, population) - moving_variance) <= SETTLED * moving_variance
    return not np.all(still | (population.count == 0))


def _check_finite(observer: Observer, layer: keras.layers.Layer, population: Population) -> None:
    most = np.finfo(layer.moving_mean.dtype).max
    broken = ~(np.abs(population.mean) <= most) | ~(variance(layer, population) <= most)
    if broken.any():
        raise InputError(
            f"the inputs of layer {observer.names[layer]!r} are not finite in {broken.sum()} of its "
            f"{broken.size} channels; look for NaN or infinite values in the dataset or in the "
            "model's weights"
        )

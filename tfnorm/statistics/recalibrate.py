"""Population statistics in the place of moving averages."""

from __future__ import annotations

import keras

from tfnorm.statistics.moves import Recalibration
from tfnorm.statistics.observation.batches import Batches, Dataset
from tfnorm.statistics.observation.observe import Observer
from tfnorm.statistics.progress import progress_bar
from tfnorm.statistics.recalibrator import Recalibrator


def recalibrate_statistics(
    model: keras.Model, dataset: Dataset, steps: int | None = None
) -> Recalibration:
    """Make a model's moving statistics exact: those of a whole dataset, not of the last batches.

        mu = sum(x) / m,    var = sum((x - mu)^2) / m

    over all m values x that a layer is given in inference for a channel; where the layer has
    `unbiased_variance`, the variance is divided by m - 1. This is done for every tfnorm.BatchNormalization,
    tfnorm.Dice and keras.layers.BatchNormalization, at any depth. For a layer that is called several times,
    the values of all its calls count; positions that a mask leaves out don't.

    The inputs of a layer depend on the statistics of the layers before it, so the dataset is read in
    several passes, with one batch in memory at a time. Pass k makes the layers exact that have k - 1 such
    layers in a row before them. So there are as many passes as layers in the longest such row, however many
    layers stand beside each other. Which layer depends on which is read from the graphs that the model is
    traced to. A model that runs eagerly (`run_eagerly=True`), or that calls a layer from Python in the
    middle of a run (`tf.py_function`), has no such graph: each layer is then taken to depend on all layers
    called before it, and the passes end when no statistic moves any more. The dataset should have the same
    examples in each pass, in any order. Where they are drawn at random, each layer gets the statistics of a
    draw of its own.

    A frozen layer (`trainable=False`) keeps its statistics: it normalized by them in training too,
    so the weights after it are fitted to them, not to the data's. Set `trainable` to recalibrate
    it. A layer that is not called in inference keeps its own as well, as does a channel without
    values.

    With `renorm` the moving standard deviation and both statistics of renorm are set to the same
    population. With `momentum=None` or `momentum_warmup` the number of updates becomes the number
    of calls that the statistics come from, so that training can go on from them.

    If anything stops it, even Ctrl-C or an error of the dataset, the model is left as it was.

    Args:
        model: a built model; it need not be compiled. It is called with `training=False`.
        dataset: batches of x, (x, y) or (x, y, sample_weight), as `keras.Model.predict` takes them:
            a `tf.data.Dataset`, a `keras.utils.PyDataset`, a list, a function that returns a new iterator
            for each pass, or a generator (whose batches are kept in memory, as it can be read only once).
            Or all examples at once: an array, or arrays by name. Labels and weights are not used.
        steps: how many batches to take at most; None for all.

    Returns:
        The names of the recalibrated layers, each after those of the models and layers around it,
        in the order in which the model calls them: a list, which also has `examples` (how many there were),
        `passes`, `moves` (how far each layer's statistics moved) and `standard_error` (of the least certain
        mean, in standard deviations of its channel). `print` shows all this in a line.

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
    observer = Observer(model)
    recalibrator = Recalibrator(model)
    batches = Batches(dataset, steps)
    batches.keep()
    try:
        while recalibrator.done is None:
            with progress_bar(batches.count()) as start:
                found = observer.observe(batches, advance=start(recalibrator.label))
            recalibrator.take(found)
    except BaseException:
        recalibrator.undo()
        raise
    return recalibrator.done

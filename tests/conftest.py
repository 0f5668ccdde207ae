"""The longest tests come first, and garbage is collected module by module.

TensorFlow and Keras are half a million objects, which every full collection would visit. They are set apart,
and full collections come when a module is done, not by chance.

What made a worker grow was looked for in what is left after a full collection:

- The graphs were held by TensorFlow's registry of gradients, which keeps each trace of a function with a
  `tf.custom_gradient`, and the whole graph around it, for as long as the process lives. tfnorm's layers now
  let go of theirs (`tfnorm._tensorflow.custom_gradient`), and then a full collection frees the graphs.
- What XLA has compiled is TensorFlow's until the process ends, whatever becomes of the function: half a
  megabyte for a few ops, two or three for a layer's training step or for a model's `fit`, which is compiled
  by default. Nothing but a new process frees it, and it is most of what a worker grows by.
"""

import gc
import os
import tempfile

import pytest


def pytest_configure(config):
    """What is exported for several processes that run tests has one folder, deleted with the first."""
    if not hasattr(config, "workerinput"):
        exports = tempfile.TemporaryDirectory(prefix="exports-")
        os.environ["TESTS_EXPORTS"] = exports.name
        config.add_cleanup(exports.cleanup)


def pytest_collection_modifyitems(items):
    """A notebook that came last would leave one worker with nothing to do."""
    items.sort(key=lambda item: item.path.parent.name != "notebooks")


def pytest_collection_finish():
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 1_000_000)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """When the module's fixtures are gone. What is left then stays, and is looked through no more."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def optimizers_with_variables():
    """An optimizer that makes its variables in the first step has Keras trace that step twice.

    Where a test has not made them, they are made before `fit`: of what is traced nothing else changes.
    """
    # The process that hands out the tests runs none, and needs neither.
    import keras
    import tensorflow as tf

    fit = keras.Model.fit

    def fitted(model, *arguments, **options):
        eager = model.run_eagerly or tf.config.functions_run_eagerly()
        if model.built and not (model.optimizer.built or eager):
            with model.distribute_strategy.scope():
                model.optimizer.build(model.trainable_variables)
        return fit(model, *arguments, **options)

    keras.Model.fit = fitted
    yield
    keras.Model.fit = fit

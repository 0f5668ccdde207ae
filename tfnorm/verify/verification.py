"""Score the same examples in many batch compositions, and compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.drawn import random_examples
from tfnorm.examples.load import Examples, Loaded, load
from tfnorm.examples.spread import LIMIT
from tfnorm.reports.provenance import Stopwatch
from tfnorm.scorers.candidates import by_candidate, takes_users_once
from tfnorm.scorers.inputs import constant
from tfnorm.scorers.load import load_scorer
from tfnorm.scorers.scorer import BareScorer, Fed, Scorer, completed
from tfnorm.scorers.servers.connection import Connection
from tfnorm.verify.compositions.budget import SECONDS, Budget
from tfnorm.verify.judgement.tolerance import ATOL, RTOL, Tolerance
from tfnorm.verify.report.report import InvarianceReport, Undecided
from tfnorm.verify.request import Request
from tfnorm.verify.run import run
from tfnorm.verify.statistics.look import judgement


def verify_batch_invariance(
    target: keras.Model | str | Path | BareScorer,
    examples: Examples | None = None,
    *,
    batch_sizes: Sequence[int] | None = None,
    atol: float = ATOL,
    rtol: float = RTOL,
    bitwise: bool = False,
    seed: int = 0,
    signature: str | None = None,
    labels: np.ndarray | None = None,
    allowed_batch_sizes: Sequence[int] = (),
    unpadded: Sequence[str] = (),
    against: keras.Model | str | Path | BareScorer | None = None,
    outputs: Mapping[str, str] | None = None,
    connection: Connection | None = None,
    limit: int | None = LIMIT,
    random: int | None = None,
    feed: Mapping[str, object] | None = None,
    allow_misfit_statistics: bool = False,
    budget: float = SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> InvarianceReport:
    """Find out whether an example's score depends on the batch in which it arrives.

    The examples are scored one at a time, and then in batches of many sizes, in other orders and places,
    among copies and extreme neighbours, with longer padding, and again. If a value moves, three rules
    decide whether that is rounding or a dependence:

    - At the same place of a batch of the same size, among other neighbours, the same kernels run: a value
      that moves by more than 4 epsilons depends on the neighbours. These grow to 1,000 times what they
      were, so that a dependence far below an epsilon shows. Where shapes inside the model differ, as where
      other rows are sent to an expert, a value may move as at another batch size.
    - At another batch size kernels round differently. There a value may move as far as
      `|moved - alone| <= atol * max(1, scale) + rtol * |alone|`, where scale is the median magnitude of that
      number of the output over the examples. But it depends on the batch if 95% of 16 or more different
      examples move the same way, by 4 epsilons on average.
    - Beyond that, as long as neighbours alone move nothing, a value may move by 256 epsilons, as in deep
      models. It may move by 32 epsilons in a model that computes in 16 bits (64 if its scores have 16 bits
      too), on a GPU that rounds factors to 10 bits, and behind a server that scores differently than its
      model on this machine does, or whose model is not given.

    Integers, booleans and strings may not move. NaN equals NaN. If nothing moves, but an output is the same
    for all examples, or is not finite for any example, as a whole or at some place, nothing can be told. One
    that by the graph depends on no input may be the same for all, beside another that is not.

    The means and variances that a Keras model or a SavedModel normalizes with are compared with those of
    the examples, as the export does. A model whose statistics are off does not pass.

    Args:
        target: what `load_scorer` takes, or a scorer.
        examples: arrays by input name, `[examples, ...]`, two or more examples; one array for a
            model of one input; or a file: an `.npz` of arrays, JSON lines (TensorFlow Serving's
            `instances`), Parquet, CSV, a TFRecord of tf.Example or of TensorFlow Serving's PredictionLog,
            whose requests are scored in their batches. None for those that an export keeps beside the
            model; those of `against` come before those of the target.
        batch_sizes: the batch sizes to try, 2 or more each; None for 2, 3, 7, 8, 16, 31, 32, 64, 100, 256
            and all examples at once, and one batch of each size around the powers of two.
        atol: absolute tolerance, 1e-6 by default; a wider one widens all bounds alike.
        rtol: relative tolerance, 1e-5 by default; likewise.
        bitwise: asks for identical bits instead.
        seed: decides the shuffles, and the examples that are drawn.
        signature: the name of a signature of a SavedModel or a server; None for "serving_default". With a
            signature that takes each user once and many candidates, it is the candidates that are verified:
            those of all examples, for 4 users of the examples at once, must score the same whatever
            candidates are beside them, and as they do in `against`, or else in "serving_default".
        labels: `[examples]`, above 0.5 for the positive ones; the report then has the AUC by batch size.
            None to take the array "labels" of the examples, if there is one and it is no input.
        allowed_batch_sizes: the batch sizes that the server pads to (its `allowed_batch_sizes`); no larger
            batch is tried.
        unpadded: inputs whose zeros (or empty strings) at the end are values and not padding, so that no
            longer padding is tried for them.
        against: another model whose scores the target's should be equal to, for the examples one at a time;
            it may take other inputs and give other outputs, and is asked the same signature if it has it.
            The report's `parity` says how far they are apart, and what that means for rankings, or is None.
        outputs: output name -> the output of the other model that it is compared with. None to compare
            outputs of the same name or, if there is none, two single outputs whatever their names.
        connection: how to reach a server; None for the defaults.
        limit: how many examples to score at most, 4,096 by default; of more, that many are taken, evenly
            spread; None for all.
        random: how many examples to draw from the signature, in the place of `examples`; None to draw none.
        feed: input name -> a value that it is given in every batch, such as `{"keep_prob": 1.0}`, for
            inputs that are no part of an example; an input that has a row for each example gets it in each.
            `against` is given it too. None for none. Inputs that have a default in the signature, or in
            its graph, need none.
        allow_misfit_statistics: let a model pass whose statistics are not those of the examples.
        budget: the seconds that scoring may take after the first batch, 30 by default; inf for no bound. As
            many examples are scored as there is time for, but at least 32, or 4 where even the most telling
            compositions of 32 would take too long. The most telling compositions come first, and the report
            lists what there was no time for.
        progress: called with the rows scored so far and the rows there are; None to call nothing.

    Returns:
        The report; `passed` is the answer.

    Raises:
        Undecided: nothing moved, but that tells nothing: the scores of these examples would not show it,
            the target refuses batches that it should take, or the budget was too small. Its `report` has
            what is known.
        InputError: the target or the examples can't be used, or the target stops answering (the message
            says how far it came).

    Example:

        >>> model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])
        >>> verify_batch_invariance(model, {"x": np.eye(3, dtype=np.float32)}).passed
        True
    """
    watch = Stopwatch()
    _check(batch_sizes, allowed_batch_sizes, atol, rtol, seed, limit)
    if not budget > 0:
        raise InputError(f"budget is {budget!r}; accepted: seconds, more than 0")
    if random is not None and examples is not None:
        raise InputError("both examples and random were given; accepted: one of them")
    if outputs and against is None:
        raise InputError("output names another model's outputs; it needs against, that model")
    with ExitStack() as opened:
        scorer = opened.enter_context(_opened(target, signature, connection))
        by_user = scorer if takes_users_once(scorer, examples) else None
        if by_user is not None:
            signature, scorer = None, opened.enter_context(_opened(target, None, connection))
        local = None if against is None else _opened_other(opened, against, signature, connection)
        constants, columns = _constants(feed or {}, scorer)
        both = scorer, local
        scorer, local = _fed(*both, {**constants, **columns})
        _check_unpadded(unpadded, scorer)
        if random is not None:
            examples = random_examples(scorer, random, seed, local)
        elif examples is None and local is not None:
            examples = local.kept_examples or scorer.kept_examples
        loaded, of_other = _loaded(examples, scorer, local, limit)
        if columns:
            loaded = _with_columns(loaded, columns)
            scorer, local = _fed(*both, constants)
            if of_other is not None and local is not None:
                taken = columns.keys() & (local.inputs or columns).keys()
                of_other = _with_columns(of_other, {name: columns[name] for name in taken})
        if labels is None:
            labels = loaded.labels
        elif loaded.given != len(next(iter(loaded.rows.values()))):
            raise InputError(
                f"labels were given separately, but only some of {loaded.given:,} examples are scored; "
                'put them beside the examples, named "labels", or raise the limit'
            )
        given, of_rows = loaded.rows, scorer
        if by_user is not None:
            by_user, _ = _fed(by_user, None, constants)
            scorer, local, shown = by_candidate(by_user, local or scorer, given)
            loaded, labels = replace(loaded, rows=shown, labels=None, requests=[]), None
        request = Request(
            scorer,
            local,
            loaded,
            Tolerance(atol, rtol, bitwise),
            labels,
            batch_sizes,
            allowed_batch_sizes,
            unpadded,
            int(seed),
            Budget(budget),
            outputs or {},
            None if of_other is None else of_other.rows,
        )
        undecided = None
        try:
            report = run(request, progress)
        except Undecided as error:
            report, undecided = error.report, error
        same = all(result.passed for result in report.compositions if result.kind == "parity")
        models = [scorer, local] if local is not None and same else [scorer]
        # Of as many examples as there was time for.
        rows = request.of(report.examples).examples.rows if random is None else None
        if by_user is not None:
            models, rows = [of_rows], given if random is None else None
        named = isinstance(examples, str | Path)
        own = examples is None or (named and Path(str(examples)) == scorer.kept_examples)
        fit, unknown = judgement(models, rows, "the examples were drawn at random", own=own)
        report = replace(
            report,
            statistics=fit,
            statistics_unknown=unknown,
            allow_misfit_statistics=allow_misfit_statistics,
            provenance=watch.provenance({"model": scorer, "against": local}, loaded.rows),
        )
        if report.misfit:
            return replace(report, passed=False)
        if undecided is not None:
            raise Undecided(str(undecided), report) from undecided
        return report


def _check(
    batch_sizes: Sequence[int] | None,
    allowed: Sequence[int],
    atol: float,
    rtol: float,
    seed: int,
    limit: int | None,
) -> None:
    for name, sizes, fewest, smallest in (
        ("batch_sizes", batch_sizes, 1, 2),
        ("allowed_batch_sizes", allowed, 0, 1),
    ):
        if sizes is None:
            continue
        whole = [size for size in sizes if isinstance(size, int | np.integer)]
        if not (
            len(whole) == len(sizes) >= fewest
            and min(whole, default=2) >= smallest
            and max(whole, default=2) >= 2
        ):
            raise InputError(f"{name} is {sizes!r}; accepted: whole numbers, 2 or more each")
    for name, value in (("atol", atol), ("rtol", rtol)):
        if not 0 <= value < math.inf:
            raise InputError(f"{name} is {value!r}; accepted: 0 or more")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed!r}; accepted: a whole number, 0 or more")
    if limit is not None and limit < 2:
        raise InputError(f"limit is {limit!r}; accepted: 2 or more, or None for all examples")


def _constants(
    feed: Mapping[str, object], scorer: Scorer
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What inputs are in every batch, and what they are in every row, of those that have a row an example."""
    given = {name: constant(name, value, scorer.inputs) for name, value in feed.items()}
    inputs = scorer.inputs or {}
    rows = {
        name: value
        for name, value in given.items()
        if name in inputs and not inputs[name].shape.is_compatible_with(value.shape)
    }
    return {name: value for name, value in given.items() if name not in rows}, rows


def _fed(
    scorer: Scorer, local: Scorer | None, constants: Mapping[str, np.ndarray]
) -> tuple[Scorer, Scorer | None]:
    """The two with what is given in every batch; the model on this machine may lack such an input."""
    if not constants:
        return scorer, local
    fed = Fed(scorer, constants)
    if fed.inputs is not None and not fed.inputs:
        raise InputError(
            f"feed gives every input of {scorer.name}; accepted: all but the examples'"
        )
    if local is None:
        return fed, None
    taken = constants.keys() if local.inputs is None else constants.keys() & local.inputs.keys()
    return fed, Fed(local, {name: constants[name] for name in taken})


def _with_columns(loaded: Loaded, columns: Mapping[str, np.ndarray]) -> Loaded:
    count = len(next(iter(loaded.rows.values())))
    repeated = {name: np.repeat(value[None], count, axis=0) for name, value in columns.items()}
    return replace(loaded, rows={**loaded.rows, **repeated})


def _check_unpadded(unpadded: Sequence[str], scorer: Scorer) -> None:
    inputs = list(scorer.inputs or ())
    if scorer.inputs is not None and (unknown := [n for n in unpadded if n not in inputs]):
        raise InputError(
            f"unpadded names {', '.join(map(repr, unknown))}, which is no input; "
            f"accepted: {', '.join(map(repr, inputs))}"
        )


@contextmanager
def _opened(
    target: keras.Model | str | Path | BareScorer,
    signature: str | None,
    connection: Connection | None,
) -> Iterator[Scorer]:
    """The scorer itself, or one of the target that is closed at the end."""
    if isinstance(target, BareScorer):
        if signature is not None:
            raise InputError(
                f"signature {signature!r} was given, but {target.name} has chosen its own"
            )
        yield completed(target)
        return
    with closing(load_scorer(target, signature=signature, connection=connection)) as scorer:
        yield scorer


def _opened_other(
    stack: ExitStack,
    against: keras.Model | str | Path | BareScorer,
    signature: str | None,
    connection: Connection | None,
) -> Scorer:
    """The other by the same signature or, where it has none of that name, by its own default."""
    try:
        return stack.enter_context(_opened(against, signature, connection))
    except InputError:
        if signature is None:
            raise
        return stack.enter_context(_opened(against, None, connection))


def _loaded(
    examples: Examples | None, scorer: Scorer, other: Scorer | None, limit: int | None
) -> tuple[Loaded, Loaded | None]:
    """The examples as the model takes them, and as the other does where it takes other inputs."""
    ours = scorer.inputs
    theirs = None if other is None else other.inputs
    if ours is None or theirs is None or other is None or _types(ours) == _types(theirs):
        return load(examples, scorer, limit), None
    loaded = load(examples, scorer, limit, unread=theirs.keys() - ours.keys())
    return loaded, load(examples, other, limit, unread=ours.keys() - theirs.keys())


def _types(inputs: Mapping[str, tf.TensorSpec]) -> dict[str, tf.DType]:
    return {name: spec.dtype for name, spec in inputs.items()}

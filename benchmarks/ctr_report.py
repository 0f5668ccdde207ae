"""The tables and plots of what `ctr.py` has trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from ctr_grid import BATCH_SIZES, CATEGORIES, MODELS, OPTIMIZERS, WATCHED, Training, trainings

COLOURS = {"Dice": "tab:blue", "Dice, batch statistics": "tab:red", "PReLU": "tab:green"}


def tables(lines: list[dict]) -> str:
    """Everything that is known, in Markdown."""
    return "\n".join(
        [
            *header(lines),
            *readme_table(lines),
            *optimizers_table(lines),
            *figure_tables(lines),
            *sizes_table(lines),
        ]
    )


def header(lines: list[dict]) -> Iterator[str]:
    there = [Training(**line["training"]) for line in lines]
    missing = [t for t in dict.fromkeys(trainings()) if t not in there]
    yield "# AUC by model, pitfall and batch size"
    yield ""
    yield (
        f"{len(there)} trainings; 2 epochs on Beauty, 1 on Toys_and_Games; batches of 256, a learning rate "
        "of 1e-3."
    )
    yield "Mean ± standard deviation over the seeds. Made with:"
    yield ""
    yield from sorted({f"    {line['command']}" for line in lines})
    yield "    python benchmarks/ctr.py report"
    yield ""
    for package_versions in {json.dumps(line["versions"]) for line in lines}:
        yield "Versions: " + ", ".join(f"{k} {v}" for k, v in json.loads(package_versions).items())
    moves = max(line["largest_move"] for line in lines)
    yield ""
    yield (
        f"No right model moves a score by more than {moves:.1e} between batches of "
        f"{', '.join(map(str, BATCH_SIZES))} ({WATCHED} examples, every training)."
    )
    if missing:
        yield ""
        yield "Not run:"
        yield ""
        yield from grouped(missing)


def grouped(missing: list[Training]) -> Iterator[str]:
    """What they are, with the seeds of the same together."""
    seeds: dict[Training, list[str]] = {}
    for training in missing:
        seeds.setdefault(replace(training, seed=0), []).append(str(training.seed))
    for training, those in seeds.items():
        activation = "Dice" if training.activation == "dice" else "PReLU"
        normalized = "with" if training.batch_normalization else "without"
        yield (
            f"- {training.model} on {training.category}, {activation} {normalized} "
            f"BatchNormalization, embeddings of {training.embedding_size}, "
            f"{OPTIMIZERS[training.optimizer]}: seeds {', '.join(those)}"
        )


def gathered(
    lines: list[dict], model: str, category: str, optimizer: str = "lazy_adam"
) -> dict[tuple, dict[int, dict]]:
    """(activation, normalization) -> seed -> (figure, batch size) -> value."""
    found: dict[tuple, dict[int, dict]] = {}
    for line in lines:
        training = Training(**line["training"])
        of = (training.model, training.category, training.optimizer, training.embedding_size)
        if of != (model, category, optimizer, 18):
            continue
        for row in line["figures"]:
            way = found.setdefault((row["activation"], row["normalization"]), {})
            cells = way.setdefault(training.seed, {})
            for figure in ("auc", "gauc"):
                cells[figure, row["batch_size"]] = row[figure]
    return found


def readme_table(lines: list[dict]) -> Iterator[str]:
    """What README.md shows of it."""
    ways = gathered(lines, "DIN", "Beauty")
    sizes = (1, 16, 1024)
    yield ""
    yield "## What the pitfalls cost a DIN on Beauty, LazyAdam, AUC"
    yield ""
    yield f"| | {' | '.join(f'batches of {size:,}' for size in sizes)} |"
    yield "|---|" + "---|" * len(sizes)
    for name, way in (
        ("right", ("Dice", "updated")),
        ("BatchNormalization never updated", ("Dice", "never updated")),
        ("Dice with the batch's statistics", ("Dice, batch statistics", "updated")),
    ):
        seeds = ways.get(way, {}).values()
        cells = [spread([cells["auc", size] for cells in seeds]) for size in sizes if seeds]
        yield f"| {name} | {' | '.join(cells)} |"


def figure_tables(lines: list[dict]) -> Iterator[str]:
    for category, model, optimizer in product(CATEGORIES, MODELS, OPTIMIZERS):
        ways = gathered(lines, model, category, optimizer)
        for figure in ("auc", "gauc") if ways else ():
            yield ""
            yield f"## {model} on {category}, {OPTIMIZERS[optimizer]}, {figure.upper()}"
            yield ""
            yield from table(ways, figure)


def optimizers_table(lines: list[dict]) -> Iterator[str]:
    """What the optimizer does to the right models: the same seeds with either."""
    yield ""
    yield "## What the optimizer changes"
    yield ""
    yield (
        "Dice, BatchNormalization updated, on Beauty, test AUC. Keras's Adam goes on to move the rows of "
        "tables that a batch leaves out, and squares the gradients of an id that a batch has more than once "
        "before it sums them; LazyAdam does neither."
    )
    yield ""
    yield "| model | seeds | LazyAdam | Keras's Adam | LazyAdam - Keras's Adam, by seed |"
    yield "|---|---|---|---|---|"
    for model in MODELS:
        aucs = {
            optimizer: {
                seed: cells["auc", BATCH_SIZES[0]]
                for seed, cells in gathered(lines, model, "Beauty", optimizer)
                .get(("Dice", "updated"), {})
                .items()
            }
            for optimizer in OPTIMIZERS
        }
        lazy, other = aucs.values()
        if seeds := sorted(lazy.keys() & other.keys()):
            means = (spread([those[seed] for seed in seeds]) for those in (lazy, other))
            gained = spread([lazy[seed] - other[seed] for seed in seeds], signed=True)
            yield f"| {model} | {len(seeds)} | {' | '.join(means)} | {gained} |"


def table(ways: dict[tuple, dict[int, dict]], figure: str) -> Iterator[str]:
    sizes = [f"batches of {size:,}" for size in BATCH_SIZES]
    yield f"| activation | BatchNormalization | seeds | {' | '.join(sizes)} |"
    yield "|---|---|---|" + "---|" * len(sizes)
    for (activation, normalization), seeds in ways.items():
        cells = [spread([seeds[s][figure, size] for s in seeds]) for size in BATCH_SIZES]
        yield f"| {activation} | {normalization} | {len(seeds)} | {' | '.join(cells)} |"
    for (activation, normalization), seeds in ways.items():
        if activation != "Dice, batch statistics":
            continue
        right = ways["Dice", normalization]
        lost = [
            spread([right[s][figure, size] - seeds[s][figure, size] for s in seeds], signed=True)
            for size in BATCH_SIZES
        ]
        yield (
            f"| *lost by batch statistics* | {normalization} | {len(seeds)} | {' | '.join(lost)} |"
        )


def spread(values: list[float], *, signed: bool = False) -> str:
    deviation = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):{'+' if signed else ''}.4f}{deviation}"


def by_embedding_size(lines: list[dict]) -> dict[int, list[float]]:
    """The AUC of each seed's DIN on Beauty, right, by the width of its embeddings."""
    found: dict[int, list[float]] = {}
    for line in lines:
        training = Training(**line["training"])
        if training == Training(
            "DIN", "Beauty", training.seed, embedding_size=training.embedding_size
        ):
            found.setdefault(training.embedding_size, []).append(line["figures"][0]["auc"])
    return dict(sorted(found.items()))


def sizes_table(lines: list[dict]) -> Iterator[str]:
    yield ""
    yield "## DIN on Beauty, LazyAdam, AUC by the size of the embeddings"
    yield ""
    yield "| size | seeds | AUC |"
    yield "|---|---|---|"
    for size, values in by_embedding_size(lines).items():
        yield f"| {size} | {len(values)} | {spread(values)} |"


def plot_batch_sizes(lines: list[dict], file: Path) -> None:
    """A panel for each model and category: AUC by batch size."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(CATEGORIES),
        len(MODELS),
        figsize=(11, 7),
        sharex=True,
        sharey="row",
        layout="constrained",
    )
    legend = {}
    for (category, model), axis in zip(product(CATEGORIES, MODELS), axes.flat, strict=True):
        axis.set_title(f"{model}, {category}", fontsize=10)
        axis.set_xscale("log", base=2)
        axis.set_xticks(BATCH_SIZES, map(str, BATCH_SIZES))
        axis.grid(alpha=0.3)
        for (activation, normalization), seeds in gathered(lines, model, category).items():
            if normalization == "absent":
                continue
            values = np.array([[cells["auc", b] for b in BATCH_SIZES] for cells in seeds.values()])
            legend[f"{activation}; BatchNormalization {normalization}"] = axis.errorbar(
                BATCH_SIZES,
                values.mean(axis=0),
                values.std(axis=0, ddof=1) if len(values) > 1 else None,
                color=COLOURS[activation],
                linestyle="-" if normalization == "updated" else ":",
                marker="o",
                markersize=3,
            )
    for axis in axes[-1]:
        axis.set_xlabel("examples in a scoring batch")
    figure.supylabel("test AUC")
    figure.legend(list(legend.values()), list(legend), loc="outside lower center", ncols=2)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def plot_embedding_sizes(lines: list[dict], file: Path) -> None:
    from matplotlib import pyplot as plt

    sizes = by_embedding_size(lines)
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for size, values in sizes.items():
        axis.plot([size] * len(values), values, "o", color="tab:blue", alpha=0.5)
    axis.plot(list(sizes), [np.mean(values) for values in sizes.values()], color="tab:blue")
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(sizes), map(str, sizes))
    axis.set_xlabel("size of an item's embedding, and of a category's")
    axis.set_ylabel("test AUC")
    axis.set_title("DIN on Beauty, 2 epochs, LazyAdam", fontsize=10)
    axis.grid(alpha=0.3)
    figure.savefig(file, dpi=120)
    plt.close(figure)

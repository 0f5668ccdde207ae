"""Write a click log as teams have it, whose best possible AUC is known.

    python benchmarks/own_log.py data/clicks --rows 1000000

Parquet files with strings, integers, numbers, a list of tags and a history with side information go to
`train/` and `test/` of the folder:

    interests_u ~ Dirichlet(0.15, ..., 0.15) over 40 categories
    history of u: up to 20 items, each of a category drawn from interests_u
    target: likewise, but half of the time its category is drawn uniformly
    familiar: whether the history has the target's category;   cheap = -log(price / 20)
    p(click) = sigmoid(3 familiar + 0.8 cheap + the sum of the tags' effects - 2)

It prints one line of JSON: the rows, and the AUC of p(click) on the test split, which no model can beat by
more than chance.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfnorm.metrics import auc

CATEGORIES = 40
TAGS = 200
HISTORY = 20
ROWS_A_FILE = 100_000


def write(folder: Path, rows: int, *, items: int = 100_000, seed: int = 0) -> dict[str, object]:
    """The log, a tenth of it for testing; what is printed."""
    rng = np.random.default_rng(seed)
    users = max(100, rows // 20)
    catalogue = {
        "interests": rng.dirichlet(np.full(CATEGORIES, 0.15), users).cumsum(axis=1),
        "price": 20 * rng.lognormal(0, 0.8, items + 1),
        "effects": rng.normal(0, 0.4, TAGS),
    }
    tested = max(1, rows // 10)
    labels, probabilities = [], []
    for split, count in (("train", rows - tested), ("test", tested)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for n, start in enumerate(range(0, count, ROWS_A_FILE)):
            size = min(ROWS_A_FILE, count - start)
            table, p = _part(rng, catalogue, size, items)
            pa.parquet.write_table(
                table, folder / split / f"part-{n:04}.parquet", row_group_size=20_000
            )
            if split == "test":
                labels.append(table["click"].to_numpy())
                probabilities.append(p)
    best = auc(np.concatenate(labels), np.concatenate(probabilities))
    return {
        "train": rows - tested,
        "test": tested,
        "users": users,
        "items": items,
        "best_auc": best,
    }


def _part(
    rng: np.random.Generator, catalogue: dict[str, np.ndarray], size: int, items: int
) -> tuple[pa.Table, np.ndarray]:
    interests = catalogue["interests"]
    user = rng.integers(len(interests), size=size)
    lengths = rng.integers(HISTORY + 1, size=size)
    # The items of a category are those whose number leaves it as the remainder.
    past = _categories(interests[np.repeat(user, lengths)], rng)
    past_items = _items(past, items, rng)
    category = np.where(
        rng.random(size) < 0.5,
        _categories(interests[user], rng),
        rng.integers(CATEGORIES, size=size),
    )
    item = _items(category, items, rng)
    row = np.repeat(np.arange(size), lengths)
    familiar = np.zeros(size, bool)
    familiar[row[past == category[row]]] = True
    tag_counts = rng.integers(4, size=size)
    tags = rng.integers(TAGS, size=tag_counts.sum())
    effects = np.bincount(
        np.repeat(np.arange(size), tag_counts), catalogue["effects"][tags], minlength=size
    )
    price = catalogue["price"][item]
    logit = 3.0 * familiar - 0.8 * np.log(price / 20) + effects - 2
    p = 1 / (1 + np.exp(-logit))
    click = rng.random(size) < p
    table = pa.table(
        {
            "user": pa.array([f"u{n}" for n in user]),
            "item": pa.array(item),
            "category": _named("category", category),
            "tags": _lists(_named("tag", tags), tag_counts),
            "price": pa.array(price),
            "hist_items": _lists(pa.array(past_items), lengths),
            "hist_categories": _lists(_named("category", past), lengths),
            "hist_seconds": _lists(
                pa.array(rng.exponential(30, len(past)).astype(np.float32)), lengths
            ),
            "ts": pa.array(1_700_000_000 + np.sort(rng.integers(86_400, size=size))),
            "click": pa.array(click.astype(np.int8)),
        }
    )
    return table, p


def _categories(interests: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    drawn = (rng.random(len(interests))[:, None] > interests).sum(axis=1)
    return np.minimum(drawn, CATEGORIES - 1)


def _items(categories: np.ndarray, items: int, rng: np.random.Generator) -> np.ndarray:
    """An item of each category, from 1."""
    return 1 + categories + CATEGORIES * rng.integers(items // CATEGORIES, size=len(categories))


def _named(kind: str, numbers: np.ndarray) -> pa.Array:
    names = pa.array([f"{kind}-{n}" for n in range(max(CATEGORIES, TAGS))])
    return names.take(pa.array(numbers))


def _lists(values: pa.Array, lengths: np.ndarray) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(write(given.folder, given.rows, items=given.items, seed=given.seed)))


if __name__ == "__main__":
    main()

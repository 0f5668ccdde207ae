import dataclasses
import datetime
import itertools

import click_rows as clicks
import numpy as np
import pytest
from readers import together

from tfnorm import datasets
from tfnorm.datasets.logs.log import Log
from tfnorm.datasets.logs.table import Block, Raw, Table
from tfnorm.errors import InputError
from tfnorm.schema import Id, Number, Schema

COUNT = 60


@pytest.fixture(scope="module")
def rows():
    return clicks.rows(COUNT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, rows):
    """Three files of 25, 25 and 10 rows, in row groups of 8."""
    folder = tmp_path_factory.mktemp("log")
    for n, start in enumerate(range(0, COUNT, 25)):
        part = rows[start : start + 25]
        clicks.write_parquet(folder / f"part-{n}.parquet", part, row_group_size=8)
    return folder


@pytest.fixture(scope="module")
def log(folder):
    return datasets.parquet(folder, clicks.SCHEMA)


def items(dataset):
    """The rows of one pass by their prices, which tell them apart; all columns must belong together."""
    found = []
    for features, labels in dataset.as_numpy_iterator():
        numbers = (features["price"] * 4).round().astype(int)
        np.testing.assert_array_equal(labels, numbers % 2)
        np.testing.assert_array_equal(features["item"], 1 + numbers % 100)
        np.testing.assert_array_equal(features["embedding"][:, 0], numbers)
        np.testing.assert_array_equal((features["tags"] != b"").sum(axis=1), numbers % 3)
        assert features["user"].tolist() == [f"u{n % 7}".encode() for n in numbers]
        found += numbers.tolist()
    return found


def rows_of(log):
    return [int(price * 4) for part in log.parts() for price in part.features["price"]]


def test_without_a_seed_rows_keep_their_order(log):
    dataset = log.batches(7)
    assert items(dataset) == list(range(COUNT))
    assert [len(labels) for _, labels in dataset] == [7] * 8 + [4]
    assert dataset.cardinality() == 9
    assert len(log) == COUNT


@pytest.mark.parametrize("buffer", [1, 16, 1000])
def test_a_shuffled_epoch_has_each_row_once_and_whole_batches(log, buffer):
    dataset = log.batches(7, shuffle_seed=3, buffer=buffer)
    first, second = items(dataset), items(dataset)
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second
    assert [len(labels) for _, labels in dataset] == [7] * 8 + [4]


def test_an_epochs_order_depends_on_the_seed_and_its_number_alone(log):
    dataset = log.batches(7, shuffle_seed=3)
    first, second = items(dataset), items(dataset)
    assert items(log.batches(7, shuffle_seed=3, epoch=1)) == second
    assert items(log.batches(7, shuffle_seed=4)) != first


def test_no_more_rows_are_held_than_the_buffer_and_a_few_parts(log, monkeypatch):
    from tfnorm.datasets.logs.order import lanes, shuffle

    held = []
    joined = shuffle.joined

    def noted(parts, places=None):
        held.append(sum(map(len, parts)))
        return joined(parts, places)

    for module in (shuffle, lanes):
        monkeypatch.setattr(module, "joined", noted)
    assert sorted(items(log.batches(4, shuffle_seed=0, buffer=16))) == list(range(COUNT))
    assert max(held) <= 16 + 8


@pytest.mark.slow
def test_workers_have_all_rows_between_them_and_none_twice(log):
    for count in (2, 5, 11):  # There are nine row groups.
        shares = [rows_of(log.sharded(n, count)) for n in range(count)]
        assert sorted(itertools.chain(*shares)) == list(range(COUNT))
        assert [len(log.sharded(n, count)) for n in range(count)] == list(map(len, shares))
    shuffled = items(log.sharded(1, 2).batches(7, shuffle_seed=0))
    assert sorted(shuffled) == sorted(rows_of(log.sharded(1, 2)))
    with pytest.raises(InputError, match="shard 2 of 2; accepted: 0 to 1"):
        log.sharded(2, 2)


def watched(log, read):
    """The log, and in `read` which of its blocks are read."""

    def block(one):
        return dataclasses.replace(one, read=lambda: read.add(one.where) or one.read())

    return dataclasses.replace(log, blocks=tuple(map(block, log.blocks)))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 11])
def test_workers_that_read_together_have_the_batches_of_one_and_read_only_what_is_theirs(
    log, count
):
    """There are ten row groups; of eleven workers two share one."""

    def prices(dataset):
        return [features["price"].tolist() for features, _ in dataset.as_numpy_iterator()]

    def one(readers):
        read = set()
        mine = watched(log, read).read_together(readers.index, readers.count, readers.gather)
        kept, aside = mine.split_by_user(0.3)
        read.clear()
        dataset = kept.batches(7, shuffle_seed=3)
        read.clear()  # The first rows tell the dtypes.
        return prices(dataset), read, (len(kept), len(aside))

    kept, aside = log.split_by_user(0.3)
    whole, found = prices(kept.batches(7, shuffle_seed=3)), together(count, one)
    for batch, *shares in zip(whole, *(of_worker for of_worker, _, _ in found), strict=True):
        assert sorted(itertools.chain(*shares)) == sorted(batch)
    assert {rows for _, _, rows in found} == {(len(kept), len(aside))}
    blocks = [block.where for block in log.blocks]
    for n, (_, read, _) in enumerate(found):
        assert read <= set(blocks[n % 10 :: count])


def made(sizes, known):
    """A log of blocks of those sizes, whose rows are numbered; some do not say how many they have."""

    def block(first, rows, said):
        def read():
            for start in range(first, first + rows, 9):
                n = np.arange(start, min(start + 9, first + rows))
                none = np.zeros(len(n), bool), np.zeros(0, int)
                columns = {"n": n.astype(np.float32), "label": n % 2, "ts": n, "user": n % 13}
                raw = {name: Raw(values, None, *none) for name, values in columns.items()}
                yield Table(raw, f"at {first}", start - first)

        return Block(f"at {first}", rows if said else None, str(first), read)

    firsts = np.cumsum([0, *sizes[:-1]]).tolist()
    schema = Schema([Number("n")], target=["n"], label="label", time="ts", group="user")
    return Log(schema, tuple(map(block, firsts, sizes, known)))


def epoch(log, *, batch_size, seed, number=0, buffer):
    """Of each batch the rows, without TensorFlow."""
    found = []
    for part, ends in log._interleaved(batch_size, (seed, number), buffer, None):
        rows = [] if part is None else part.features["n"].astype(int).tolist()
        found += [rows[a:b] for a, b in itertools.pairwise([0, *ends])]
    return found


@pytest.mark.parametrize("seed", range(12))
def test_an_epoch_has_the_rows_of_any_log_once_whoever_reads_it(seed):
    """Blocks of unequal sizes, some of no rows; parts by time and by users; any batch and buffer."""
    rng = np.random.default_rng(seed)
    blocks = int(rng.integers(1, 21))
    sizes = rng.integers(0, rng.choice([2, 10, 30]), blocks) * (rng.random(blocks) < 0.8)
    log = made(sizes.tolist(), (rng.random(blocks) < 0.5).tolist())
    rows = int(sizes.sum())
    if seed % 2:
        log = log.between(since=rows // 4, until=rows - rows // 5)
    if seed % 4 == 2:
        log = dataclasses.replace(log, users=(0.25, 1.0, seed))
    wanted = [int(n) for part in log.parts() for n in part.features["n"]]
    assert len(log) == len(wanted) <= rows
    given = {
        "batch_size": int(rng.choice([6, 7, 32, 500])),
        "seed": seed,
        "buffer": int(rng.choice([1, 40, 1000])),
    }
    whole = epoch(log, **given)
    assert sorted(itertools.chain(*whole)) == sorted(wanted)
    assert [len(batch) for batch in whole[:-1]] == [given["batch_size"]] * (len(whole) - 1)
    assert epoch(log, **given) == whole
    another = epoch(log, number=1, **given)
    assert sorted(itertools.chain(*another)) == sorted(wanted)
    shares = together(
        (2, 3, 18)[seed % 3],
        lambda mine: epoch(log.read_together(mine.index, mine.count, mine.gather), **given),
    )
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(itertools.chain(*parts)) == sorted(batch)


def test_workers_that_read_together_need_a_seed_and_a_place(log):
    with pytest.raises(InputError, match="reader 2 of 2; accepted: 0 to 1"):
        log.read_together(2, 2, list)
    with pytest.raises(InputError, match="shuffle_seed is None; accepted: a number"):
        log.read_together(0, 2, list).batches(7)


def test_a_log_is_split_by_time(log):
    early, late = log.between(until=1040), log.between(since=1040)
    assert (len(early), len(late)) == (40, 20)
    assert rows_of(early) == list(range(40))
    assert items(late.batches(9)) == list(range(40, COUNT))
    timeless = clicks.Schema([clicks.Id("item", size=101)], target=["item"], label="click")
    with pytest.raises(InputError, match="the schema names no time"):
        log.with_schema(timeless).between(since=1)


def test_dates_are_seconds_since_1970(tmp_path):
    import datetime

    day = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    given = [
        {**row, "ts": day + datetime.timedelta(days=n)} for n, row in enumerate(clicks.rows(5))
    ]
    clicks.write_parquet(tmp_path / "log.parquet", given)
    log = datasets.parquet(tmp_path, clicks.SCHEMA)
    assert len(log.between(until=(day + datetime.timedelta(days=3)).timestamp())) == 3


def test_parts_have_groups_and_weights_where_the_schema_names_them(rows):
    schema = clicks.Schema(
        [clicks.Id("item", size=101)], target=["item"], label="click", weight="price", group="user"
    )
    log = datasets.arrays(clicks.as_arrays(rows), schema)
    (part,) = log.parts()
    assert part.users.tolist() == [f"u{n % 7}".encode() for n in range(COUNT)]
    np.testing.assert_array_equal(part.weights, np.arange(COUNT, dtype=np.float32) / 4)
    batches = list(log.batches(50).as_numpy_iterator())
    assert [len(batch) for batch in batches] == [3, 3]
    np.testing.assert_array_equal(batches[1][2], np.arange(50, COUNT) / 4)


def test_a_change_is_made_to_every_part_with_a_generator_of_the_epoch(log):
    def change(part, rng):
        drawn = rng.integers(1 << 30, size=len(part))
        return datasets.Examples({**part.features, "drawn": drawn}, part.labels, part.users)

    def drawn(dataset):
        return np.concatenate([f["drawn"] for f, _ in dataset.as_numpy_iterator()]).tolist()

    dataset = log.batches(7, shuffle_seed=0, change=change)
    first, second = drawn(dataset), drawn(dataset)
    assert len(set(first + second)) == 2 * COUNT
    assert drawn(log.batches(7, shuffle_seed=0, change=change, epoch=1)) == second


def test_the_fingerprint_is_of_the_schema_the_files_and_what_is_taken(log, folder, tmp_path):
    again = datasets.parquet(str(folder / "*.parquet"), clicks.SCHEMA)
    assert again.fingerprint == log.fingerprint
    others = [
        log.between(until=1040),
        log.sharded(0, 2),
        datasets.parquet(folder, clicks.SCHEMA, nulls="drop"),
        datasets.parquet(folder / "part-0.parquet", clicks.SCHEMA),
        log.with_schema(dataclasses.replace(clicks.SCHEMA, group=None)),
    ]
    assert len({log.fingerprint, *(other.fingerprint for other in others)}) == 6
    clicks.write_parquet(tmp_path / "a.parquet", clicks.rows(5))
    first = datasets.parquet(tmp_path, clicks.SCHEMA).fingerprint
    clicks.write_parquet(tmp_path / "a.parquet", clicks.rows(5, start=1))
    assert datasets.parquet(tmp_path, clicks.SCHEMA).fingerprint != first


def test_a_label_is_from_0_to_1(rows):
    bad = [*rows[:3], {**rows[3], "click": 2}]
    log = datasets.arrays(clicks.as_arrays(bad), clicks.SCHEMA, name="mine")
    with pytest.raises(
        InputError, match=r"mine, row 3, column 'click' is 2\.0; accepted: from 0 to 1"
    ):
        list(log.parts())


def test_a_weight_is_not_below_0():
    schema = Schema([Id("item", size=9)], target=["item"], weight="w")
    columns = {"item": np.array([1, 2]), "label": np.array([0, 1]), "w": np.array([0.0, -0.5])}
    with pytest.raises(
        InputError, match=r"arrays, row 1, column 'w' is -0\.5; accepted: 0 or more"
    ):
        list(datasets.arrays(columns, schema).parts())


def test_the_row_in_a_message_is_that_of_the_file_whatever_was_left_out_before(rows, tmp_path):
    bad = [*rows[:9], {**rows[9], "item": 500}]
    clicks.write_parquet(tmp_path / "log.parquet", bad)
    log = datasets.parquet(tmp_path, clicks.SCHEMA).between(since=1004)
    with pytest.raises(InputError, match="row group 0, row 9, column 'item' is 500; accepted: ids"):
        list(log.parts())


def test_an_empty_log_is_refused_where_examples_are_needed(log):
    with pytest.raises(InputError, match="has no rows; accepted: one or more"):
        log.between(since=10**9).batches(3)
    assert len(log.between(since=10**9)) == 0


@pytest.mark.parametrize(("size", "reason"), [(0, "batch_size is 0")])
def test_a_batch_of_no_rows_is_refused(log, size, reason):
    with pytest.raises(InputError, match=reason):
        log.batches(size)


def test_a_log_is_split_by_a_number_of_any_kind_and_by_nothing_else(log):
    assert log.between(until=np.int64(1010)).fingerprint == log.between(until=1010).fingerprint
    with pytest.raises(InputError, match=r"since is datetime\.date\(.*; accepted: numbers"):
        log.between(since=datetime.date(2024, 1, 1))


def test_an_unknown_policy_for_nulls_is_refused(folder):
    with pytest.raises(InputError, match="nulls is 'skip'; accepted: 'error', 'missing', 'drop'"):
        datasets.parquet(folder, clicks.SCHEMA, nulls="skip")

import pytest

from tfnorm.errors import InputError
from tfnorm.schema import History, Id, Number


@pytest.mark.parametrize(
    ("feature", "rows", "dtype"),
    [
        (Id("a", size=9), 9, "int64"),
        (Id("a", size=9, dtype="int32"), 9, "int32"),
        (Id("a", size=9, hashed=True), 10, "string"),
        (Id("a", size=9, hashed=True, dtype="int64"), 10, "int64"),
        (Id("a", vocabulary=["x", "y"]), 4, "string"),
        (Id("a", vocabulary=[7, 3, 5]), 5, "int64"),
    ],
)
def test_a_table_has_rows_for_what_is_missing_and_unknown(feature, rows, dtype):
    assert (feature.rows, feature.dtype) == (rows, dtype)


def test_a_vocabulary_is_read_from_a_file_with_an_id_a_line(tmp_path):
    (tmp_path / "ids.txt").write_text("böoks\ntoys\n", encoding="utf-8")
    assert Id("a", vocabulary=tmp_path / "ids.txt") == Id("a", vocabulary=["böoks", "toys"])


def test_a_line_of_a_vocabulary_ends_at_its_newline_alone(tmp_path):
    """Unicode has other ends of lines, and Windows begins a file with a mark."""
    strings = ["a\u2028b", "c\x0cd", "e\x85f"]
    (tmp_path / "ids.txt").write_bytes("\r\n".join(["\ufeffx", *strings]).encode())
    assert Id("a", vocabulary=tmp_path / "ids.txt").known == ("x", *strings)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Id(""), "the name of a feature \\(id\\) is ''"),
        (lambda: Id("a"), "feature 'a': size is None; accepted: a whole number from 1"),
        (lambda: Id("a", size=2.0), "feature 'a': size is 2.0"),
        (lambda: Id("a", size=True), "feature 'a': size is True"),
        (
            lambda: Id("a", size=2**31),
            "feature 'a': size is 2147483648; accepted: a whole number from 1 to 2147483647",
        ),
        (lambda: Id("a", size=2, width=0), "feature 'a': width is 0"),
        (lambda: Id("a", size=2, hashed="yes"), "feature 'a': hashed is 'yes'"),
        (lambda: Id("a", size=2, combine="max"), "combine is 'max'; accepted: 'mean', 'sum'"),
        (lambda: Id("a", size=2, table=""), "the name of a feature \\(table of feature 'a'\\)"),
        (lambda: Id("a", size=2, dtype="string"), "dtype is 'string'; accepted: 'int64', 'int32'"),
        (lambda: Id("a", size=2, vocabulary=["x"]), "a vocabulary and size exclude each other"),
        (lambda: Id("a", hashed=True, vocabulary=["x"]), "a vocabulary and hashed exclude"),
        (lambda: Id("a", vocabulary=[]), "vocabulary is \\[\\]; accepted: a list of strings"),
        (lambda: Id("a", vocabulary=["x", 1]), "vocabulary holds int and str"),
        (lambda: Id("a", vocabulary=["x", ""]), "vocabulary holds ''"),
        (lambda: Id("a", vocabulary=[3, 0]), "vocabulary holds 0"),
        (lambda: Id("a", vocabulary=["x", "y", "x"]), "vocabulary holds 'x' more than once"),
        (lambda: Id("a", vocabulary=[5, 2**63]), "vocabulary holds 9223372036854775808; accepted"),
        (lambda: Id("a", vocabulary=[-(2**63)]), "vocabulary holds -9223372036854775808; accepted"),
        (lambda: Id("a", vocabulary="a\0b"), "can't be read: embedded null byte"),
        (lambda: Id("a", vocabulary="none.txt"), "none.txt can't be read: No such file"),
        (lambda: Number("p", length=0), "feature 'p': length is 0"),
        (lambda: Number("p", scale="sqrt"), "scale is 'sqrt'; accepted: null, 'log', 'standard'"),
        (lambda: Number("p", mean=1.0, deviation=1.0), "mean is given; accepted with the scale"),
        (lambda: Number("p", scale="standard", mean=1.0), "one of mean and deviation is given"),
        (
            lambda: Number("p", scale="standard", mean=1.0, deviation=-1.0),
            "deviation is -1.0; accepted: a finite number from 0",
        ),
        *(
            (
                lambda mean=mean: Number("p", scale="standard", mean=mean, deviation=1.0),
                "mean is .*; accepted: a finite number",
            )
            for mean in (float("nan"), 1e39, 10**400)
        ),
        (
            lambda: Number("p", length=3, scale="standard", mean=[1.0, 2.0], deviation=1.0),
            "mean is \\[1.0, 2.0\\]; accepted: a finite number, or 3 in a list",
        ),
        (lambda: History("h", of={}), "feature 'h': of is {}"),
        (
            lambda: History("h", of={"a": 1}),
            "the name of a feature \\(column of feature 'h'\\) is 1",
        ),
        (lambda: History("h", of={"a": "x"}, length=0), "feature 'h': length is 0"),
        (lambda: History("h", of={"a": "x"}, keep="all"), "keep is 'all'"),
        (lambda: History("h", of={"a": "x"}, numbers="x"), "numbers is 'x'; accepted: a list"),
        (
            lambda: History("h", of={"a": "x"}, numbers=[Number("n", length=2)]),
            "numbers has Number",
        ),
        (lambda: History("h", of={"a": "x"}, numbers=["x"]), "a column is there twice in x, x"),
    ],
)
def test_an_argument_that_is_not_as_documented_is_refused_by_feature_and_key(make, reason):
    with pytest.raises(InputError, match=reason):
        make()

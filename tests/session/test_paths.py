import pytest

from tfnorm.errors import InputError
from tfnorm.session import find_saved_model, version_number, versions


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("0041", 41),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("9" * 20, None),
        ("4\u0662", None),  # Python takes the Arabic digit, TensorFlow Serving does not.
        ("-1", None),
        ("1.0", None),
        ("", None),
    ],
)
def test_a_version_is_what_tensorflow_serving_takes_for_one(tmp_path, name, number):
    assert version_number(name) == number
    (tmp_path / "x" / name).mkdir(parents=True)
    (tmp_path / "x" / name / "saved_model.pb").touch()
    assert list(versions(tmp_path / "x")) == ([] if number is None else [number])


@pytest.mark.parametrize("name", ["a" * 5_000, "a/" * 3_000, "a\0b"])
def test_a_path_that_the_system_can_not_look_for_is_refused(name):
    with pytest.raises(
        InputError, match=r"can't be looked for: (File name too long|.*embedded null)"
    ):
        find_saved_model("/" + name)

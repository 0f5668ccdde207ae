import json
import time

import pytest

from tfnorm.errors import InputError
from tfnorm.protocol.json_text import check_parsed_size, number_hooks


@pytest.mark.parametrize(
    "digits", ["1e400", "-1e400", "1E+0400", "9" * 310, "1" + "0" * 400 + ".5"]
)
def test_a_number_that_no_double_holds_is_refused(digits):
    with pytest.raises(ValueError, match="too big to be stored in double"):
        json.loads(digits, **number_hooks(digits))


@pytest.mark.parametrize("digits", ["1e308", "1e-400", "1e+0000001", "0." + "1" * 400, "9" * 308])
def test_any_other_is_read_as_it_is(digits):
    assert json.loads(digits, **number_hooks(digits)) == json.loads(digits)


def test_numbers_are_looked_at_once():
    text = ("1" * 308 + ",") * 10_000
    began = time.monotonic()
    assert not number_hooks(text)
    assert time.monotonic() - began < 1


def test_a_document_is_measured_before_it_is_parsed():
    check_parsed_size(b"[[], []]", 400)
    with pytest.raises(
        InputError, match="about 1,126 bytes once it is parsed; accepted: up to 400"
    ):
        check_parsed_size(b"[[],[],[],[],[],[],[],[],[],[]]", 400)

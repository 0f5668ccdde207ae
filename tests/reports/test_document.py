import json
import math

import pytest

from tfnorm.reports.document import Document, infinite_if_none, plain


def test_what_json_lacks_is_none_and_keys_are_strings():
    given = {8: (1.5, math.nan), "a": [math.inf, {"b": -math.inf}], "c": "nan"}
    assert plain(given) == {"8": [1.5, None], "a": [None, {"b": None}], "c": "nan"}


def test_none_stands_for_what_was_infinite():
    assert infinite_if_none(None) == math.inf
    assert infinite_if_none(0.0) == 0.0


class Told(Document):
    def __init__(self, value):
        self.value = value

    def to_dict(self):
        return {"value": self.value}


def test_a_document_is_standard_json_of_its_dict():
    assert json.loads(Told(2).to_json()) == {"value": 2}
    assert Told(None).to_json(indent=None) == '{"value": null}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        Told(math.nan).to_json()

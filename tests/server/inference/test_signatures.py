import pytest

from tfnorm.errors import InputError
from tfnorm.server.inference.signatures import signature_of, single_input


def test_a_signature_is_found_by_name_and_method(loaded):
    found = signature_of(loaded, "regress", "tensorflow/serving/regress")
    assert found.name == "regress"
    assert single_input(found) == "inputs"
    assert signature_of(loaded, "", "tensorflow/serving/predict").name == "serving_default"


def test_another_method_or_input_is_refused(loaded):
    with pytest.raises(InputError, match="No signature was found with the name: nothing"):
        signature_of(loaded, "nothing", "tensorflow/serving/regress")
    with pytest.raises(InputError, match="Was: tensorflow/serving/regress"):
        signature_of(loaded, "regress", "tensorflow/serving/classify")
    with pytest.raises(InputError, match="Expected one input Tensor"):
        single_input(loaded.model.signatures["regress_records"])
    with pytest.raises(InputError, match="Expected one input Tensor"):
        single_input(loaded.model.signatures["embed"])

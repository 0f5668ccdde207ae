import keras
import numpy as np
import pytest
from export.numpy_predictor.compared import check, randomized

from tfnorm.models import DIEN, DIN
from tfnorm.schema import History, Id, Number, Schema


@pytest.mark.parametrize("keep", ["newest", "oldest"])
@pytest.mark.parametrize("cls", [DIN, DIEN])
def test_longer_histories_are_cut_as_in_the_model(cls, keep):
    schema = Schema(
        [
            Id("item", size=30, width=3),
            Number("price", scale="log"),
            History("history", of={"item": "seen"}, numbers=["seconds"], length=4, keep=keep),
        ],
        target=["item"],
    )
    model = randomized(cls(schema, units=(4, 3)))
    rng = np.random.default_rng(0)
    rows = [
        {
            "item": 1 + n,
            "price": 2.0 * n,
            "seen": rng.integers(1, 30, n).tolist(),
            "seconds": rng.random(n).tolist(),
        }
        for n in range(7)
    ]
    there = np.arange(6) < np.arange(7)[:, None]
    whole = schema.examples(rows)
    cut = dict(whole)
    for name in ("seen", "seconds"):
        whole[name] = np.zeros(there.shape, whole[name].dtype)
        whole[name][there] = np.concatenate([row[name] for row in rows])
    predictor = check(model, keras.tree.map_structure(keras.ops.convert_to_tensor, whole))
    np.testing.assert_allclose(predictor(whole), predictor(cut), rtol=1e-6)

"""Ops that run together."""

import pytest
from hand_made import node, nodes

from tfnorm.graph.inline import Origin
from tfnorm.verify.culprit.region import Region


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ("split:1", True),
        ("outside:0", True),
        ("kernel:0", False),
        ("split_1:0", False),
    ],
)
def test_a_tensor_varies_if_what_gives_it_does_inside_or_outside(tensor, expected):
    graph = nodes(node("kernel", "Const"), node("split", "Split", "outside:0"))
    origins = {name: Origin(name, "", name) for name in graph}
    region = Region(
        graph, origins, ["split:0"], ["split:0"], frozenset({"split", "outside"}), frozenset()
    )
    assert region.varies(tensor) is expected
    assert region.caller is None

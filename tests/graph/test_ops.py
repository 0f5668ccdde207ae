"""What TensorFlow's ops do to a model's state and to a batch."""

import re

import pytest
from tensorflow.core.framework import op_def_pb2, types_pb2
from tensorflow.python.client import pywrap_tf_session

from tfnorm.graph import ops

# Ops that take a variable or another resource and leave what the next call finds as it was.
NOT_ASSIGNMENTS = {
    "they read": (
        r"^_?ReadVariable|^ResourceGather|^VariableShape$|^IsVariableInitialized$|^VarIsInitializedOp$",
        r"^LookupTable(Export|Find|Size)|^ResourceInitializedOp$|^IsResourceHandleRefCounting$",
        r"(NumAccumulated|(Incomplete|Ready)Size|QueueIsClosed|QueueSize)(V2)?$",
        r"^Reader(Num|Serialize)|^SerializeIterator$|Iterator(GetDevice|GetModelProto|ToString)",
        r"^BoostedTrees(ExampleDebug|GetEnsemble|Predict|Serialize|TrainingPredict)",
        r"^BoostedTreesQuantileStreamResourceGet|^IsBoostedTrees|^MakeWeakResourceHandle$",
        r"StatsAggregatorSummary$",
    ),
    "they hand a variable on": (r"^Ref(Enter|Exit|Identity|Merge|NextIteration|Select|Switch)$",),
    "what they change begins and ends within the call": (
        r"^(TensorArray|Stack)|^DestroyTemporaryVariable$|^MutexLock$|^Rpc|^Collective",
    ),
    "they make or delete a resource, or give a table its content, which is then always the same": (
        r"^InitializeTable|^ResourceCreateOp$|^(Delete|DestroyResourceOp)|^DisableCopyOnRead$",
    ),
    "they describe a data set": (r"Dataset(V\d)?$",),
    "they write a log that no score reads": (
        r"^(Close|Create|Flush|Write)\w*(Summary|Writer)|^ImportEvent$|SetSummaryWriter$",
    ),
    "they run a program whose own ops say what it does": (
        r"^(XlaLaunch|_XlaCompile|_TPUReplicate)$",
    ),
    "they are for debugging, or for TensorFlow's own tests": (
        r"^Ref(In|Input\w+)$|^(TwoRefsIn|FakeQueue|ResourceUsingOp|DebugGradientRefIdentity)$",
    ),
}


@pytest.fixture(scope="module")
def registered():
    """All ops that this TensorFlow has."""
    buffer = pywrap_tf_session.TF_GetAllOpList()
    found = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(buffer))
    return {op.name: op for op in found.op}


def _takes_state(op):
    return any(arg.is_ref or arg.type == types_pb2.DT_RESOURCE for arg in op.input_arg)


def test_each_op_that_takes_state_is_known_to_change_it_or_not_to(registered):
    kept = re.compile("|".join(p for patterns in NOT_ASSIGNMENTS.values() for p in patterns))
    taking = [name for name, op in registered.items() if _takes_state(op)]
    assert len(taking) > 200
    undecided = [n for n in taking if ops.is_assignment(n) == bool(kept.search(n))]
    assert undecided == []


def test_no_op_without_state_is_an_assignment(registered):
    stateless = [name for name, op in registered.items() if not _takes_state(op)]
    assert [name for name in stateless if ops.is_assignment(name)] == []


def test_an_op_that_gives_back_the_variable_it_takes_changes_it(registered):
    giving = {
        name
        for name, op in registered.items()
        if any(a.is_ref for a in op.input_arg) and any(a.is_ref for a in op.output_arg)
    }
    handing_on = {name for name in giving if re.match("Ref|DebugGradientRef", name)}
    assert "AssignAdd" in giving
    assert [name for name in sorted(giving - handing_on) if not ops.is_assignment(name)] == []


@pytest.mark.parametrize(
    "op_type",
    [
        "AssignVariableOp",
        "ApplyAdam",
        "CountUpTo",
        "LookupTableImportV2",
        "LookupTableInsertV2",
        "LookupTableRemoveV2",
        "QueueEnqueueV2",
        "ResourceApplyAdam",
        "ResourceScatterNdUpdate",
        "ResourceSparseApplyAdagrad",
        "ResourceStridedSliceAssign",
        "RngReadAndSkip",
        "ScatterUpdate",
        "StatefulUniform",
    ],
)
def test_an_op_that_changes_state_is_an_assignment(registered, op_type):
    assert op_type in registered
    assert ops.is_assignment(op_type)


@pytest.mark.parametrize(
    "op_type", ["ReadVariableOp", "LookupTableFindV2", "ScatterNd", "TensorScatterUpdate", "Add"]
)
def test_an_op_that_changes_nothing_is_none(registered, op_type):
    assert op_type in registered
    assert not ops.is_assignment(op_type)


def test_every_op_that_draws_by_its_definition_is_random(registered):
    drawing = {
        name
        for name, op in registered.items()
        if op.is_stateful
        and {"seed", "seed2"} <= {attribute.name for attribute in op.attr}
        and any(arg.type != types_pb2.DT_VARIANT for arg in op.output_arg)
    }
    assert {"RandomUniform", "Multinomial"} <= drawing
    missed = {name for name in drawing if not ops.is_random(name)}
    # They draw for dropout, in training alone.
    assert {name for name in missed if not name.startswith("CudnnRNN")} == set()


@pytest.mark.parametrize(
    "op_type",
    ["StatelessRandomUniformV2", "StatefulStandardNormalV2", "ParameterizedTruncatedNormal"],
)
def test_an_op_that_draws_is_random(registered, op_type):
    assert op_type in registered
    assert ops.is_random(op_type)


@pytest.mark.parametrize(
    "op_type",
    ["StatelessRandomGetKeyCounter", "RngSkip", "RngReadAndSkip", "RandomGammaGrad", "Mean"],
)
def test_an_op_that_hands_out_keys_draws_nothing(registered, op_type):
    assert op_type in registered
    assert not ops.is_random(op_type)


def test_an_op_with_state_is_told_by_its_definition():
    assert ops.is_stateful("ReadVariableOp")
    assert not ops.is_stateful("Mean")
    assert not ops.is_stateful("NoSuchOp")


@pytest.mark.parametrize(
    ("op_type", "said"),
    [
        ("Mean", "statistic of the batch"),
        ("RandomUniform", "draws at every call"),
        ("StatefulUniform", "draws at every call"),
        ("AssignAddVariableOp", "changes the model's state"),
        ("StatelessWhile", "carries state from one example to the next"),
        ("FusedBatchNormV3", "training mode"),
        ("NoSuchOp", "from that example alone"),
    ],
)
def test_advice_is_the_ops_own(op_type, said):
    assert said in ops.advice(op_type)


def test_all_ops_that_are_listed_are_registered(registered):
    listed = set().union(
        *(value for name, value in vars(ops).items() if isinstance(value, frozenset))
    )
    assert {"Mean", "TopKV2"} <= listed
    assert listed <= registered.keys()

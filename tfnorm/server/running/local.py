"""A model in the server's own process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from tfnorm.errors import InputError
from tfnorm.server.bounds import check_outputs
from tfnorm.session import SavedModel, Signature

COMPOSITE = ("coo_sparse", "composite_tensor")
"""What a signature may have in place of a tensor, and no request can carry."""


class Model(Protocol):
    """A SavedModel that is run somewhere; any thread may call it."""

    path: Path
    signature_defs: dict[str, SignatureDef]
    signatures: dict[str, Signature]

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str] | None = None,
        max_bytes: int,
    ) -> dict[str, np.ndarray]:
        """As `SavedModel.run`, with outputs of up to `max_bytes`.

        Raises:
            InputError: as there.
            tf.errors.ResourceExhaustedError: the outputs are larger.
            tf.errors.CancelledError: it is closed meanwhile, or was before.
        """
        ...

    def close(self) -> None:
        """Free it; what still runs is cancelled."""
        ...


class LocalModel:
    """A SavedModel in this process: what it takes to run is not bounded.

    Args:
        path: the SavedModel.

    Raises:
        InputError: it can't be loaded, or a signature names what its graph lacks.
    """

    def __init__(self, path: Path):
        self._model = load(path)
        self._closed = False
        self.path = self._model.path
        self.signature_defs = self._model.signature_defs
        self.signatures = self._model.signatures

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str] | None = None,
        max_bytes: int,
    ) -> dict[str, np.ndarray]:
        """As `Model.run`."""
        try:
            found = self._model.run(feeds, signature=signature, outputs=outputs)
        except RuntimeError as error:
            if self._closed:
                raise tf.errors.CancelledError(None, None, "the session is closed") from error
            raise
        check_outputs(found, max_bytes)
        return found

    def close(self) -> None:
        """As `Model.close`."""
        self._closed = True
        self._model.close()


def load(path: Path) -> SavedModel:
    """The SavedModel at `path`, whose signatures can be run.

    Raises:
        InputError: it can't be loaded, or a signature names a tensor that the graph lacks, or one of
            another dtype.
    """
    model = SavedModel(path)
    try:
        _check_tensors(model)
    except InputError:
        model.close()
        raise
    return model


def _check_tensors(model: SavedModel) -> None:
    for name, definition in model.signature_defs.items():
        if not definition.method_name:
            continue
        for info in (*definition.inputs.values(), *definition.outputs.values()):
            if info.WhichOneof("encoding") in COMPOSITE:
                continue
            try:
                tensor = model.graph.get_tensor_by_name(info.name)
            except (KeyError, ValueError) as error:
                raise InputError(
                    f"{model.path} can't be served: its graph has no {info.name!r}, "
                    f"which signature {name!r} names"
                ) from error
            if tensor.dtype.base_dtype != tf.as_dtype(info.dtype).base_dtype:
                raise InputError(
                    f"{model.path} can't be served: {info.name!r} is {tensor.dtype.name}, "
                    f"which signature {name!r} has as {tf.as_dtype(info.dtype).name}"
                )

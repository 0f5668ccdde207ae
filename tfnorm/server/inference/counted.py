"""A version that counts what a request takes while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfnorm.server.budget import Share
from tfnorm.server.inference.predict import Runner

# The inputs, and what they are put into on their way to the model.
_OF_INPUTS = 2
# The outputs, the answer's pieces, the whole answer, and a copy of it on its way to the client.
_OF_OUTPUTS = 4


class Counted:
    """A version, as one request asks it.

    Args:
        runner: the version.
        share: what the request has of the memory of all.
    """

    def __init__(self, runner: Runner, share: Share):
        self.model = runner.model
        self._runner = runner
        self._share = share

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """As `Runner.run`, once there is memory for it, and once there is some for its answer.

        Raises:
            tf.errors.ResourceExhaustedError: other requests have it for too long.
            tf.errors.CancelledError: the client is gone.
        """
        self._share.take_arrays(feeds, _OF_INPUTS)
        found = self._runner.run(feeds, signature=signature, outputs=outputs)
        self._share.take_arrays(found, _OF_OUTPUTS)
        return found

"""SavedModels in TensorFlow's C++ session: where they are, what their signatures take, and running them."""

from tfnorm.session.paths import (
    LAST_VERSION,
    check_path,
    find_saved_model,
    version_number,
    versions,
    without_patterns,
)
from tfnorm.session.saved_model import SavedModel
from tfnorm.session.signature import (
    CANDIDATES,
    DEFAULT_SIGNATURE,
    Signature,
    read_signatures,
    tensor_specs,
)

__all__ = [
    "CANDIDATES",
    "DEFAULT_SIGNATURE",
    "LAST_VERSION",
    "SavedModel",
    "Signature",
    "check_path",
    "find_saved_model",
    "read_signatures",
    "tensor_specs",
    "version_number",
    "versions",
    "without_patterns",
]

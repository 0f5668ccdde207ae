"""The command line: it parses, calls and prints."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from tfnorm.errors import InputError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad input gets one line and exit status 2."""
    try:
        # Imported here because Ctrl-C may come in the middle of it.
        from tfnorm.cli.group import run

        status = run(arguments)
    except InputError as error:
        status = _refuse(str(error), 2)
    except KeyboardInterrupt:
        status = _refuse("stopped", 130)
    # Python's own status would be 1, by which `verify` says that scores depend on the batch.
    except Exception as error:
        traceback.print_exc()
        status = _refuse(f"it failed on its own ({type(error).__name__}): please report this", 2)
    sys.exit(status)


def _refuse(reason: str, status: int) -> int:
    print(f"tfnorm: {' '.join(reason.split())}", file=sys.stderr)
    return status

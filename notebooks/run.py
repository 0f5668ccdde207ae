"""Execute the notebooks: `python notebooks/run.py [--write] [NOTEBOOK ...]`, all of them if none is named.

The executed notebooks go to `build/notebooks`, which git ignores, as figures and digits change with the
machine. With `--write` they take the place of those that are committed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
BUILD = FOLDER.parent / "build" / "notebooks"
# All that is kept about the kernel: its version would change with the machine.
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh kernel.

    Args:
        path: a notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
        # What TensorFlow's C++ code logs as it starts goes to the terminal, not into the notebook.
        extra_arguments=["--IPKernelApp.capture_fd_output=False"],
    )
    client.execute()
    notebook.metadata = nbformat.from_dict(KERNEL)
    return notebook


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute the notebooks.")
    parser.add_argument("--write", action="store_true", help="replace those that are committed")
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(FOLDER.glob("*.ipynb")))
    given = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    for path in given.notebooks:
        start = time.monotonic()
        place = path if given.write else BUILD / path.name
        nbformat.write(execute(path), place)
        print(f"{place}  {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()

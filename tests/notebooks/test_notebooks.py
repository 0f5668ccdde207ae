"""The notebooks run as they stand, and what is committed is what a run of theirs gave."""

import re
import runpy
from pathlib import Path

import nbformat
import pytest
from apart import Module
from jupyter_client.provisioning import local_provisioner

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# A path of a machine: of a home, of temporary files, of an installed package, or of Windows.
MACHINE_PATH = re.compile(
    r"(?<![\w.])/(?:home|Users|root|tmp|var|private|opt|work)/|site-packages|[A-Z]:\\"
)

run = runpy.run_path(str(FOLDER / "run.py"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def outputs(notebook):
    """Each output of each cell."""
    return [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]


def text(output):
    """All of an output but its pictures."""
    if output.output_type == "stream":
        return output.text
    return "\n".join(str(part) for kind, part in output.data.items() if kind != "image/png")


def assert_clean(notebook):
    """No output is an error or a warning, or tells of the machine."""
    for output in outputs(notebook):
        assert output.output_type in ("stream", "display_data", "execute_result"), output
        assert output.get("name") != "stderr", output.text
        assert not MACHINE_PATH.search(text(output)), text(output)


def test_there_are_four():
    assert len(NOTEBOOKS) == 4


@every_notebook
def test_committed_outputs_are_those_of_one_run_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in output.get("data", ()) for output in outputs(notebook))
    assert_clean(notebook)


@every_notebook
def test_nothing_else_about_the_machine_is_committed(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata == run["KERNEL"]
    assert not any(cell.metadata for cell in notebook.cells)


@pytest.mark.slow
@every_notebook
def test_it_runs(path, monkeypatch):
    # TensorFlow is not imported anew for each.
    monkeypatch.setattr(local_provisioner, "launch_kernel", Module)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    executed = run["execute"](path)
    assert_clean(executed)
    kinds = [[o.output_type for o in cell.get("outputs", ())] for cell in executed.cells]
    committed = nbformat.read(path, as_version=4)
    assert [bool(of_cell) for of_cell in kinds] == [
        bool(cell.get("outputs")) for cell in committed.cells
    ]

"""The examples in docstrings and documents run as they stand."""

import doctest
import importlib
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfnorm

ROOT = Path(__file__).parents[1]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
DOCUMENTS = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.exists() and PYTHON_BLOCK.search(path.read_text())
]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "tfnorm").rglob("*.py"))
    if ">>>" in path.read_text()
]


def namespace(module):
    """What an example uses without importing it: the public names, its package's and its module's."""
    public = {name: getattr(tfnorm, name) for name in tfnorm.__all__}
    package = importlib.import_module(module.__name__.rpartition(".")[0] or "tfnorm")
    package = {name: getattr(package, name) for name in getattr(package, "__all__", ())}
    names = {"tf": tf, "np": np, "keras": keras, "tfnorm": tfnorm}
    return {**names, **public, **package, **vars(module)}


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    tests = [test for test in finder.find(module, globs=namespace(module)) if test.examples]
    assert tests
    report = []
    for test in tests:
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_blocks_of_python_in_the_documents(path, tmp_path, monkeypatch):
    """Each goes on from those before it in the same document."""
    monkeypatch.chdir(tmp_path)
    # The first layer of a class is called after it, whatever tests were here before.
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    text, names = path.read_text(), {"__name__": "__main__"}
    for block in PYTHON_BLOCK.finditer(text):
        lines_before = text.count("\n", 0, block.start(1))
        exec(compile("\n" * lines_before + block[1], str(path), "exec"), names)

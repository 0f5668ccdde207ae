"""Every public name has a page, and its docstring says what it takes, what it raises and how it is used."""

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import get_origin

import keras
import pytest

PAGES = sorted((Path(__file__).parents[1] / "docs" / "reference").glob("*.md"))
MODULES = [f"tfnorm.{page.stem}" for page in PAGES if page.stem not in ("index", "command-line")]
KERAS_CALLS_THEM = {"build", "call", "compute_output_shape"}
RAISE_NOTHING = {
    *("as_logs", "as_splits", "has_gauc", "to_junit"),
    *("AUGRUCell", "MaskedMean", "NumpyPredictor", "Partial", "Scorer", "TargetAttention"),
}


def public(module):
    """The names of a module that are no modules, with what they are."""
    module = importlib.import_module(module)
    found = {name: getattr(module, name) for name in module.__all__ if name != "__version__"}
    return {name: value for name, value in found.items() if not inspect.ismodule(value)}


DOCUMENTED = {
    f"{module}.{name}": value
    for module in MODULES
    for name, value in public(module).items()
    # On Python 3.10 what stands for a type, such as a Callable[...], is a class, too.
    if (inspect.isclass(value) and get_origin(value) is None) or inspect.isroutine(value)
}
OTHER_NAME = "tfnorm.verify.batch_invariance"
every_name = pytest.mark.parametrize("name", sorted(DOCUMENTED))


def sections(docstring):
    """The text of each section of a docstring of Google's style; what comes before them is ''."""
    parts = re.split(r"^([A-Z][\w ]*):\n", docstring, flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], map(indented, parts[2::2]), strict=True))}


def indented(text):
    """The lines before the first that is not indented."""
    return textwrap.dedent(re.split(r"^(?=\S)", text, flags=re.M)[0])


def entries(section):
    """The names that a section describes, with what it says of them."""
    found = {}
    for names, text in re.findall(r"^([\w*, ]+): (.*(?:\n(?:[ ].*)?)*)", section, re.M):
        found.update({name.strip(" *"): " ".join(text.split()) for name in names.split(",")})
    return found


def parameters(value):
    """What is given to a function, or to a class to make one, but for what it hands on to Keras."""
    if issubclass_of(value, Exception) or issubclass_of(value, keras.layers.Embedding):
        return []
    found = inspect.signature(value).parameters.values()
    return [p for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


def issubclass_of(value, base):
    return inspect.isclass(value) and issubclass(value, base)


def described(value):
    """The arguments and attributes that are described, those of the classes that it is made of too."""
    found = {}
    for made_of in reversed(value.__mro__ if inspect.isclass(value) else (value,)):
        if made_of.__module__.startswith("tfnorm"):
            said = sections(inspect.getdoc(made_of) or "")
            found.update(entries(said.get("Args", "") + "\n" + said.get("Attributes", "")))
    return found


def is_record(value):
    """Whether it is a dataclass that takes whatever it is given."""
    return dataclasses.is_dataclass(value) and "__post_init__" not in vars(value)


def test_each_public_name_has_its_place_on_one_page():
    listed = re.findall(r"^::: (\S+)", "\n".join(page.read_text() for page in PAGES), re.M)
    expected = {f"{module}.{name}" for module in MODULES for name in public(module)}
    assert len(listed) == len(set(listed))
    assert not expected - set(listed) - {OTHER_NAME}
    # What a report consists of is told where the report is, and is not imported.
    parts = [name.rpartition(".") for name in set(listed) - expected]
    assert not [
        parts for module, _, name in parts if not hasattr(importlib.import_module(module), name)
    ]


def test_the_names_at_the_top_are_those_of_the_modules():
    elsewhere = {id(value) for module in MODULES for value in public(module).values()}
    assert not [name for name, value in public("tfnorm").items() if id(value) not in elsewhere]


@every_name
def test_a_name_is_what_it_is_imported_as(name):
    if name != OTHER_NAME:
        assert DOCUMENTED[name].__name__ == name.rpartition(".")[2]


@every_name
def test_a_docstring_describes_each_argument(name):
    value = DOCUMENTED[name]
    texts = described(value)
    for parameter in parameters(value):
        text = texts.get(parameter.name, "")
        assert len(text.split()) >= 3 and not text.startswith("of "), f"{parameter.name}: {text!r}"
        assert parameter.annotation is not parameter.empty, parameter.name
        if parameter.default is None:
            assert re.search(r"\bNone\b", text), f"{parameter.name} does not say what None is"


@every_name
def test_a_docstring_has_an_example_and_the_errors(name):
    value = DOCUMENTED[name]
    said = sections(inspect.getdoc(value))
    assert re.match(r"[A-Z`].*[.?:]$", said[""].split("\n\n")[0].replace("\n", " ")), said[""]
    example = textwrap.dedent(said.get("Example", "").strip("\n"))
    assert ">>>" in example or ast.parse(example).body
    if not is_record(value) and not issubclass_of(value, Exception):
        assert ("Raises" in said) != (value.__name__ in RAISE_NOTHING)


@every_name
def test_each_method_of_its_own_is_described(name):
    value = DOCUMENTED[name]
    if not inspect.isclass(value):
        return
    own = [
        method
        for method, member in vars(value).items()
        if not method.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property))
    ]
    assert not [
        m for m in own if m not in KERAS_CALLS_THEM and not inspect.getdoc(getattr(value, m))
    ]

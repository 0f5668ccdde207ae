"""The commands that documents and help texts show, in the order in which a reader meets them."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from tfnorm.cli.group import tfnorm

ROOT = Path(__file__).parents[1]
PROGRAMS = ("tfnorm", "python", "make", "pip", "docker", "kubectl", "curl")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SHELL = ("", "sh", "console")
_PLACEHOLDER = re.compile(r"\$\w+|\.\.\.|^[A-Z]+$")


def blocks(text, kind):
    """The code in the fences of a page that are of this kind."""
    return [code for found, code in _FENCE.findall(text) if found == kind]


@dataclass(frozen=True)
class Shown:
    """A command.

    Attributes:
        text: as it is printed.
        inline: whether it stands in a sentence, where it may be only the beginning of one.
    """

    text: str
    inline: bool

    @property
    def words(self) -> list[str]:
        words = shlex.split(self.text, comments=True)
        words = words[: words.index("&")] if "&" in words else words
        return [words[0].removeprefix(".venv/bin/"), *words[1:]]

    @property
    def is_template(self) -> bool:
        """Whether a reader puts words of their own in."""
        return any(_PLACEHOLDER.search(word) for word in self.words[1:])


def documents() -> dict[str, str]:
    """Each page's name and text; of a notebook, what it says between its cells."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    pages += [ROOT / "serving" / "README.md", ROOT / "benchmarks" / "README.md"]
    found = {str(page.relative_to(ROOT)): page.read_text() for page in pages}
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(notebook.read_text())["cells"]
        said = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        found[str(notebook.relative_to(ROOT))] = "\n\n".join(said)
    return found


def helps() -> dict[str, str]:
    """Each command's help."""
    found = {}
    for name in tfnorm.list_commands(click.Context(tfnorm)):
        command = getattr(importlib.import_module(f"tfnorm.cli.commands.{name}"), name)
        with click.Context(command, info_name=f"tfnorm {name}") as context:
            found[f"tfnorm {name} --help"] = command.get_help(context).partition("\nOptions:")[0]
    return found


def commands(text: str) -> list[Shown]:
    """The commands of a page."""
    found: list[tuple[int, Shown]] = []
    for fence in _FENCE.finditer(text):
        if fence[1] in _SHELL:
            found += _of_block(fence[2], fence.start())
    rest = _FENCE.sub(lambda fence: " " * len(fence[0]), text)
    for block in re.finditer(r"(?:^(?: {4}.*)?\n)*^ {4}.*$", rest, re.MULTILINE):
        found += _of_block(block[0], block.start())
    for code in re.finditer(r"`([^`\n]+(?:\n[^`\n]+)?)`", rest):
        words = code[1].split()
        if len(words) > 1 and words[0].removeprefix(".venv/bin/") in PROGRAMS:
            found.append((code.start(), Shown(" ".join(words), True)))
    return [shown for _, shown in sorted(found, key=lambda pair: pair[0])]


def _of_block(block: str, start: int) -> list[tuple[int, Shown]]:
    lines = [line.strip() for line in block.split("\n")]
    prompted = any(line.startswith("$ ") for line in lines)
    found, at = [], 0
    while at < len(lines):
        line, at = lines[at], at + 1
        if prompted and not line.startswith("$ "):
            continue
        line = line.removeprefix("$ ")
        if line.partition(" ")[0].removeprefix(".venv/bin/") not in PROGRAMS:
            continue
        while at < len(lines) and (line.endswith("\\") or not _is_whole(line)):
            line, at = f"{line.removesuffix(chr(92))} {lines[at]}", at + 1
        found.append((start + at, Shown(line, False)))
    return found


def _is_whole(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return True

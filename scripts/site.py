"""What the documentation site has beside `docs/`: MkDocs calls these hooks (`mkdocs.yml` names this file).

The documents of the other folders become pages where they lie, README.md becomes the start page, a notebook
becomes a page with its outputs, and the command line's help becomes one page. Links are to files of the
repository: those to a page lead to the page, and those to any other file become its name.
"""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    *("CHANGELOG", "CONTRIBUTING", "ARCHITECTURE", "SECURITY", "CODE_OF_CONDUCT", "RELEASING"),
    *("serving/README", "benchmarks/README", "benchmarks/results/ctr"),
)
# A name of the reference, where nothing follows that says how it is shown.
NAME = re.compile(r"^::: (tfnorm(?:\.\w+)+)$(?!\n {4})", re.MULTILINE)
LINK = re.compile(r"(!?)\[((?:[^][]|\[[^]]*\])*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in `docs/`."""

    def add(place: str, content: str | bytes) -> None:
        files.append(File.generated(config, place, content=content))

    for name in ("README", *DOCUMENTS):
        add(_page(f"{name}.md"), (ROOT / f"{name}.md").read_text())
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text, pictures = _notebook(path)
        add(f"notebooks/{path.stem}.md", text)
        for name, content in pictures.items():
            add(f"notebooks/{name}", content)
    for path in sorted((ROOT / "benchmarks" / "results").glob("*")):
        if path.suffix in (".png", ".svg"):
            add(f"benchmarks/results/{path.name}", path.read_bytes())
    add("reference/command-line.md", "\n".join(_commands()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages where those of the repository lead to files, and names to what is imported."""
    here = page.file.src_uri
    # What a file's links start from: those in docs/ are one folder deeper than their pages.
    inside = (Path(config.docs_dir) / here).exists()
    folder = posixpath.dirname(f"docs/{here}" if inside else here)

    def lead(link: re.Match[str]) -> str:
        picture, text, target, anchor = link.groups()
        name = posixpath.normpath(posixpath.join(folder, target))
        place = _page(name)
        if files.get_file_from_path(place) is None:
            if not (ROOT / name).exists():
                return link[0]
            return f"{text} (`{name}`)" if name not in text else text
        relative = posixpath.relpath(place, posixpath.dirname(here) or ".")
        return f"{picture}[{text}]({relative}{anchor or ''})"

    return NAME.sub(_not_the_module, LINK.sub(lead, markdown))


def _page(name: str) -> str:
    """Where the page of a document of the repository lies.

    A README in a folder would be the first page of its section, which shows no name for it.
    """
    if name == "README.md":
        return "index.md"
    place = re.sub(r"\.ipynb$", ".md", name.removeprefix("docs/"))
    return re.sub(r"(\w+)/README\.md$", r"\1/\1.md", place)


def _not_the_module(name: re.Match[str]) -> str:
    """The function, where a module beside it has its name: what is read is the source, which has both."""
    if not (ROOT / name[1].replace(".", "/")).with_suffix(".py").exists():
        return name[0]
    heading = f"{{heading: {name[1]}, toc_label: {name[1]}}}"
    return f"::: {name[1]}.{name[1].rpartition('.')[2]}\n    options: {heading}"


def _notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by their names."""
    text, resources = MarkdownExporter().from_filename(path)
    pictures = {f"{path.stem}-{name}": content for name, content in resources["outputs"].items()}
    for name in resources["outputs"]:
        text = text.replace(f"]({name})", f"]({path.stem}-{name})")
    return text, pictures


def _commands() -> Iterator[str]:
    """The help of each command, as a page."""
    yield "# The command line\n\n`tfnorm COMMAND --help` prints what stands here.\n"
    commands = re.findall(r"^  ([a-z]+) ", _help().partition("Commands:")[2], re.M)
    for name in commands:
        yield f"## tfnorm {name}\n\n```text\n{_help(name)}```\n"


def _help(*command: str) -> str:
    """What a command's `--help` prints."""
    return subprocess.run(
        [sys.executable, "-m", "tfnorm", *command, "--help"],
        env={**os.environ, "COLUMNS": "100"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

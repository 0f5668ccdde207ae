"""The files around the package: hosts take them, and what they name is there."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tfnorm

ROOT = Path(__file__).parents[1]
SCHEMAS = [
    ("citation-file-format", ["CITATION.cff"]),
    ("github-workflows", sorted((ROOT / ".github" / "workflows").glob("*.yml"))),
    ("github-issue-config", [".github/ISSUE_TEMPLATE/config.yml"]),
    (
        "github-issue-forms",
        [p for p in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")) if p.stem != "config"],
    ),
]
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("[sbn]*/*.md")})
GENERATED = ("command-line.md",)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
PATH = re.compile(r"`((?:tfnorm|tests|docs|scripts|benchmarks|serving|\.github)/[\w./-]+)`")


@pytest.mark.parametrize(("schema", "files"), SCHEMAS, ids=[name for name, _ in SCHEMAS])
def test_a_host_takes_its_files(schema, files):
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_in_a_document_lead_somewhere(path):
    text = path.read_text()
    targets = [path.parent / link for link in LINK.findall(text)]
    named = [ROOT / name for name in PATH.findall(text)]
    missing = [target for target in (*targets, *named) if not target.exists()]
    assert [target for target in missing if target.name not in GENERATED] == []


def test_the_picture_has_each_room_on_its_floor():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import rooms
    finally:
        sys.path.pop(0)
    drawn = re.findall(r'class="(floor|name)"[^>]*>([^<]+)', rooms.PICTURE.read_text())
    house = rooms.floors()
    expected = []
    for floor, names in zip(reversed(range(len(house))), house, strict=True):
        expected += [("floor", str(floor)), *(("name", name) for name in names)]
    assert drawn == expected, "run python scripts/rooms.py"


def test_the_version_is_the_same_wherever_it_stands():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.+)$", citation, re.M)[1] == tfnorm.__version__
    assert f"\n## {tfnorm.__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_project_has_no_address_but_the_placeholder_or_a_real_one():
    """Both files change together: one with the placeholder left is not released."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    urls = dict(line.split(" = ") for line in config["metadata"]["project_urls"].split("\n")[1:])
    assert {"Documentation", "Source", "Issues", "Changes"} <= set(urls)
    citation = (ROOT / "CITATION.cff").read_text()
    assert all(url.startswith("https://") for url in urls.values())
    assert f"repository-code: {urls['Source']}\n" in citation


def test_what_the_pitfalls_cost_is_the_same_in_the_readme_as_in_the_results():
    *_, table = (ROOT / "README.md").read_text().split("## The two pitfalls")[1].split("\n| | ")
    table = "| | " + table.split("\n\n")[0]
    assert "never updated" in table
    assert table in (ROOT / "benchmarks" / "results" / "ctr.md").read_text()

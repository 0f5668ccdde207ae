"""Run the tests with the oldest and the newest TensorFlow and Keras on each Python.

    python scripts/matrix.py                                      # all cells: hours
    python scripts/matrix.py --python 3.12 --versions oldest      # one
    python scripts/matrix.py --python 3.12 -- tests/layers -x     # and what pytest is told
    python scripts/matrix.py -- -n 3 -m "not slow"                # without the slow tests: an hour

Each cell has an environment of its own, which is left in `.matrix/`. `oldest` is the lowest TensorFlow
that the index has for that Python within the bounds of setup.cfg, with the lowest Keras that goes with
it; `newest` is the highest of each; `nightly` is `newest` with `keras-nightly` in the place of Keras,
which may fail, and is tried on the newest Python alone unless it is asked for. The Pythons are those that
uv finds or fetches, and those of pyenv. The exit status is 1 if a test failed in a cell that may not fail,
or if a cell that was asked for by `--python` could not be installed.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".matrix"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
VERSIONS = ("oldest", "newest", "nightly")
UV = (sys.executable, "-m", "uv", "--quiet")
HEAD = (
    "| Python | versions | TensorFlow | Keras | passed | failed | skipped | minutes |\n"
    "|---|---|---|---|---|---|---|---|"
)


class NotToBeHad(Exception):
    """The index, or this machine, has not what a cell needs."""


@dataclass(frozen=True)
class Cell:
    """What one environment's tests gave."""

    python: str
    versions: str
    tensorflow: str
    keras: str
    passed: int
    failed: int
    skipped: int
    minutes: float

    def __str__(self) -> str:
        return (
            f"| {self.python} | {self.versions} | {self.tensorflow} | {self.keras} | {self.passed:,} "
            f"| {self.failed:,} | {self.skipped:,} | {self.minutes:.1f} |"
        )


def uv(*arguments: str | Path, given: str | None = None) -> str:
    """What uv prints.

    Raises:
        NotToBeHad: with the last line of its error.
    """
    done = subprocess.run(
        [*UV, *arguments], input=given, capture_output=True, text=True, cwd=ROOT, env=with_pyenv()
    )
    if done.returncode:
        raise NotToBeHad(" ".join(done.stderr.split())[-300:])
    return done.stdout


def with_pyenv() -> dict[str, str]:
    """The environment in which pyenv's commands run each Python that it has, not only the chosen one."""
    if shutil.which("pyenv") is None:
        return {**os.environ}
    listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True)
    return {**os.environ, "PYENV_VERSION": ":".join(listed.stdout.split())}


def bounds() -> str:
    """The requirements on TensorFlow and Keras, as setup.cfg has them."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].split("\n")
    return "\n".join(line for line in lines if re.match(r"(tensorflow|keras) ", line))


def install(python: str, versions: str) -> Path:
    """An environment with the package and what its tests need: the path of its Python."""
    place = PLACE / f"{python}-{versions}"
    uv("venv", "--clear", "--python", python, place)
    found = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    constraints = place / "constraints.txt"
    constraints.write_text("")
    if versions == "oldest":
        lowest = ("--resolution", "lowest-direct", "--only-binary", "tensorflow")
        chosen = uv("pip", "compile", "--python", found, *lowest, "-", given=bounds())
        kept = re.findall(r"^(?:tensorflow|keras)==\S+", chosen, re.M)
        constraints.write_text("\n".join(kept))
    uv("pip", "install", "--python", found, "-c", constraints, "--editable", ".[test]")
    if versions == "nightly":
        uv("pip", "uninstall", "--python", found, "keras")
        uv("pip", "install", "--python", found, "keras-nightly")
    return found


def installed(python: Path, name: str) -> str:
    """The version of a package in an environment."""
    code = f"import importlib.metadata; print(importlib.metadata.version({name!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def run(python: str, versions: str, arguments: list[str]) -> Cell:
    """One cell: installed and tested."""
    executable = install(python, versions)
    report = PLACE / f"{python}-{versions}.xml"
    start = time.monotonic()
    workers = ["-n", "2", "--dist", "worksteal"]
    subprocess.run(
        [executable, "-m", "pytest", "-q", *workers, f"--junitxml={report}", *arguments], cwd=ROOT
    )
    suite = ElementTree.parse(report).getroot().find("testsuite")
    counted = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    failed = counted["failures"] + counted["errors"]
    return Cell(
        python,
        versions,
        installed(executable, "tensorflow"),
        installed(executable, "keras-nightly" if versions == "nightly" else "keras"),
        counted["tests"] - failed - counted["skipped"],
        failed,
        counted["skipped"],
        (time.monotonic() - start) / 60,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", choices=PYTHONS, action="append", help="may be repeated")
    parser.add_argument("--versions", choices=VERSIONS, action="append", help="may be repeated")
    parser.add_argument("arguments", nargs="*", help="of pytest")
    given = parser.parse_args()
    rows, failed = [], False
    for python in given.python or PYTHONS:
        released = [one for one in VERSIONS if one != "nightly" or python == PYTHONS[-1]]
        for versions in given.versions or released:
            try:
                cell = run(python, versions, given.arguments)
                rows.append(str(cell))
                failed |= versions != "nightly" and (cell.failed > 0 or cell.passed == 0)
            except NotToBeHad as error:
                rows.append(f"| {python} | {versions} | not to be had | | | | | |")
                print(f"{python} {versions}: {error}", file=sys.stderr)
                failed |= bool(given.python) and versions != "nightly"
            print(rows[-1], flush=True)
    print("\n" + "\n".join((HEAD, *rows)))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

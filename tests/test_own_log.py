"""The page on one's own log runs as printed, from Parquet to a verified server."""

import json
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import curl, free_port, run
from shown_commands import blocks

from tfnorm.metrics import auc
from tfnorm.schema import Schema
from tfnorm.server import Server

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "your-own-log.md"
write = runpy.run_path(str(ROOT / "benchmarks" / "own_log.py"))["write"]


def commands():
    (block,) = blocks(PAGE.read_text(), "sh")
    return [shlex.split(line, comments=True) for line in block.splitlines()]


def client():
    """What the page's client defines, which asks over gRPC."""
    shown = blocks(PAGE.read_text(), "python")
    names = {}
    exec(next(block for block in shown if "import grpc" in block), names)
    return names


@pytest.mark.slow
def test_the_commands_run_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ports = {"8500": free_port(), "8501": free_port()}
    server = None
    assert len(commands()) < 20
    try:
        for program, *arguments in commands():
            for port, free in ports.items():
                arguments = [argument.replace(port, str(free)) for argument in arguments]
            if program == "mkdir":
                Path(arguments[-1]).mkdir(parents=True)
            elif program == "python":
                assert arguments[0] == "benchmarks/own_log.py" and arguments[2] == "--rows"
                write(Path(arguments[1]), 3_000, items=400)
            elif arguments[0] == "serve":
                assert arguments[-1] == "&"
                _, directory, _, name, _ = arguments
                server = Server(directory, name, port=ports["8500"], rest_port=ports["8501"])
                server.start()
            elif program == "curl":
                by_rest = curl(arguments)["predictions"]
                (row,) = json.loads(arguments[arguments.index("-d") + 1])["instances"]
            else:
                assert run(*arguments) == 0, capsys.readouterr()
        new_user = {**row, "hist_items": [], "hist_categories": [], "hist_seconds": []}
        scores, version = client()["ask"]([row, new_user], f"127.0.0.1:{ports['8500']}")
        assert 0 < by_rest[0][0] < 1 and version == 1
        np.testing.assert_allclose(scores[:1], by_rest, atol=1e-6)
    finally:
        if server is not None:
            server.stop()
    assert Schema.load("data/schema.json").histories


def test_the_schema_on_the_page_is_one():
    (form,) = blocks(PAGE.read_text(), "json")
    schema = Schema.from_dict(json.loads(form))
    assert schema.target == ("item", "category") and len(schema.histories) == 1


def test_the_best_auc_of_the_log_is_that_of_its_clicks(tmp_path):
    import pyarrow.parquet

    said = write(tmp_path, 20_000, items=400, seed=3)
    table = pyarrow.parquet.read_table(tmp_path / "test").to_pydict()
    familiar = np.array(
        [c in past for c, past in zip(table["category"], table["hist_categories"], strict=True)]
    )
    # What is known of a click without the tags' effects ranks nearly as well as all that is known.
    known = auc(np.array(table["click"]), 3 * familiar - 0.8 * np.log(table["price"]))
    assert said["best_auc"] - 0.06 < known < said["best_auc"] + 0.02
    assert (said["train"], said["test"]) == (18_000, 2_000) == (18_000, len(table["click"]))

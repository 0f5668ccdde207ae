import pytest
from command_line import run


def test_an_export_can_be_asked_for_the_same_bits_in_every_batch(
    clean_file, few_examples, exported, folder
):
    directory = folder / "bitwise"
    options = ["--examples", few_examples, "--batch-invariance", "bitwise"]
    assert run("export", clean_file, directory, *options) == 0
    assert run("verify", directory, "--bitwise") == 0
    assert run("verify", exported, "--bitwise") == 1


def test_a_name_in_a_deployment_needs_a_deployment(clean_file, tmp_path, capsys):
    assert run("export", clean_file, tmp_path / "exports", "--name", "ranker") == 2
    assert "it needs --serving-config" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere.keras", "exports"], "nowhere.keras"),
        (["m.keras", "exports", "--batch-invariance", "exact"], "'exact' is not one of"),
    ],
)
def test_bad_input_gets_one_line_and_exit_status_2(
    arguments, reason, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run("export", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ") and reason in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())

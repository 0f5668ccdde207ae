import zipfile

import numpy as np
import pytest

from tfnorm.examples.formats.npz import read_npz


def test_an_array_larger_than_what_is_read_at_a_time_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("tfnorm.examples.formats.npz._BLOCK_BYTES", 100)
    x = np.random.default_rng(0).normal(size=(333, 2)).astype(np.float32)
    for name, array in {"rows": x, "columns": np.asfortranarray(x)}.items():
        np.savez_compressed(tmp_path / f"{name}.npz", x=array)
        for limit in (None, 7, 332):
            table = read_npz(tmp_path / f"{name}.npz", limit)
            kept = np.linspace(0, 332, limit or 333).astype(int)
            np.testing.assert_array_equal(table.arrays["x"], x[kept], strict=True)


def test_the_rows_of_each_array_are_kept_alike_and_counted(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.arange(10.0), id=np.arange(20).reshape(10, 2), rate=0.5)
    table = read_npz(tmp_path / "x.npz", 4)
    assert table.given == 10
    assert table.arrays["x"].tolist() == [0, 3, 6, 9]
    assert table.arrays["id"][:, 0].tolist() == [0, 6, 12, 18]
    assert table.arrays["rate"] == 0.5


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3)),
        np.zeros((5, 0)),
        np.array([b"a", b"bcd"]),
        np.array(["né", "b"]),
        np.array([True, False]),
        np.array([[1 + 2j]]),
    ],
    ids=str,
)
def test_any_array_without_objects_comes_back(tmp_path, array):
    np.savez(tmp_path / "x.npz", x=array)
    np.testing.assert_array_equal(
        read_npz(tmp_path / "x.npz", None).arrays["x"], array, strict=True
    )


def test_an_array_that_ends_too_early_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((100, 3)))
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        content = archive.read("x.npy")
    for length in (len(content) - 1, len(content) // 2):
        with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive:
            archive.writestr("x.npy", content[:length])
        with pytest.raises(ValueError, match="ends too early"):
            read_npz(tmp_path / "short.npz", 10)

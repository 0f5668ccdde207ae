import pyarrow as pa
import pyarrow.parquet
import pytest

from tfnorm.files.arrow import open_parquet


def flipped(path, *, checksums):
    """A file of which a bit of the last string is another one."""
    table = pa.table({"word": ["books", "toys", "beauty"]})
    pa.parquet.write_table(
        table, path, write_page_checksum=checksums, compression="none", use_dictionary=False
    )
    content = bytearray(path.read_bytes())
    content[content.index(b"\6\0\0\0beauty") + 4] ^= 1
    path.write_bytes(content)
    return path


def words(path):
    with open_parquet(path) as file:
        return file.read()["word"].to_pylist()


def test_a_page_that_is_not_what_its_checksum_says_is_an_error(tmp_path):
    with pytest.raises(OSError, match="CRC checksum verification failed"):
        words(flipped(tmp_path / "a.parquet", checksums=True))


def test_a_flipped_bit_of_a_page_without_a_checksum_can_not_be_noticed(tmp_path):
    assert words(flipped(tmp_path / "a.parquet", checksums=False)) == ["books", "toys", "ceauty"]

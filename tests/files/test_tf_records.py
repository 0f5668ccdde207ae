import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.files.tf_records import tf_records


def write(path, count, compression=""):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for number in range(count):
            writer.write(b"%04d" % number)
    return path


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_records_come_in_order(compression, tmp_path):
    path = write(tmp_path / "records", 3000, compression)
    assert [int(record) for record in tf_records(path, compression)] == list(range(3000))


@pytest.mark.parametrize("damaged", [0, 7, 1023, 1024, 2500])
def test_a_damaged_record_is_named_after_those_before_it(damaged, tmp_path):
    path = write(tmp_path / "records", 3000)
    content = bytearray(path.read_bytes())
    content[damaged * len(content) // 3000 + 13] ^= 1
    path.write_bytes(content)
    found = []
    reason = rf"^record {damaged} is damaged: corrupted record at \d+$"
    with pytest.raises(InputError, match=reason):
        for record in tf_records(path, ""):
            found.append(int(record))
    assert found == list(range(damaged))


def test_what_is_no_such_file_is_refused(tmp_path):
    path = tmp_path / "records"
    path.write_bytes(b"this is no TFRecord at all, but long enough")
    with pytest.raises(InputError, match="record 0 is damaged"):
        list(tf_records(path, ""))

import gzip
import time
import tracemalloc

import pytest

from tfnorm.errors import InputError
from tfnorm.server.rest.body import unpacked


def test_a_body_without_an_encoding_stays_as_it_is():
    assert unpacked(b"abc", "", 3) == b"abc"
    assert unpacked(gzip.compress(b"abc", mtime=0), "identity", 10) == gzip.compress(
        b"abc", mtime=0
    )


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "identity, gzip"])
def test_a_gzipped_body_is_unpacked(encoding):
    assert unpacked(gzip.compress(b"abc"), encoding, 3) == b"abc"
    assert unpacked(gzip.compress(b"ab") + gzip.compress(b"c"), encoding, 3) == b"abc"
    assert unpacked(b"", encoding, 3) == b""


@pytest.mark.parametrize(
    "body",
    [b"abc", gzip.compress(b"abc", mtime=0)[:-1], gzip.compress(b"abc", mtime=0) + b"x"],
    ids=["another form", "cut short", "more behind it"],
)
def test_what_is_not_gzip_is_refused(body):
    with pytest.raises(InputError, match="can't be unpacked as gzip"):
        unpacked(body, "gzip", 10)


def test_a_body_is_unpacked_no_further_than_the_bound():
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(InputError, match="over 100,000 bytes when it is unpacked"):
        unpacked(bomb, "gzip", 100_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20


def test_many_members_take_the_time_of_their_bytes():
    body = gzip.compress(b"") * 100_000 + gzip.compress(b"abc")
    began = time.monotonic()
    assert unpacked(body, "gzip", 10) == b"abc"
    assert time.monotonic() - began < 2

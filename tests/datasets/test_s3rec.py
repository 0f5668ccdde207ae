import hashlib
import importlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tfnorm.datasets import download
from tfnorm.errors import InputError

s3rec = importlib.import_module("tfnorm.datasets.s3rec")
FILES = {"Beauty.txt": b"1 1 2 3\n", "Beauty_item2attributes.json": b'{"1": [1]}'}


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        self.server.requests.append(self.path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A mirror on loopback whose two files are the published ones, as far as `download` knows."""
    published = tmp_path / "published"
    published.mkdir()
    for name, content in FILES.items():
        (published / name).write_bytes(content)
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(s3rec, "_SHA256", {"Beauty": checksums})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=published)) as server:
        server.requests = []
        server.published = published
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_both_files_are_fetched_and_nothing_else_is_left(server, tmp_path):
    target = tmp_path / "new" / "folder"
    paths = download(target, "Beauty", source=server.url)
    assert paths == [target / name for name in FILES]
    assert {path.name: path.read_bytes() for path in target.iterdir()} == FILES


def test_files_that_are_there_are_not_fetched_again(server, tmp_path):
    (tmp_path / "Beauty.txt").write_bytes(FILES["Beauty.txt"])
    download(tmp_path, "Beauty", source=server.url)
    download(tmp_path, "Beauty", source=server.url)
    assert len(server.requests) == 1
    assert "/Beauty_item2attributes.json" in server.requests[0]


def test_a_file_with_another_checksum_is_refused_and_nothing_is_written(server, tmp_path):
    (server.published / "Beauty_item2attributes.json").write_bytes(b'{"1": [2]}')
    with pytest.raises(InputError, match=r"Beauty_item2attributes\.json is not the published file"):
        download(tmp_path / "new", "Beauty", source=server.url)
    assert not (tmp_path / "new").exists()


def test_a_file_of_the_user_by_that_name_is_not_overwritten(server, tmp_path):
    (tmp_path / "Beauty.txt").write_bytes(b"1 7 8 9\n")
    with pytest.raises(InputError, match=r"Beauty\.txt is not the published file.*move it away"):
        download(tmp_path, "Beauty", source=server.url)
    assert (tmp_path / "Beauty.txt").read_bytes() == b"1 7 8 9\n"
    assert server.requests == []


def test_a_missing_file_and_an_absent_server_are_named(server, tmp_path):
    (server.published / "Beauty.txt").unlink()
    with pytest.raises(InputError, match=r"Beauty\.txt can't be fetched: 404"):
        download(tmp_path / "new", "Beauty", source=server.url)
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:9/Beauty\.txt can't be fetched"):
        download(tmp_path / "new", "Beauty", source="http://127.0.0.1:9")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match=r"taken.Beauty\.txt can't be written"):
        download(tmp_path / "taken", "Beauty", source=server.url)


def test_an_unknown_category_is_refused(tmp_path):
    known = "'Beauty', 'Sports_and_Outdoors', 'Toys_and_Games'"
    with pytest.raises(InputError, match=f"'Books' can't be downloaded; there are {known}"):
        download(tmp_path, "Books")

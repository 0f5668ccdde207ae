"""The Amazon reviews' files, from where S3-Rec publishes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tfnorm.errors import InputError, optional

SOURCE = (
    "https://raw.githubusercontent.com/RUCAIBox/CIKM2020-S3Rec/"
    "2a81540ae18615d88ef88227b0c066e5b74781e5/data"
)
_SHA256 = {
    "Beauty": {
        "Beauty.txt": "226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8",
        "Beauty_item2attributes.json": (
            "129e40f67486f6877eff0f5318cfa8530ee8ac23d8b0d1de04e1bb7a2ba0b2d4"
        ),
    },
    "Sports_and_Outdoors": {
        "Sports_and_Outdoors.txt": (
            "2a095e0648872beb9982408958290f5d655db5be2911c3756b5446de9f0b8de2"
        ),
        "Sports_and_Outdoors_item2attributes.json": (
            "7fb10733ac4f1811384a52144cdefa7fcc7536fa80a7232c5da9bd789155c34b"
        ),
    },
    "Toys_and_Games": {
        "Toys_and_Games.txt": "176c680c688d497598c4a89a03b402c0fe78d795e5db335c2e78dd5f2d778a3f",
        "Toys_and_Games_item2attributes.json": (
            "d371acd25101eedac04afc727626464b7acec770c4eda708705d51eb76eb1ad0"
        ),
    },
}


def download(directory: str | Path, category: str, *, source: str = SOURCE) -> list[Path]:
    """Fetch the two files that `amazon` reads, and check that they are the published ones.

    Files that are there already are kept, and not fetched again.

    Args:
        directory: the folder to put them in; it is made where there is none.
        category: `Beauty`, `Sports_and_Outdoors` or `Toys_and_Games`.
        source: the URL of the folder to fetch from, for those who keep a mirror.

    Returns:
        The paths of the two files.

    Raises:
        InputError: the category is unknown, a file can't be fetched or written, or one (fetched or
            there already) is not the published one. No file is written unless both are right.

    Example:

        download("data/amazon", "Beauty")
        log = amazon("data/amazon", "Beauty")

    Reference:
        https://github.com/RUCAIBox/CIKM2020-S3Rec.
    """
    if category not in _SHA256:
        raise InputError(
            f"category {category!r} can't be downloaded; there are {', '.join(map(repr, _SHA256))}"
        )
    directory = Path(directory)
    paths = {directory / name: checksum for name, checksum in _SHA256[category].items()}
    contents = {
        path: _fetch(f"{source.rstrip('/')}/{path.name}", checksum)
        for path, checksum in paths.items()
        if not _is_there(path, checksum)
    }
    for path, content in contents.items():
        _write(path, content)
    return list(paths)


def _is_there(path: Path, checksum: str) -> bool:
    if not path.exists():
        return False
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error
    if found != checksum:
        raise InputError(
            f"{path} is not the published file: its SHA-256 is {found}, not {checksum}; "
            "move it away to download that one"
        )
    return True


def _fetch(url: str, checksum: str) -> bytes:
    requests = optional("requests", "downloading", "serving")
    try:
        response = requests.get(url, timeout=30)
        response.raise_for_status()
    except requests.RequestException as error:
        raise InputError(f"{url} can't be fetched: {error}") from error
    found = hashlib.sha256(response.content).hexdigest()
    if found != checksum:
        raise InputError(f"{url} is not the published file: its SHA-256 is {found}, not {checksum}")
    content: bytes = response.content
    return content


def _write(path: Path, content: bytes) -> None:
    """Written beside its place and renamed into it: there is never half a file."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}") from error

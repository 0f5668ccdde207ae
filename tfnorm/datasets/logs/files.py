"""Which files a log is made of."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from pathlib import Path

from tfnorm.errors import InputError

Files = str | Path | Sequence[str | Path]

_END = 1 << 16


def find(files: Files, suffixes: Sequence[str]) -> list[Path]:
    """The files of paths, folders and patterns: those of a folder, below it too, by their names' endings.

    Raises:
        InputError: there is none.
    """
    given = [files] if isinstance(files, (str, Path)) else list(files)
    found: list[Path] = []
    for each in given:
        here = sorted(map(Path, glob.glob(str(each), recursive=True)))  # noqa: PTH207 - a whole path may be a pattern
        if Path(each).exists():
            here = [Path(each)]
        for path in here:
            if path.is_dir():
                found += [p for p in sorted(path.rglob("*")) if p.name.endswith(tuple(suffixes))]
            else:
                found.append(path)
        if not here:
            raise InputError(f"{each} is no file; accepted: files, folders and patterns of them")
    if not found:
        raise InputError(
            f"{', '.join(map(str, given)) or 'files'}: none ends in {', '.join(suffixes)}; "
            "accepted: files, folders and patterns of them"
        )
    return list(dict.fromkeys(found))


def mark(path: Path) -> str:
    """What tells a file from another: its name, its size, its beginning and its end."""
    size = path.stat().st_size
    digest = hashlib.sha256(f"{path.name} {size}".encode())
    with path.open("rb") as file:
        digest.update(file.read(_END))
        file.seek(max(0, size - _END))
        digest.update(file.read(_END))
    return digest.hexdigest()

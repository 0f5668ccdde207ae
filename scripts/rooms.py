"""Draw the picture of ARCHITECTURE.md from `.importlinter`: `python scripts/rooms.py`.

The contract "house" of that file lists the floors; each floor becomes a row, and each room a box with the
first sentence of its docstring.
"""

from __future__ import annotations

import ast
import configparser
import textwrap
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"

WIDTH, MARGIN, GAP = 1080, 16, 10
LABEL, LINE, PADDING = 44, 14, 12
STYLE = """
    text { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2937 }
    .name { font-size: 14px; font-weight: 600 }
    .says { font-size: 11px; fill: #4b5563 }
    .floor { font-size: 18px; fill: #6b7280 }
    .room { fill: #eef2ff; stroke: #6366f1 }
    .ground { fill: #ffffff }
"""


def floors() -> list[list[str]]:
    """The rooms of each floor, from the top floor down."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    lines = contracts["importlinter:contract:house"]["layers"].split("\n")
    return [[room.strip() for room in line.split("|")] for line in lines if line.strip()]


def sentence(room: str) -> str:
    """The first sentence of a room's docstring."""
    path = ROOT / "tfnorm" / room
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = ast.get_docstring(ast.parse(path.read_text()))
    assert found, f"{path} has no docstring"
    first = " ".join(found.split("\n\n")[0].split()).split(". ")[0]
    return first.rstrip(".").replace("`", "")


def _room(room: str, x: float, y: float, width: float, height: float, lines: list[str]) -> str:
    kept = [
        f'<rect class="room" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'
    ]
    at = y + PADDING + 10
    kept.append(f'<text class="name" x="{x + PADDING:g}" y="{at:g}">{escape(room)}</text>')
    for n, line in enumerate(lines, 1):
        kept.append(
            f'<text class="says" x="{x + PADDING:g}" y="{at + 4 + n * LINE:g}">{escape(line)}</text>'
        )
    return "\n    ".join(kept)


def picture() -> str:
    """The picture, as SVG."""
    rows, y = [], float(MARGIN)
    house = floors()
    for floor, rooms in zip(reversed(range(len(house))), house, strict=True):
        width = (WIDTH - 2 * MARGIN - LABEL - GAP * (len(rooms) - 1)) / len(rooms)
        # A letter of this size is about 5.9 pixels wide.
        said = [
            textwrap.wrap(sentence(room), int((width - 2 * PADDING) / 5.9), break_long_words=False)
            for room in rooms
        ]
        height = 2 * PADDING + 14 + LINE * max(map(len, said))
        rows.append(
            f'<text class="floor" x="{MARGIN}" y="{y + height / 2 + 6:g}">{floor}</text>\n    '
            + "\n    ".join(
                _room(room, MARGIN + LABEL + n * (width + GAP), y, width, height, lines)
                for n, (room, lines) in enumerate(zip(rooms, said, strict=True))
            )
        )
        y += height + GAP
    inside = "\n    ".join(rows)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + MARGIN - GAP:g}" role="img">
    <title>The rooms of tfnorm, floor by floor: a room may import those below it</title>
    <style>{STYLE}    </style>
    <rect class="ground" width="100%" height="100%"/>
    {inside}
</svg>
"""


if __name__ == "__main__":
    PICTURE.write_text(picture())
    print(PICTURE.relative_to(ROOT))

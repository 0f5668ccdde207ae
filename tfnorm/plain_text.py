"""What rich draws, as plain text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


def plain_text(drawn: RenderableType, width: int) -> str:
    """The lines, none longer than `width`, without colours and without spaces at their ends."""
    from rich.console import Console

    text = io.StringIO()
    console = Console(
        file=text,
        width=width,
        color_system=None,
        legacy_windows=False,
        # In a notebook rich would draw in the page, and write nothing to the file.
        force_jupyter=False,
    )
    console.print(drawn)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

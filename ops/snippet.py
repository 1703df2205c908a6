"""``python -m ops.snippet``: makes ``m.js``, which browsers get, of ``snippet.js``, which people read.

It needs the packages for development; a test fails where the two files do not belong together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import minify

_FOLDER: Final = Path(__file__).resolve().parents[1] / "ingest" / "http"
SOURCE: Final = _FOLDER / "snippet.js"
SERVED: Final = _FOLDER / "m.js"


def served(source: str) -> str:
    """The snippet without what only people read: comments, spaces and long names."""
    return str(minify.string("text/javascript", source)) + "\n"


if __name__ == "__main__":
    SERVED.write_text(served(SOURCE.read_text()))

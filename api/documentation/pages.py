"""The pages of the documentation, which work without the internet: a reference of the API, and one for each problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Final

from api.web.problems import PROBLEM_TYPES, ProblemType

_ASSETS: Final = files("fastapi_offline") / "static"
_SECURITY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 0 auto; padding: 2rem 1rem; }
code { font-size: .95em; }
dt { font-weight: 600; margin-top: 1rem; }
dd { margin: 0; }
a { color: inherit; }
"""


@dataclass(frozen=True)
class Page:
    """A file that a browser shows or loads.

    Attributes:
        body: Its bytes.
        media_type: Their type.
        policy: Its Content-Security-Policy.
        max_age_seconds: How long a browser may keep it without asking again.
    """

    body: bytes
    media_type: str
    policy: str = _SECURITY
    max_age_seconds: int = 0

    @cached_property
    def etag(self) -> str:
        """Names its bytes; worked out once, because the largest has more than a megabyte."""
        return f'"{sha256(self.body).hexdigest()[:32]}"'


_REFERENCE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Marketplace API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<noscript>This page needs JavaScript; <a href="/openapi.json">the OpenAPI document</a> does not.</noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

_START: Final = """
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  validatorUrl: null,
});
"""

_REFERENCE_SECURITY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Swagger UI sets styles of elements; its scripts are the files here and nothing else."""


def reference() -> Page:
    """The page that shows the OpenAPI document and can try its operations."""
    return Page(_REFERENCE.encode(), "text/html; charset=utf-8", _REFERENCE_SECURITY)


def assets() -> Mapping[str, Page]:
    """What the reference loads, by file name."""
    day = 86_400
    return {
        "swagger-ui.css": Page(
            (_ASSETS / "swagger-ui.css").read_bytes(), "text/css; charset=utf-8", max_age_seconds=day
        ),
        "swagger-ui-bundle.js": Page(
            (_ASSETS / "swagger-ui-bundle.js").read_bytes(), "text/javascript; charset=utf-8", max_age_seconds=day
        ),
        "start.js": Page(_START.encode(), "text/javascript; charset=utf-8"),
    }


def problems() -> Mapping[str, Page]:
    """A page for each type of problem, by its name; and a list of all, under the empty name."""
    rows = "".join(
        f'<dt><a href="{kind.uri}">{escape(kind.title)}</a></dt><dd>{kind.status}</dd>' for kind in PROBLEM_TYPES
    )
    listed = {"": _page("Problems", f"<dl>{rows}</dl>")}
    return listed | {kind.name: _page(kind.title, _problem(kind)) for kind in PROBLEM_TYPES}


def _problem(kind: ProblemType) -> str:
    return (
        f"<dl><dt>Status</dt><dd>{kind.status}</dd>"
        f"<dt>Type</dt><dd><code>{escape(kind.uri)}</code></dd>"
        f"<dt>What to do</dt><dd>{_marked(kind.remedy)}</dd></dl>"
        '<p><a href="/problems">All problems</a> · <a href="/docs">API reference</a></p>'
    )


def _marked(text: str) -> str:
    """A text whose backquoted words are code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def _page(title: str, content: str) -> Page:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)} · Marketplace API</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{content}</body></html>"
    )
    return Page(html.encode(), "text/html; charset=utf-8", f"{_SECURITY}; style-src 'unsafe-inline'; img-src data:")

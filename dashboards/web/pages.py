"""The dashboard's plain pages as HTML: they work without scripts, on a phone, in the dark."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import quote

from starlette.responses import HTMLResponse, Response

_TEMPLATE: Final = Path(__file__).parents[1] / "static" / "form.html"
_FRAGMENT_SCRIPT: Final = """
const field = document.querySelector("input[name=token]");
const secret = location.hash.slice(1);
if (field && secret) {
  field.value = decodeURIComponent(secret);
  field.closest("label").hidden = true;
  history.replaceState(null, "", location.pathname);
}
"""
"""Takes the secret of a link into the form. It stands behind ``#``, where no server and no log gets it."""


@dataclass(frozen=True)
class Field:
    """An input of a form.

    Attributes:
        name: In the form, and in the API's body.
        label: For people.
        kind: The HTML type.
        autocomplete: What browsers and password managers fill in.
    """

    name: str
    label: str
    kind: str = "text"
    autocomplete: str = "off"


@dataclass(frozen=True)
class Page:
    """A plain page.

    Attributes:
        title: Its heading.
        text: Paragraphs.
        note: A message above the form: that something was done.
        error: A message above the form: that something was not.
        action: The path that its form is sent to; empty for no form.
        fields: Of the form.
        button: Its text.
        values: What is in the fields already, by name; a password is never among them.
        problems: What is wrong with a field, by name.
        hidden: Fields that are sent along.
        links: Text and path of each link below.
        code: A block of commands.
        from_link: The form takes the secret behind ``#`` of the address.
        refresh: Path that the page goes to after some seconds; empty for none.
    """

    title: str
    text: Sequence[str] = ()
    note: str = ""
    error: str = ""
    action: str = ""
    fields: Sequence[Field] = ()
    button: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()
    code: str = ""
    from_link: bool = False
    refresh: str = ""


REFRESH_SECONDS: Final = 5


def response(page: Page, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A page as a response that nobody keeps, and in which nothing of elsewhere runs."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    own = {"cache-control": "no-store", "content-security-policy": policy, "x-content-type-options": "nosniff"}
    return HTMLResponse(html(page, nonce), status, {**own, **(headers or {})})


def html(page: Page, nonce: str) -> str:
    """A page as HTML; everything in it is text.

    Args:
        page: The page.
        nonce: What its own style and script are marked with.
    """
    refresh = f'\n<meta http-equiv="refresh" content="{REFRESH_SECONDS};url={escape(page.refresh)}">'
    script = f'<script nonce="{nonce}">{_FRAGMENT_SCRIPT}</script>'
    return _template().substitute(
        title=escape(page.title),
        nonce=nonce,
        refresh=refresh if page.refresh else "",
        body="\n".join(_body(page)),
        script=script if page.from_link else "",
    )


def _body(page: Page) -> list[str]:
    parts = []
    if page.note:
        parts.append(f'<p class="note" role="status">{escape(page.note)}</p>')
    if page.error:
        parts.append(f'<p class="note error" role="alert">{escape(page.error)}</p>')
    parts += [f"<p>{escape(text)}</p>" for text in page.text]
    if page.code:
        parts.append(f"<pre>{escape(page.code)}</pre>")
    if page.action:
        parts += _form(page)
    if page.links:
        links = "".join(f'<a href="{escape(path)}">{escape(text)}</a>' for text, path in page.links)
        parts.append(f'<p class="links">{links}</p>')
    return parts


def _form(page: Page) -> list[str]:
    parts = [f'<form method="post" action="{escape(page.action)}">']
    parts += [
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in page.hidden.items()
    ]
    wrong = [each.name for each in page.fields if each.name in page.problems]
    empty = [each.name for each in page.fields if not page.values.get(each.name)]
    focus = (wrong or empty or [""])[0]
    for each in page.fields:
        problem, value = page.problems.get(each.name, ""), page.values.get(each.name, "")
        described = f' aria-invalid="true" aria-describedby="{each.name}-problem"' if problem else ""
        hint = f'<span class="hint" id="{each.name}-problem">{escape(problem)}</span>' if problem else ""
        parts.append(
            f"<label>{escape(each.label)}"
            f'<input name="{each.name}" type="{each.kind}" autocomplete="{each.autocomplete}" value="{escape(value)}"'
            f" required{' autofocus' if each.name == focus else ''}{described}>{hint}</label>"
        )
    return [*parts, f'<button type="submit">{escape(page.button)}</button>', "</form>"]


@cache
def _template() -> Template:
    return Template(_TEMPLATE.read_text(encoding="utf-8"))


def path_with(path: str, **query: str) -> str:
    """A path with parameters, as far as they are not empty."""
    pairs = "&".join(f"{name}={quote(value, safe='/')}" for name, value in query.items() if value)
    return f"{path}?{pairs}" if pairs else path

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
const form = document.querySelector("form[data-link]");
const take = () => {
  const secret = location.hash.slice(1);
  if (!secret) return;
  history.replaceState(null, "", location.pathname);
  form.elements.token.value = decodeURIComponent(secret);
  if (form.dataset.link === "send") { form.submit(); return; }
  form.elements.token.closest(".field").hidden = true;
  form.querySelector("input:not([name=token]):not([type=hidden]), button").focus();
};
addEventListener("hashchange", take);
take();
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
        help: What to know before it is filled in; a problem takes its place.
    """

    name: str
    label: str
    kind: str = "text"
    autocomplete: str = "off"
    help: str = ""


@dataclass(frozen=True)
class Page:
    """A plain page.

    Attributes:
        title: Its heading.
        text: Paragraphs.
        facts: Names and values, below the paragraphs.
        note: A message above the form: that something was done.
        error: A message above the form: that something was not.
        action: The path that its form is sent to; empty for no form.
        fields: Of the form.
        button: Its text.
        values: What is in the fields already, by name; a password is never among them.
        problems: What is wrong with a field, by name.
        hidden: Fields that are sent along.
        actions: Text and path of each link that looks like a button; the first one is what most people want.
        links: Text and path of each link below.
        code: A block of commands.
        from_link: The form takes the secret behind ``#`` of the address.
        sends: Path that this secret is sent to at once, instead; what answers it there must change nothing.
        refresh: Path that the page goes to after some seconds; empty for none.
    """

    title: str
    text: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    note: str = ""
    error: str = ""
    action: str = ""
    fields: Sequence[Field] = ()
    button: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)
    actions: Sequence[tuple[str, str]] = ()
    links: Sequence[tuple[str, str]] = ()
    code: str = ""
    from_link: bool = False
    sends: str = ""
    refresh: str = ""


REFRESH_SECONDS: Final = 5
_TYPING: Final[Mapping[str, Mapping[str, str]]] = {
    "email": {"inputmode": "email", "autocapitalize": "none", "spellcheck": "false"}
}
"""What keyboards of phones have to know, by the HTML type."""


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
        script=script if (page.action and page.from_link) or page.sends else "",
    )


def _body(page: Page) -> list[str]:
    parts = []
    if page.note:
        parts.append(f'<p class="note" role="status">{escape(page.note)}</p>')
    if page.error:
        parts.append(f'<p class="note error" role="alert">{escape(page.error)}</p>')
    parts += [f"<p>{escape(text)}</p>" for text in page.text]
    if page.facts:
        facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{_fact(value)}</dd></div>" for name, value in page.facts)
        parts.append(f"<dl>{facts}</dl>")
    if page.code:
        parts.append(f"<pre>{escape(page.code)}</pre>")
    if page.action:
        parts += _form(page)
    if page.actions:
        looks = ("button", *("button quiet" for _ in page.actions[1:]))
        parts += [
            f'<a class="{look}" href="{escape(path)}">{escape(text)}</a>'
            for look, (text, path) in zip(looks, page.actions, strict=True)
        ]
    if page.sends:
        field = '<input name="token">'
        parts.append(f'<form method="post" action="{escape(page.sends)}" data-link="send" hidden>{field}</form>')
    if page.links:
        links = "".join(f'<a href="{escape(path)}">{escape(text)}</a>' for text, path in page.links)
        parts.append(f'<p class="links">{links}</p>')
    return parts


def _fact(value: str) -> str:
    # A long address is broken there before it is broken anywhere.
    return escape(value).replace("@", "<wbr>@")


def _form(page: Page) -> list[str]:
    link = ' data-link="fill"' if page.from_link else ""
    parts = [f'<form method="post" action="{escape(page.action)}"{link}>']
    parts += [
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in page.hidden.items()
    ]
    wrong = [each.name for each in page.fields if each.name in page.problems]
    empty = [each.name for each in page.fields if not page.values.get(each.name)]
    focus = (wrong or empty or [""])[0]
    parts += [_input(page, each, focus=each.name == focus) for each in page.fields]
    # Where there is nothing to fill in, Enter does what the page is for.
    focused = "" if page.fields else " autofocus"
    return [*parts, f'<button type="submit"{focused}>{escape(page.button)}</button>', "</form>"]


def _input(page: Page, field: Field, *, focus: bool) -> str:
    problem = page.problems.get(field.name, "")
    kind, about = ("problem", problem) if problem else ("help", field.help)
    attributes = {
        "name": field.name,
        "type": field.kind,
        "autocomplete": field.autocomplete,
        "value": page.values.get(field.name, ""),
        **_TYPING.get(field.kind, {}),
        **({"aria-invalid": "true"} if problem else {}),
        **({"aria-describedby": f"{field.name}-{kind}"} if about else {}),
    }
    written = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    text = f'<p class="{kind}" id="{field.name}-{kind}">{escape(about)}</p>' if about else ""
    focused = " autofocus" if focus else ""
    label = f"<label>{escape(field.label)}<input {written} required{focused}></label>"
    return f'<div class="field">{label}{text}</div>'


@cache
def _template() -> Template:
    return Template(_TEMPLATE.read_text(encoding="utf-8"))


def path_with(path: str, **query: str) -> str:
    """A path with parameters, as far as they are not empty."""
    pairs = "&".join(f"{name}={quote(value, safe='/')}" for name, value in query.items() if value)
    return f"{path}?{pairs}" if pairs else path

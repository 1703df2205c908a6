"""Somebody who uses the storefront without JavaScript: reads pages, follows links, fills in forms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import httpx

from tests.kits.api import PASSWORD, any_address


@dataclass
class Form:
    """A form of a page, with what is in it.

    Attributes:
        action: Where it is sent.
        method: How.
        fields: What is filled in.
        buttons: The names of its buttons.
    """

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class PageReader(HTMLParser):
    """Reads what a browser without JavaScript would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._form: Form | None = None
        self._select = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get"))
            self.forms.append(self._form)
        form = self._form
        if form is None:
            return
        if tag == "button" and "name" in given:
            form.buttons.append(given["name"])
        elif tag == "input" and "name" in given and (given.get("type") != "radio" or "checked" in given):
            form.fields[given["name"]] = given.get("value", "")
        elif tag == "textarea":
            form.fields[given["name"]] = ""
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and ("selected" in given or self._select not in form.fields):
            form.fields[self._select] = given["value"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None


@dataclass
class Page:
    """An answer as somebody sees it.

    Attributes:
        answer: The answer.
        url: Its address.
    """

    answer: httpx.Response
    url: str

    @property
    def text(self) -> str:
        """Its HTML."""
        return self.answer.text

    @property
    def read(self) -> PageReader:
        """What is on it."""
        return PageReader(self.text)

    def form(self, button: str, **having: str) -> Form:
        """The first form with a button of that name, and with these values."""
        found = [
            form
            for form in self.read.forms
            if button in form.buttons and all(form.fields.get(name) == value for name, value in having.items())
        ]
        assert found, f"no form with the button {button!r} on {self.url}"
        return found[0]

    @property
    def words(self) -> str:
        """Its text, without elements."""
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", self.text))


class Buyer:
    """A browser without JavaScript: it keeps cookies, follows redirects and fills in forms.

    Args:
        url: Where the storefront is.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        headers = {"x-forwarded-for": any_address(), "user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0"}
        self.client = httpx.Client(base_url=url, headers=headers, follow_redirects=True, timeout=20)

    def __enter__(self) -> Buyer:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str, **options: Any) -> Page:
        """Open a page."""
        answer = self.client.get(path, **options)
        return Page(answer, str(answer.url))

    def send(self, page: Page, form: Form, /, **changes: str) -> Page:
        """Fill in a form and send it as the page's browser does."""
        return self.send_with({"origin": self.url}, page, form, **changes)

    def send_with(self, own: Mapping[str, str], page: Page, form: Form, /, **changes: str) -> Page:
        """The same with headers that say where it comes from."""
        fields = {**form.fields, **changes}
        answer = self.client.post(urljoin(page.url, form.action), data=fields, headers=dict(own))
        return Page(answer, str(answer.url))

    def sign_in(self, email: str, password: str = PASSWORD, path: str = "/shop/sign-in") -> Page:
        """Sign in by the form."""
        page = self.get(path)
        return self.send(page, page.form("sign-in"), email=email, password=password)

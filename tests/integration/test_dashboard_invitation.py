"""The page of an invitation on a real API and real databases: one way in, and everything that is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from connectors.mongo.client import connect
from dashboards.data.query_cache import QueryCache
from dashboards.data.viewers import DatabaseReader, Viewers
from dashboards.web.gate import Gate
from dashboards.web.identity_api import IdentityApi
from dashboards.web.sign_in import SignIn
from marketplace.collections import LINKS, USERS
from marketplace.identity.tenancy import hash_of_secret
from ops.stack import Stack
from tests.kits.api import PASSWORD, Api, Person, any_address, own_database, running_api

URL = "http://127.0.0.1:8501"
INVITED = "You are invited to a store"


@dataclass
class Window:
    """A browser without scripts, in which somebody may be signed in, at an address that nobody else has."""

    app: Gate
    loop: asyncio.Runner
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)
    address: str = field(default_factory=any_address)

    def ask(self, method: str, path: str, data: dict[str, str] | None = None) -> httpx.Response:
        """Send a request, and follow where its answer leads."""

        async def whole() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 5000))
            async with httpx.AsyncClient(transport=transport, base_url=URL, cookies=self.cookies) as client:
                headers = {"origin": URL, "x-forwarded-for": self.address}
                answer = await client.request(method, path, data=data, headers=headers, follow_redirects=True)
                self.cookies = client.cookies
                return answer

        return self.loop.run(whole())

    def follow(self, secret: str) -> httpx.Response:
        """Follow the link of a mail."""
        return self.ask("POST", "/invitation", {"token": secret})

    def accept(self, page: httpx.Response) -> httpx.Response:
        """Use the button of the page."""
        found = re.search(r'name="invitation" value="(\w+)"', page.text)
        assert found is not None, page.text
        return self.ask("POST", "/invitation", {"invitation": found[1]})


@dataclass
class Shop:
    """A store with an owner, and the dashboard's own pages."""

    api: Api
    app: Gate
    loop: asyncio.Runner
    mongo: Any
    owner: Person
    viewers: Viewers

    def window(self, person: Person | None = None) -> Window:
        """A browser in which somebody is signed in, by an own session."""
        window = Window(self.app, self.loop)
        if person is not None:
            token = self.api.sign_in(person.email).refresh_token
            window.cookies.set("marketplace-session", token, domain="127.0.0.1")
        return window

    def invite(self, email: str, role: str = "analyst") -> str:
        """Invite somebody; gives the secret of the link."""
        answer = self.owner.post("/v1/stores/mugs/invitations", {"email": email, "role": role})
        assert answer.status_code == 201, answer.text
        return self.api.link_to(email, INVITED)

    def revoke(self, email: str) -> None:
        """Revoke the invitation of an address."""
        waiting = self.owner.ask("GET", "/v1/stores/mugs/invitations").json()["invitations"]
        (found,) = [each["id"] for each in waiting if each["email"] == email]
        assert self.owner.ask("DELETE", f"/v1/stores/mugs/invitations/{found}").status_code == 204


async def nothing_behind(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the numbers"})


@pytest.fixture(scope="module")
def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("invitation")
    numbers = {"MARKETPLACE_CLICKHOUSE_URL": stack.urls.clickhouse}
    with (
        own_database(stack) as database,
        running_api(stack, folder, database, **numbers) as api,
        closing(DatabaseReader(stack.urls.mongo, database, stack.urls.redis)) as reader,
        closing(connect(stack.urls.mongo)) as client,
        # Connections to the API stay open from one request to the next.
        asyncio.Runner() as loop,
    ):
        viewers = Viewers(reader, QueryCache())
        owner = api.make_account(name="Olive")
        assert owner.post("/v1/stores", {"title": "Mugs", "slug": "mugs"}).status_code == 201
        # Each test has members and invitations of its own.
        premium = [{"tier": "premium", "since": 0, "until": None}]
        client[database][USERS.name].update_one({"email_key": owner.email}, {"$set": {"grants": premium}})
        identity = IdentityApi(api.url)
        yield Shop(api, Gate(SignIn(nothing_behind, viewers, identity)), loop, client[database], owner, viewers)
        loop.run(identity.close())
    assert [secret for secret in api.followed if secret in (folder / "api.log").read_text()] == []


def test_who_follows_the_link_signs_in_and_accepts_is_at_the_store(shop: Shop) -> None:
    person = shop.api.make_account()
    secret = shop.invite(person.email, "manager")
    window = shop.window()

    page = window.follow(secret)
    assert page.url == f"{URL}/invitation"
    assert "You are invited to Mugs" in page.text
    assert shop.owner.email in page.text.replace("<wbr>", "")
    page = window.ask("POST", "/sign-in", {"email": person.email, "password": PASSWORD})
    assert page.url == f"{URL}/invitation"
    page = window.accept(page)

    assert page.url == f"{URL}/?store=mugs"
    assert page.text == "the numbers"
    viewer = shop.viewers.now(window.cookies["marketplace-session"], local=False)
    assert {slug: role.value for slug, role in viewer.roles.items()} == {"mugs": "manager"}
    assert "marketplace-invitation" not in window.cookies


def refused(page: httpx.Response, title: str, status: int = 410) -> None:
    assert page.status_code == status, page.text
    assert f"<h1>{title}</h1>" in page.text


def test_an_invitation_that_was_accepted_says_so_to_who_follows_it_again(shop: Shop) -> None:
    person = shop.api.make_account()
    secret = shop.invite(person.email)
    window = shop.window(person)
    page = window.follow(secret)
    window.accept(page)

    refused(window.follow(secret), "This invitation was accepted already")
    refused(shop.window(shop.owner).follow(secret), "This invitation was accepted already")


def test_a_revoked_invitation_says_so_before_and_after_it_was_looked_at(shop: Shop) -> None:
    person = shop.api.make_account()
    secret = shop.invite(person.email)
    window = shop.window(person)
    page = window.follow(secret)

    shop.revoke(person.email)

    refused(window.accept(page), "This invitation was revoked")
    refused(window.follow(secret), "This invitation was revoked")


def test_one_that_was_sent_again_leads_to_the_newer_mail(shop: Shop) -> None:
    person = shop.api.make_account()
    first, second = shop.invite(person.email), shop.invite(person.email)
    window = shop.window(person)

    refused(window.follow(first), "There is a newer invitation")

    assert window.accept(window.follow(second)).url == f"{URL}/?store=mugs"


def test_an_expired_invitation_says_so_until_nothing_is_kept_of_it(shop: Shop) -> None:
    person = shop.api.make_account()
    secret = shop.invite(person.email)
    window = shop.window(person)
    links = shop.mongo[LINKS.name]
    page = window.follow(secret)
    past = datetime.now(UTC) - timedelta(milliseconds=1)
    links.update_one({"_id": hash_of_secret(secret)}, {"$set": {"expires_at": past}})

    refused(window.accept(page), "This invitation has expired")
    links.delete_one({"_id": hash_of_secret(secret)})
    refused(window.follow(secret), "This invitation is not valid")


def test_an_invitation_to_somebody_else_cannot_be_accepted_and_stays(shop: Shop) -> None:
    person, other = shop.api.make_account(), shop.api.make_account()
    secret = shop.invite(person.email)
    window = shop.window(other)

    page = window.follow(secret)
    assert f"sent to {person.email}, and you are signed in as {other.email}." in page.text
    # Whatever the page shows, the button of another person's page does nothing here.
    foreign = shop.window(person).follow(secret)
    assert window.accept(foreign).url == f"{URL}/invitation"
    assert shop.viewers.now(window.cookies["marketplace-session"], local=False).stores == {}

    page = window.ask("POST", "/sign-out", {"next": "/invitation"})
    assert page.url == f"{URL}/sign-in?out=yes&next=/invitation"
    page = window.ask("POST", "/sign-in", {"email": person.email, "password": PASSWORD})
    assert window.accept(window.ask("GET", "/invitation")).url == f"{URL}/?store=mugs"


def test_somebody_who_is_signed_out_or_banned_accepts_nothing(shop: Shop) -> None:
    person = shop.api.make_account()
    secret = shop.invite(person.email)
    window = shop.window(person)
    page = window.follow(secret)

    shop.api.command("accounts", "ban", person.email)

    assert window.accept(page).url == f"{URL}/sign-in?next=/invitation"
    shop.revoke(person.email)


def test_an_inviter_who_may_not_invite_any_more_is_said_and_the_invitation_stays(shop: Shop) -> None:
    person, manager = shop.api.make_account(), shop.api.make_account()
    window = shop.window(manager)
    window.accept(window.follow(shop.invite(manager.email, "manager")))
    answer = manager.post("/v1/stores/mugs/invitations", {"email": person.email, "role": "analyst"})
    assert answer.status_code == 201, answer.text
    user = manager.ask("GET", "/v1/identity/me").json()["id"]
    assert shop.owner.ask("DELETE", f"/v1/stores/mugs/members/{user}").status_code == 204
    guest = shop.window(person)

    page = guest.accept(guest.follow(shop.api.link_to(person.email, INVITED)))

    refused(page, "You cannot join right now", 409)
    assert "Who invited you may not give this role any more" in page.text
    assert guest.ask("GET", "/invitation").status_code == 200


def test_made_up_secrets_show_nothing_and_are_limited_by_address(shop: Shop) -> None:
    window = shop.window()

    pages = [window.follow(f"{number:043}") for number in range(40)]

    assert {page.status_code for page in pages} == {410, 429}
    assert "Mugs" not in "".join(page.text for page in pages)

"""Members, invitations, API keys and plans by HTTP on a real Mongo."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.identity.accounts import LINK_SECONDS, LinkKind
from marketplace.identity.roles import API_KEY_SCOPES, Permission, StoreRole, permissions_of
from marketplace.identity.tenancy import hash_of_secret
from tests.kits.tenancy import NOW, Run, World

ACCEPT = "/v1/invitations/acceptances"
PREVIEW = "/v1/invitations/previews"


async def invite(world: World, who: str, email: str, role: str = "analyst", status: int = 201) -> str:
    """Invite somebody; gives the secret of the link."""
    body = {"email": email, "role": role}
    answer = await world.ask("POST", "/v1/stores/shop/invitations", who, json=body)
    assert answer.status_code == status, answer.text
    return await world.secret_of_mail(email) if status == 201 else ""


async def accept(world: World, who: str, secret: str) -> tuple[int, str]:
    answer = await world.ask("POST", ACCEPT, who, json={"token": secret})
    return answer.status_code, answer.json().get("type", "")


async def ends(world: World, secret: str, who: str = "new") -> list[object]:
    """What a link that is worth nothing is answered with, when it is looked at and when it is to be accepted."""
    answers = [await world.ask("POST", path, who, json={"token": secret}) for path in (PREVIEW, ACCEPT)]
    assert [(each.status_code, each.json()["type"]) for each in answers] == [(410, "/problems/gone")] * 2
    assert [error["path"] for each in answers for error in each.json()["errors"]] == ["/token"] * 2
    return sorted({error["code"] for each in answers for error in each.json()["errors"]})


def test_members_are_listed_with_their_roles_in_the_order_of_joining(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", eve="analyst")
        listed = (await world.ask("GET", "/v1/stores/shop/members", "eve")).json()["members"]
        assert [(m["user"], m["email"], m["role"]) for m in listed] == [
            ("ann", "ann@shop.example", "owner"),
            ("eve", "eve@shop.example", "analyst"),
        ]

    run(work)


@pytest.mark.parametrize("how", ["demotion", "removal", "ban"])
def test_who_loses_a_right_loses_it_at_the_next_request_with_token_and_key(run: Run, how: str) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager")
        key = await world.key("shop", "max", *API_KEY_SCOPES)
        for who in ("max", key):
            assert (await world.edit("shop", who, {"title": "Before"})).status_code == 200
        if how == "demotion":
            body = {"role": "analyst"}
            assert (await world.ask("PATCH", "/v1/stores/shop/members/max", "ann", json=body)).status_code == 200
            expected, edited = {"max": 200, key: 200}, 403
        elif how == "removal":
            assert (await world.ask("DELETE", "/v1/stores/shop/members/max", "ann")).status_code == 204
            expected, edited = {"max": 404, key: 401}, 0
        else:
            await world.client[world.database]["users"].update_one({"_id": "max"}, {"$set": {"banned": True}})
            expected, edited = {"max": 401, key: 401}, 0
        for who, status in expected.items():
            assert (await world.ask("GET", "/v1/stores/shop", who)).status_code == status, who
            assert (await world.edit("shop", who, {"title": "After"})).status_code == (edited or status), who
        assert (await world.ask("GET", "/v1/stores/shop", "ann")).json()["title"] == "Before"

    run(work)


def test_the_last_owner_cannot_leave_be_removed_or_demoted(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager")
        for method, path, body in (
            ("DELETE", "membership", None),
            ("DELETE", "members/ann", None),
            ("PATCH", "members/ann", {"role": "manager"}),
        ):
            answer = await world.ask(method, f"/v1/stores/shop/{path}", "ann", json=body)
            assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
        assert await world.roles("shop") == {"ann": "owner", "max": "manager"}
        assert (
            await world.ask("PATCH", "/v1/stores/shop/members/max", "ann", json={"role": "owner"})
        ).status_code == 200
        assert (await world.ask("DELETE", "/v1/stores/shop/membership", "ann")).status_code == 204
        assert await world.roles("shop") == {"max": "owner"}

    run(work)


@pytest.mark.parametrize("how", ["leave", "demote each other", "remove each other"])
def test_of_two_owners_who_go_at_one_time_one_stays(run: Run, how: str) -> None:
    async def work(world: World) -> None:
        for _ in range(5):
            slug = f"shop-{_}"
            await world.store(slug, ann="owner", bob="owner")
            barrier = asyncio.Barrier(2)

            async def go(me: str, other: str, slug: str = slug, barrier: asyncio.Barrier = barrier) -> int:
                await barrier.wait()
                if how == "leave":
                    answer = await world.ask("DELETE", f"/v1/stores/{slug}/membership", me)
                elif how == "demote each other":
                    body = {"role": "analyst"}
                    answer = await world.ask("PATCH", f"/v1/stores/{slug}/members/{other}", me, json=body)
                else:
                    answer = await world.ask("DELETE", f"/v1/stores/{slug}/members/{other}", me)
                return answer.status_code

            statuses = await asyncio.gather(go("ann", "bob"), go("bob", "ann"))
            assert len([status for status in statuses if status < 300]) == 1, statuses
            # Who was too late has no right, or would leave nobody, or finds no store of the own any more.
            assert {status for status in statuses if status >= 300} <= {403, 404, 409}
            assert list((await world.roles(slug)).values()).count("owner") == 1

    run(work)


def test_a_member_who_is_none_is_answered_like_an_id_that_is_none(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await world.store("other", bob="owner")
        key = (await world.key("other", "bob", Permission.READ_STORE)).split("_")[1]
        sent = {"email": "new@shop.example", "role": "analyst"}
        invited = (await world.ask("POST", "/v1/stores/other/invitations", "bob", json=sent)).json()["id"]
        before = await world.everything()
        for method, path, foreign, body in (
            ("PATCH", "members", "bob", {"role": "analyst"}),
            ("DELETE", "members", "bob", None),
            ("DELETE", "invitations", invited, None),
            ("DELETE", "api-keys", key, None),
        ):
            answers = [
                await world.ask(method, f"/v1/stores/shop/{path}/{each}", "ann", json=body)
                for each in (foreign, "f" * 16)
            ]
            texts = {each.text.replace(each.headers["x-request-id"], "") for each in answers}
            assert ({each.status_code for each in answers}, len(texts)) == ({404}, 1), path
        assert await world.everything() == before

    run(work)


def test_who_is_invited_becomes_a_member_by_the_link_once(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await world.user("new")
        secret = await invite(world, "ann", "New@Shop.example", "manager")
        mails = (await world.everything())["mails"]
        assert [(mail["to"], mail["template"]) for mail in mails] == [("New@Shop.example", "invitation")]
        assert mails[0]["values"] == {
            "inviter": "ann@shop.example", "store": "shop", "role": "manager",
            "link": f"https://market.example/invitation#{secret}",
        }  # fmt: skip
        listed = (await world.ask("GET", "/v1/stores/shop/invitations", "ann")).json()["invitations"]
        assert [(each["email"], each["role"], each["invited_by"], each["expires_at"]) for each in listed] == [
            ("New@Shop.example", "manager", "ann", "2026-12-06T12:00:00.000Z")
        ]
        assert secret not in str(listed)
        barrier = asyncio.Barrier(10)

        async def together() -> tuple[int, str]:
            await barrier.wait()
            return await accept(world, "new", secret)

        answers = await asyncio.gather(*(together() for _ in range(10)))
        assert sorted(status for status, _ in answers) == [201] + [410] * 9
        assert await world.roles("shop") == {"ann": "owner", "new": "manager"}
        assert (await world.ask("GET", "/v1/stores/shop/invitations", "ann")).json() == {"invitations": []}

    run(work)


def test_an_invitation_is_accepted_by_the_invited_address_alone_and_is_not_used_up_by_others(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        for name in ("new", "mallory"):
            await world.user(name)
        secret = await invite(world, "ann", "new@shop.example")
        for _ in range(3):
            assert await accept(world, "mallory", secret) == (403, "/problems/forbidden")
            assert (await world.ask("POST", ACCEPT, json={"token": secret})).status_code == 401
            assert (await world.ask("GET", ACCEPT, "new")).status_code == 405
        assert await world.roles("shop") == {"ann": "owner"}
        assert (await accept(world, "new", secret))[0] == 201

    run(work)


def test_what_an_invitation_offers_is_read_by_its_secret_and_by_nothing_else(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await world.user("new")
        secret = await invite(world, "ann", "New@shop.example", "manager")
        (waiting,) = (await world.ask("GET", "/v1/stores/shop/invitations", "ann")).json()["invitations"]
        before = await world.everything()
        for who in ("", "new", "ann"):
            answer = await world.ask("POST", PREVIEW, who, json={"token": secret})
            assert (answer.status_code, answer.json()) == (200, {
                "id": waiting["id"], "store": "shop", "title": "Shop", "role": "manager", "email": "New@shop.example",
                "inviter_email": "ann@shop.example", "expires_at": "2026-12-06T12:00:00.000Z",
            })  # fmt: skip
        for wrong in (waiting["id"], secret[:-1], secret.swapcase(), "x" * 43, hash_of_secret(secret)):
            answer = await world.ask("POST", PREVIEW, "ann", json={"token": wrong})
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (410, "unknown")
            assert "shop" not in answer.text
        assert (await world.ask("GET", PREVIEW, "new")).status_code == 405
        assert await world.everything() == before
        assert (await accept(world, "new", secret))[0] == 201

    run(work)


@pytest.mark.parametrize("loss", ["inviter", "store"])
def test_what_an_invitation_offers_is_known_without_its_inviter_and_not_without_its_store(run: Run, loss: str) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", bob="owner")
        await world.user("new")
        secret = await invite(world, "bob", "new@shop.example")
        if loss == "inviter":
            await world.client[world.database]["users"].delete_one({"_id": "bob"})
            answer = await world.ask("POST", PREVIEW, json={"token": secret})
            assert (answer.status_code, answer.json()["inviter_email"]) == (200, "")
        else:
            assert (await world.ask("DELETE", "/v1/stores/shop", "ann")).status_code == 204
            assert await ends(world, secret) == ["unknown"]

    run(work)


def test_an_invitation_that_was_accepted_says_so_and_takes_no_place_of_a_member(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await world.user("new")
        secret = await invite(world, "ann", "new@shop.example")
        assert (await accept(world, "new", secret))[0] == 201
        for who in ("new", "ann"):
            assert await ends(world, secret, who) == ["accepted"]
        # Three members are in the plan: one place is left.
        await invite(world, "ann", "third@shop.example")
        assert (await world.ask("DELETE", "/v1/stores/shop/members/new", "ann")).status_code == 204
        assert (await accept(world, "new", await invite(world, "ann", "new@shop.example")))[0] == 201

    run(work)


def test_nobody_offers_a_role_above_the_own_one(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager", eve="analyst")
        await world.client[world.database]["users"].update_one(
            {"_id": "ann"}, {"$set": {"grants": [{"tier": "premium", "since": 0, "until": None}]}}
        )
        allowed = {("ann", "owner"), ("ann", "manager"), ("ann", "analyst"), ("max", "manager"), ("max", "analyst")}
        for who in ("ann", "max", "eve"):
            for role in StoreRole:
                status = 201 if (who, role.value) in allowed else 403
                await invite(world, who, f"{who}-{role}@new.example", role.value, status)

    run(work)


@pytest.mark.parametrize(
    ("loss", "role", "accepted"),
    [
        ("removed", "analyst", False),
        ("banned", "analyst", False),
        ("gone", "analyst", False),
        ("analyst", "analyst", False),
        ("manager", "owner", False),
        ("manager", "manager", True),
    ],
)
def test_when_it_is_accepted_the_inviter_must_still_be_allowed_to_give_the_role(
    run: Run, loss: str, role: str, accepted: bool
) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", bob="owner")
        await world.user("new")
        secret = await invite(world, "bob", "new@shop.example", role)
        users, memberships = (world.client[world.database][name] for name in ("users", "memberships"))
        if loss == "removed":
            assert (await world.ask("DELETE", "/v1/stores/shop/members/bob", "ann")).status_code == 204
        elif loss == "banned":
            await users.update_one({"_id": "bob"}, {"$set": {"banned": True}})
        elif loss == "gone":
            await users.delete_one({"_id": "bob"})
            await memberships.delete_one({"_id": "shop:bob"})
        else:
            body = {"role": loss}
            assert (await world.ask("PATCH", "/v1/stores/shop/members/bob", "ann", json=body)).status_code == 200
        answer = await world.ask("POST", ACCEPT, "new", json={"token": secret})
        if accepted:
            assert answer.status_code == 201
        else:
            assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
            assert "who invited you may not give this role any more" in answer.json()["detail"]
        assert ("new" in await world.roles("shop")) == accepted

    run(work)


def test_an_invitation_ends_with_its_time_although_it_is_still_stored(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await world.user("new")
        secret = await invite(world, "ann", "new@shop.example")
        end = NOW + timedelta(seconds=LINK_SECONDS[LinkKind.INVITATION])
        world.now = end
        assert await accept(world, "new", secret) == (410, "/problems/gone")
        assert await ends(world, secret) == ["expired"]
        assert (await world.ask("GET", "/v1/stores/shop/invitations", "ann")).json() == {"invitations": []}
        world.now = end - timedelta(milliseconds=1)
        assert (await accept(world, "new", secret))[0] == 201

    run(work)


def test_a_revoked_invitation_and_one_that_was_sent_again_are_worth_nothing(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager")
        await world.user("new")
        first = await invite(world, "ann", "new@shop.example")
        await invite(world, "max", "NEW@shop.example")
        listed = (await world.ask("GET", "/v1/stores/shop/invitations", "max")).json()["invitations"]
        assert [each["email"] for each in listed] == ["NEW@shop.example"]
        assert (await accept(world, "new", first))[0] == 410
        assert await ends(world, first) == ["replaced"]
        second = await world.secret_of_mail("NEW@shop.example")
        path = f"/v1/stores/shop/invitations/{listed[0]['id']}"
        assert (await world.ask("DELETE", path, "max")).status_code == 204
        assert (await world.ask("DELETE", path, "max")).status_code == 404
        assert (await accept(world, "new", second))[0] == 410
        assert await ends(world, second) == ["revoked"]
        owner = await invite(world, "ann", "new@shop.example", "owner")
        listed = (await world.ask("GET", "/v1/stores/shop/invitations", "max")).json()["invitations"]
        refused = await world.ask("DELETE", f"/v1/stores/shop/invitations/{listed[0]['id']}", "max")
        assert refused.status_code == 403
        assert (await accept(world, "new", owner))[0] == 201

    run(work)


def test_the_limit_of_members_counts_those_who_are_invited(run: Run) -> None:
    async def work(world: World) -> None:
        limit = ENTITLEMENTS[Tier.FREE].members
        await world.store("shop", ann="owner")
        answers = await asyncio.gather(
            *(
                world.ask(
                    "POST",
                    "/v1/stores/shop/invitations",
                    "ann",
                    json={"email": f"n{n}@shop.example", "role": "analyst"},
                )
                for n in range(6)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [201] * (limit - 1) + [403] * (7 - limit)
        refused = next(answer for answer in answers if answer.status_code == 403)
        assert refused.json()["type"] == "/problems/limit"
        waiting = (await world.ask("GET", "/v1/stores/shop/invitations", "ann")).json()["invitations"]
        assert (await world.ask("DELETE", f"/v1/stores/shop/invitations/{waiting[0]['id']}", "ann")).status_code == 204
        await invite(world, "ann", "another@shop.example")
        # One that is sent again takes no second place.
        await invite(world, "ann", "another@shop.example")

    run(work)


def test_after_a_downgrade_an_invitation_makes_no_member_beyond_the_limit(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        await world.store("shop", ann="owner", bob="analyst", eve="analyst")
        await world.user("new")
        secret = await invite(world, "ann", "new@shop.example")
        await world.client[world.database]["users"].update_one({"_id": "ann"}, {"$set": {"grants": []}})
        assert await accept(world, "new", secret) == (403, "/problems/limit")
        assert (await world.ask("DELETE", "/v1/stores/shop/members/eve", "ann")).status_code == 204
        assert (await accept(world, "new", secret))[0] == 201

    run(work)


def test_an_invitation_as_owner_needs_a_place_in_the_plan_of_who_accepts(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", bob="analyst")
        await world.store("of-new", new="owner")
        await world.store("of-bob", bob="owner")
        secret = await invite(world, "ann", "new@shop.example", "owner")
        assert await accept(world, "new", secret) == (403, "/problems/limit")
        promoted = await world.ask("PATCH", "/v1/stores/shop/members/bob", "ann", json={"role": "owner"})
        assert (promoted.status_code, promoted.json()["type"]) == (403, "/problems/limit")
        assert await world.roles("shop") == {"ann": "owner", "bob": "analyst"}

    run(work)


def test_the_answer_to_an_invitation_does_not_tell_whether_the_address_has_an_account(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await world.user("known")
        answers = []
        for name in ("known", "unkno"):
            body = {"email": f"{name}@shop.example", "role": "analyst"}
            answer = await world.ask("POST", "/v1/stores/shop/invitations", "ann", json=body)
            own = answer.json()
            assert (own["email"], answer.status_code) == (body["email"], 201)
            answers.append({**own, "id": "", "email": ""})
        assert answers[0] == answers[1]
        mails = (await world.everything())["mails"]
        assert {mail["template"] for mail in mails} == {"invitation"}

    run(work)


def test_who_is_a_member_already_is_not_invited_and_a_waiting_link_demotes_nobody(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", bob="owner")
        await world.user("new")
        secret = await invite(world, "bob", "new@shop.example")
        # An account changes its address to the invited one.
        await world.client[world.database]["users"].delete_one({"_id": "new"})
        await world.client[world.database]["users"].update_one(
            {"_id": "ann"}, {"$set": {"email": "new@shop.example", "email_key": "new@shop.example"}}
        )
        assert await accept(world, "ann", secret) == (409, "/problems/conflict")
        await invite(world, "bob", "new@shop.example", "analyst", status=409)
        assert await world.roles("shop") == {"ann": "owner", "bob": "owner"}

    run(work)


def test_an_api_key_is_shown_once_works_in_its_store_alone_and_ends_when_it_is_revoked(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager", eve="analyst")
        await world.store("other", mallory="owner", max="manager")
        body = {"name": "Warehouse", "scopes": ["store:read", "numbers:read"]}
        for who, status in (("eve", 403), ("mallory", 404), ("max", 201)):
            made = await world.ask("POST", "/v1/stores/shop/api-keys", who, json=body)
            assert made.status_code == status
        shown = made.json()
        key = shown.pop("key")
        assert key.startswith(f"mk_{shown['id']}_")
        listed = await world.ask("GET", "/v1/stores/shop/api-keys", "ann")
        assert listed.json() == {"api_keys": [shown]}
        assert key.split("_", 2)[2] not in str(await world.everything())
        assert (await world.ask("GET", "/v1/stores/shop", key)).status_code == 200
        assert (await world.ask("GET", "/v1/stores/other", key)).status_code == 404
        assert (await world.ask("GET", "/v1/stores", key)).status_code == 403
        assert (await world.ask("GET", "/v1/identity/me", key)).status_code == 403
        for wrong in (key[:-1], key + "x", key.replace("mk_", "mk__"), "mk_", f"mk_{shown['id']}_", "mk_{$gt}_x"):
            answer = await world.ask("GET", "/v1/stores/shop", wrong)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
        assert (await world.ask("DELETE", f"/v1/stores/other/api-keys/{shown['id']}", "max")).status_code == 404
        assert (await world.ask("DELETE", f"/v1/stores/shop/api-keys/{shown['id']}", "ann")).status_code == 204
        assert (await world.ask("GET", "/v1/stores/shop", key)).status_code == 401

    run(work)


def test_a_key_may_do_what_its_scopes_and_the_role_of_its_maker_have_in_common(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager")
        key = await world.key("shop", "max", *API_KEY_SCOPES)
        paths = {
            Permission.READ_STORE: "",
            Permission.READ_MEMBERS: "/members",
            Permission.READ_NUMBERS: "/turned-away",
        }
        for role in ("manager", "analyst", "owner"):
            await world.client[world.database]["memberships"].update_one({"_id": "shop:max"}, {"$set": {"role": role}})
            for scope, path in paths.items():
                expected = 200 if scope in permissions_of(StoreRole(role)) else 403
                assert (await world.ask("GET", f"/v1/stores/shop{path}", key)).status_code == expected
            assert (await world.edit("shop", key, {"title": role})).status_code == (403 if role == "analyst" else 200)
            assert (await world.ask("DELETE", "/v1/stores/shop", key)).status_code == 403
            assert (await world.ask("DELETE", "/v1/stores/shop/membership", key)).status_code == 403

    run(work)


@pytest.mark.parametrize(
    "scopes", [[], ["members:manage"], ["keys:read"], ["store:delete"], ["*"], "store:read", [None], ["store:read"] * 7]
)
def test_a_key_is_given_no_scope_that_keys_cannot_have(run: Run, scopes: object) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        answer = await world.ask("POST", "/v1/stores/shop/api-keys", "ann", json={"name": "Key", "scopes": scopes})
        assert answer.status_code == 422
        assert (await world.everything())["api_keys"] == []

    run(work)


def test_the_last_use_of_a_key_is_written_once_a_minute(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        key = await world.key("shop", "ann", Permission.READ_STORE)

        async def last_use() -> str | None:
            listed = (await world.ask("GET", "/v1/stores/shop/api-keys", "ann")).json()["api_keys"]
            found: str | None = listed[0]["last_used_at"]
            return found

        assert await last_use() is None
        for seconds, minute in ((0, 0), (59, 0), (60, 1), (61, 1), (119, 1), (120, 2)):
            world.now = NOW + timedelta(seconds=seconds)
            assert (await world.ask("GET", "/v1/stores/shop", key)).status_code == 200
            assert await last_use() == f"2026-11-29T12:0{minute}:00.000Z", seconds

    run(work)


def test_a_key_has_a_bucket_of_its_own_with_the_tier_of_its_store(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        await world.store("shop", ann="owner", max="manager")
        key = await world.key("shop", "max", Permission.READ_STORE, key_id="abc" * 5 + "0")
        for who in ("max", key):
            assert (await world.ask("GET", "/v1/stores/shop", who)).status_code == 200
        assert world.buckets.taken == [
            ("account:max", ENTITLEMENTS[Tier.FREE].requests),
            (f"account:key:{'abc' * 5}0", ENTITLEMENTS[Tier.PREMIUM].requests),
        ]
        # Also where it asks for what has no store, or another one: the bucket would be a smaller one afterwards.
        world.buckets.taken.clear()
        for path, status in (("/problems", 200), ("/v1/stores", 403), ("/v1/stores/nowhere", 404)):
            assert (await world.ask("GET", path, key)).status_code == status
        assert world.buckets.taken == [(f"account:key:{'abc' * 5}0", ENTITLEMENTS[Tier.PREMIUM].requests)] * 3

    run(work)


def test_guesses_at_credentials_take_from_the_bucket_of_the_address(run: Run) -> None:
    async def work(world: World) -> None:
        for who in ("nobody-like-that", "mk_abc_def", f"mk_{'0' * 16}_{'s' * 43}"):
            assert (await world.ask("GET", "/v1/stores", who)).status_code == 401
        assert [name for name, _ in world.buckets.taken] == ["address:127.0.0.1"] * 3

    run(work)


def test_a_store_has_a_bounded_number_of_keys(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        body = {"name": "Key", "scopes": ["store:read"]}
        answers = await asyncio.gather(
            *(world.ask("POST", "/v1/stores/shop/api-keys", "ann", json=body) for _ in range(23))
        )
        assert sorted(answer.status_code for answer in answers) == [201] * 20 + [403] * 3

    run(work)


def test_a_downgrade_freezes_the_youngest_stores_and_an_upgrade_thaws_them(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("root", admin=True)
        await world.user("ann", premium=True)
        for age, slug in ((30, "old"), (20, "middle"), (10, "young")):
            await world.store(slug, age_days=age, ann="owner", max="manager")
        before = await world.everything()

        async def frozen() -> dict[str, bool]:
            stores = (await world.ask("GET", "/v1/stores", "max")).json()["stores"]
            for store in stores:
                one = (await world.ask("GET", f"/v1/stores/{store['slug']}", "max")).json()
                assert (one["frozen"], one["tier"]) == (store["frozen"], store["tier"])
            return {store["slug"]: store["frozen"] for store in stores}

        assert await frozen() == {"old": False, "middle": False, "young": False}
        ended = await world.ask("DELETE", "/v1/admin/accounts/ann/grants/premium", "root")
        assert (ended.status_code, ended.json()["tier"]) == (200, "free")
        assert await frozen() == {"old": False, "middle": True, "young": True}
        changed = {name: documents for name, documents in (await world.everything()).items() if name != "users"}
        assert changed == {name: documents for name, documents in before.items() if name != "users"}

        refused = await world.edit("young", "max", {"title": "New"})
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/limit")
        assert (await world.edit("old", "max", {"title": "New"})).status_code == 200
        body = {"email": "new@shop.example", "role": "analyst"}
        assert (await world.ask("POST", "/v1/stores/young/invitations", "max", json=body)).status_code == 403
        # What takes rights away works.
        assert (await world.ask("POST", "/v1/stores/young/write-key", "max")).status_code == 201
        assert (await world.ask("DELETE", "/v1/stores/young/membership", "max")).status_code == 204

        granted = await world.ask("POST", "/v1/admin/accounts/ann/grants", "root", json={"tier": "premium"})
        assert (granted.status_code, granted.json()["tier"]) == (201, "premium")
        assert await frozen() == {"old": False, "middle": False}
        assert (await world.edit("young", "ann", {"title": "New"})).status_code == 200

    run(work)


def test_deleting_an_old_store_thaws_the_next_one(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("old", age_days=20, ann="owner")
        await world.store("young", age_days=10, ann="owner")
        assert (await world.edit("young", "ann", {"title": "New"})).status_code == 403
        assert (await world.ask("DELETE", "/v1/stores/old", "ann")).status_code == 204
        assert (await world.edit("young", "ann", {"title": "New"})).status_code == 200

    run(work)


def test_a_grant_holds_from_its_first_moment_until_before_its_last(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("root", admin=True)
        await world.user("ann")
        body = {"tier": "premium", "since": "2026-12-01T00:00:00Z", "until": "2026-12-02T01:00:00+01:00"}
        assert (await world.ask("POST", "/v1/admin/accounts/ann/grants", "root", json=body)).status_code == 201
        # The same once more is the same.
        assert (await world.ask("POST", "/v1/admin/accounts/ann/grants", "root", json=body)).status_code == 201
        for day, hour, tier in ((30, 23, "free"), (31, 0, "premium"), (31, 23, "premium"), (32, 0, "free")):
            world.now = NOW.replace(day=1, hour=hour) + timedelta(days=day - 1)
            found = (await world.ask("GET", "/v1/admin/accounts/ann", "root")).json()
            assert (found["tier"], len(found["grants"])) == (tier, 1)
        by_email = await world.ask("GET", "/v1/admin/accounts?email=ANN@shop.example", "root")
        assert by_email.json()["id"] == "ann"
        for who in ("ann", ""):
            assert (await world.ask("GET", "/v1/admin/accounts/ann", who)).status_code == (403 if who else 401)

    run(work)


@pytest.mark.parametrize(
    "body",
    [
        {"tier": "free"},
        {"tier": "gold"},
        {"tier": "premium", "since": "2026-12-01T00:00:00"},
        {"tier": "premium", "since": "yesterday"},
        {"tier": "premium", "since": "1969-12-31T00:00:00Z"},
        {"tier": "premium", "since": "0001-01-01T00:00:00+23:59"},
        {"tier": "premium", "until": "9999-12-31T23:59:59-23:59"},
        {"tier": "premium", "until": "2026-11-29T12:00:00Z"},
        {"tier": "premium", "since": "2026-12-02T00:00:00Z", "until": "2026-12-01T00:00:00Z"},
        {"tier": "premium", "since": 5},
        {"tier": "premium", "admin": True},
    ],
    ids=str,
)
def test_a_grant_that_cannot_be_is_refused(run: Run, body: dict[str, object]) -> None:
    async def work(world: World) -> None:
        await world.user("root", admin=True)
        await world.user("ann")
        answer = await world.ask("POST", "/v1/admin/accounts/ann/grants", "root", json=body)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
        assert (await world.ask("GET", "/v1/admin/accounts/ann", "root")).json()["grants"] == []

    run(work)

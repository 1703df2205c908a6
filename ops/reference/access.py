"""``python -m ops.reference.access``: writes docs/reference/access.md from the API's routes; tests check both.

One test compares the page with the routes, another one asks every route as every caller and compares the answers with
the page's cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from api.access import Demand
from api.app import FEATURES
from api.storefront.addresses import is_page
from api.web.routes import Rule, include
from marketplace.identity.roles import API_KEY_SCOPES, Permission, StoreRole, has_permission

TARGET = Path(__file__).resolve().parents[2] / "docs" / "reference" / "access.md"
OK: Final = "yes"
_HEAD = """# Who may do what

Written by `make reference` from the routes of `api/`. *yes*: the route answers; otherwise the status that is answered
instead. A key is an API key of the store with that one scope, made by an owner.

- A store that somebody is no member of is answered like one that does not exist, to the byte: 404.
- Only the path says which store a request is about. No field, header or parameter does.
- Roles, bans and keys are read from Mongo. A request that can change something is decided by what holds when it comes;
  one that only reads by what held half a second before at the earliest, whichever process answers it.
- A cart is the account's where somebody is signed in. Otherwise it is that of the header `X-Cart`, which *nobody* has
  here; without it the answer is 401, and for a secret that is none it is 404.
- An admin of the platform has no part in stores by that.
- An API key works in its store alone. It may do what its scopes and the *present* role of its maker have in common: a
  maker who is demoted takes that from the key, and a key whose maker is no member any more, or is banned, is refused
  with 401. It works again if the maker comes back; to end it for good, revoke it. Its limit of requests is its own,
  with the store's plan (`tier` in the API).
- Every member may leave, but for the last owner; one who is banned is none in this count. Owners are equal: each may
  demote or remove another one.
- Nobody offers a role above the own one. When an invitation is accepted, its inviter must still be allowed to give the
  role: otherwise it is refused with 409 and stays until it expires, is revoked or is sent again. Members and waiting
  invitations count together against the limit of the plan.
- A store has the plan of its owner, with several owners of the best one. Who owns more stores than the plan includes
  (after a downgrade) covers the oldest ones; a store that no owner covers is *frozen*: the youngest are. Its events are
  counted, its numbers and settings are shown, nothing is deleted, and routes without a *yes* under "frozen" answer 403
  with the type `limit`. What takes rights away works, and so do members' roles and a new write key. An upgrade, or
  giving up an older store, thaws it.
- How far back a store's numbers go, and whether they can be had as CSV, depends on its plan, at the API and for whoever
  is signed in to the dashboard; whether the store is frozen changes neither.
- A store that was deleted is gone for all its members, and its keys are worth nothing. Its numbers and its document are
  kept, and its slug is given to nobody else.

"""


@dataclass(frozen=True)
class Column:
    """A kind of caller.

    Attributes:
        title: For people.
        role: In the store of the path; None for somebody who is no member.
        signed_in: Whether it is a person with a session.
        admin: Whether the person is an admin of the platform.
        scope: Of an API key of the store; None for a person.
        other_key: Whether it is an API key of another store.
    """

    title: str
    role: StoreRole | None = None
    signed_in: bool = True
    admin: bool = False
    scope: Permission | None = None
    other_key: bool = False


COLUMNS: Final = (
    Column("nobody", signed_in=False),
    Column("buyer"),
    Column("analyst", StoreRole.ANALYST),
    Column("manager", StoreRole.MANAGER),
    Column("owner", StoreRole.OWNER),
    Column("other store's owner"),
    Column("admin", admin=True),
    *(Column(f"key `{scope.value}`", signed_in=False, scope=scope) for scope in sorted(API_KEY_SCOPES)),
    Column("other store's key", signed_in=False, other_key=True),
)


def cell(rule: Rule, column: Column) -> str:
    """What a route answers to a kind of caller: ``yes`` or a status."""
    if rule.demand is Demand.NOTHING:
        return OK
    is_key = column.scope is not None or column.other_key
    if rule.demand is Demand.CART:
        return "403" if is_key else OK
    if not column.signed_in and not is_key:
        return "401"
    if not isinstance(rule.demand, Permission):
        allowed = not is_key and (rule.demand is Demand.SIGNED_IN or column.admin)
        return OK if allowed else "403"
    if column.scope is not None:
        return OK if column.scope is rule.demand else "403"
    if column.role is None:
        return "404"
    return OK if has_permission(column.role, rule.demand) else "403"


def rules() -> Mapping[tuple[str, str], Rule]:
    """The rules of all routes, by method and path; everybody may look at the pages of the storefront."""
    found = include(FastAPI(openapi_url=None, docs_url=None, redoc_url=None), FEATURES)
    return {key: rule for key, rule in found.items() if not is_page(key[1])}


def reference(found: Mapping[tuple[str, str], Rule] | None = None) -> str:
    """The page as Markdown."""
    titles = ["route", "demands", "frozen", *(column.title for column in COLUMNS)]
    lines = [_row(titles), _row(["---"] * len(titles))]
    for (method, path), rule in sorted((found or rules()).items(), key=lambda item: (item[0][1], item[0][0])):
        in_store = isinstance(rule.demand, Permission)
        demands = f"`{rule.demand.value}`" if in_store else rule.demand.value
        frozen = "" if not in_store else OK if rule.works_frozen else "403"
        lines.append(_row([f"`{method} {path}`", demands, frozen, *(cell(rule, column) for column in COLUMNS)]))
    return _HEAD + "".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    TARGET.write_text(reference())

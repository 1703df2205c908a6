"""``marketplace accounts grant`` and ``revoke``: the plan of an account, which bounds what its stores have."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from connectors.errors import Refused
from connectors.mongo.grants import Grants
from marketplace.entitlements import ENTITLEMENTS, Grant, Tier
from marketplace.identity.accounts import User
from ops.commands.account_parts import EmailArgument, change_account
from ops.commands.moments import epoch_ms_in, read_moment
from ops.commands.options import DataOption, JsonOption, choice
from ops.commands.texts import printable
from ops.context import data_flag
from ops.stack.state.model import DEFAULT_DATA_DIR

GRANTED: Final = [tier.value for tier in Tier if tier is not Tier.FREE]
PlanArgument = Annotated[str, typer.Argument(metavar="PLAN", help=f"{', '.join(GRANTED)} (tier in the API).")]


def grant(
    email: EmailArgument,
    plan: PlanArgument,
    until: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="The first day or time without it, in UTC.", show_default="no end"),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an account a plan: how many stores, members and products it has, how much history, and CSV."""
    tier, end, now_ms = Tier(choice("PLAN", plan, GRANTED)), read_moment(until, "--until"), _now_ms()
    end_ms = epoch_ms_in(end, "UTC")
    if end_ms is not None and end_ms <= now_ms:
        raise Refused(f"--until {until}: that is past; 'marketplace accounts revoke' ends a plan now")

    async def change(grants: Grants, user: User) -> User:
        if any(each.tier is tier and each.holds(now_ms) and _ends_after(each, end_ms) for each in user.grants):
            return user
        return await grants.grant(user.id, None, Grant(tier, now_ms, end_ms))

    user, before = change_account(email, data, lambda parts, found: change(parts.grants, found))
    if as_json:
        typer.echo(_document(user, now_ms))
    elif user == before:
        typer.echo(f"{printable(user.email)} has the {tier} plan already{_end_of(before, tier, now_ms)}.")
    else:
        typer.echo(f"{printable(user.email)} has the {tier} plan{_end_of(user, tier, now_ms)}: {includes(tier)}.")


def revoke(email: EmailArgument, plan: PlanArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """End a plan of an account now: nothing is deleted, and stores beyond what is left are frozen."""
    tier, now = Tier(choice("PLAN", plan, GRANTED)), datetime.now(UTC)

    user, before = change_account(email, data, lambda parts, found: parts.grants.end(found.id, None, tier, now))
    now_ms = _now_ms()
    if as_json:
        typer.echo(_document(user, now_ms))
        return
    left = user.tier(now_ms)
    if user.grants == before.grants:
        typer.echo(f"{printable(user.email)} has no {tier} plan; nothing was changed.")
    else:
        typer.echo(f"{printable(user.email)} has the {left} plan now: {includes(left)}. Nothing was deleted.")


def how_to_lift(user: User, data: Path | None) -> str:
    """The command that gives an account the highest plan; empty where it has that."""
    highest = list(Tier)[-1]
    if user.tier(_now_ms()) is highest:
        return ""
    flag = data_flag((data or Path(DEFAULT_DATA_DIR)).resolve())
    return f"marketplace accounts grant {user.email} {highest}{flag}"


def plan_of_owner(user: User, data: Path | None) -> str:
    """What the plan of an account includes and how it is lifted; empty where it is the highest."""
    command = how_to_lift(user, data)
    tier = user.tier(_now_ms())
    return f"Its plan is {tier}: {includes(tier)}. To lift it:\n\n  {command}" if command else ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _ends_after(grant: Grant, end_ms: int | None) -> bool:
    return grant.until is None or (end_ms is not None and grant.until >= end_ms)


def _end_of(user: User, tier: Tier, now_ms: int) -> str:
    ends = [each.until for each in user.grants if each.tier is tier and each.holds(now_ms)]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends) or not known:
        return ""
    return f" until {datetime.fromtimestamp(max(known) / 1_000, UTC):%Y-%m-%dT%H:%M} UTC"


def includes(tier: Tier) -> str:
    """What a plan includes, in a few words."""
    what = ENTITLEMENTS[tier]
    stores = f"{what.stores} {'store' if what.stores == 1 else 'stores'}"
    return f"{stores}, {what.history_days:,} days of history, {'CSV' if what.csv_export else 'no CSV'}"


def _document(user: User, now_ms: int) -> str:
    return json.dumps({"email": user.email, "plan": user.tier(now_ms).value})


def register(accounts: typer.Typer) -> None:
    """Add the commands."""
    accounts.command("grant")(grant)
    accounts.command("revoke")(revoke)

"""``marketplace accounts``: who is an admin of the platform, who is shut out, and who has which plan."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from api.stores.service import StoreService
from connectors.errors import Unavailable
from connectors.mongo.async_client import connect_async
from marketplace.entitlements import Tier
from marketplace.identity.accounts import User
from ops.commands import account_plans
from ops.commands.account_parts import AccountParts, EmailArgument, change_account, with_accounts
from ops.commands.options import DataOption, JsonOption
from ops.commands.texts import printable
from ops.context import data_flag, load_mongo
from ops.stack.state.model import DEFAULT_DATA_DIR, StackState
from runtime.sections import MongoSettings


def admin(
    email: EmailArgument,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take it back: no admin any more.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the owner of an account an admin of the platform, the first one too; it counts at once."""
    made = not revoke

    async def change(parts: AccountParts, user: User) -> User | None:
        return user if user.admin is made else await parts.accounts.set_admin(user.id, admin=made)

    user, before = change_account(email, data, change)
    if before.admin is made:
        said = (
            f"{printable(user.email)} is {'an admin of the platform already' if made else 'no admin of the platform'}."
        )
    else:
        said = f"{printable(user.email)} is an admin of the platform{'' if made else ' no more'}."
    typer.echo(json.dumps({"email": user.email, "admin": user.admin}) if as_json else said)
    if made and not as_json and (hidden := asyncio.run(_without_owner(load_mongo(data_dir=data)))):
        typer.echo(f"Nobody owns {', '.join(hidden)}, so nobody sees them on the dashboard. To name an owner:\n")
        flag = data_flag((data or Path(DEFAULT_DATA_DIR)).resolve())
        typer.echo(f"  marketplace stores owner SLUG EMAIL{flag}")


def ban(
    email: EmailArgument,
    lift: Annotated[bool, typer.Option("--lift", help="Let it in again; sessions stay ended.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shut an account out: its sessions and links end, for reading half a second later at the latest."""
    banned = not lift

    async def change(parts: AccountParts, user: User) -> User | None:
        # Whoever is shut out again may have a session that was begun at that moment: it ends once more.
        return user if lift and not user.banned else await parts.accounts.set_banned(user.id, banned=banned)

    user, before = change_account(email, data, change)
    if lift and not before.banned:
        said = f"{printable(user.email)} is not shut out; nothing was changed."
    else:
        said = f"{printable(user.email)} is {'shut out' if banned else 'let in again'}; all its sessions have ended."
    typer.echo(json.dumps({"email": user.email, "banned": user.banned}) if as_json else said)


def first_admin(state: StackState, database: str, data: Path) -> str:
    """How the first admin is made; empty where there is one, or no API runs.

    Args:
        state: A stack.
        database: The name of its database.
        data: Its data folder.
    """
    api = state.process("api")
    if api is None or not api.healthy:
        return ""
    try:
        mongo = MongoSettings(state.urls.mongo, database)
        if asyncio.run(with_accounts(mongo, lambda parts: parts.accounts.has_admin())):
            return ""
    except Unavailable:
        return ""
    return admin_steps(state, data)


def admin_steps(state: StackState, data: Path) -> str:
    """The steps to an admin, by the pages where a dashboard runs and by requests to the API where none does.

    Args:
        state: A stack with an API.
        data: Its data folder.
    """
    flag = data_flag(data.resolve())
    pages, api = state.process("proxy") or state.process("dashboard"), state.process("api")
    if pages is not None:
        steps = [f"make an account at {pages.url}/register", f"follow the link in its mail: marketplace mail{flag}"]
    else:
        route = f"POST {'' if api is None else api.url}/v1/identity"
        steps = [
            f"{route}/registrations\n     with email, name and password",
            f"{route}/confirmations with token:\n     what is behind # in its mail's link (marketplace mail{flag})",
        ]
    steps.append(f"marketplace accounts admin EMAIL{flag}")
    numbered = [f"  {number}. {step}" for number, step in enumerate(steps, start=1)]
    plan = [
        f" its plan is {Tier.FREE}: {account_plans.includes(Tier.FREE)}; to lift it:",
        f"  marketplace accounts grant EMAIL {Tier.PREMIUM}{flag}",
    ]
    return "\n".join([" nobody is an admin of the platform yet; to make the first one:", *numbered, *plan])


async def _without_owner(mongo: MongoSettings) -> list[str]:
    """The slugs of stores that nobody owns: those that were made before there were accounts."""
    client = connect_async(mongo.url)
    try:
        stores = StoreService.on_mongo(client, mongo.database)
        owners = await stores.owners()
        return [store.slug for store in await stores.every() if store.slug not in owners]
    finally:
        await client.close()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    accounts = typer.Typer(
        help="Who is an admin of the platform, who is shut out, and who has which plan.", no_args_is_help=True
    )
    accounts.command("admin")(admin)
    accounts.command("ban")(ban)
    account_plans.register(accounts)
    app.add_typer(accounts, name="accounts")

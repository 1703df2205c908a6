"""``marketplace stores goals``: what a store wants its visitors to do."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from marketplace.goals import GOAL_KINDS, Goal, InvalidGoal, reachable
from marketplace.identity.tenancy import NoSuchStore, NoSuchThing
from marketplace.stores import InvalidStore
from ops.commands.options import DataOption, JsonOption
from ops.commands.store_parts import SlugArgument, StoreParts, of_known_store, with_stores
from ops.commands.tables import print_table
from ops.commands.texts import printable

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The goal's name.")]


def list_goals(slug: SlugArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the goals of a store."""

    async def work(parts: StoreParts) -> tuple[Goal, ...]:
        found = await parts.stores.get(slug)
        if found is None:
            raise NoSuchStore("there is no such store")
        return found.store.goals

    goals = with_stores(data, of_known_store(slug, work))
    if as_json:
        typer.echo(json.dumps({"store": slug, "goals": [_document(goal) for goal in goals]}))
    elif not goals:
        typer.echo(f"{slug} has no goals; 'marketplace stores goals add {slug} NAME --page /thanks' makes one.")
    else:
        rows = [(goal.name, goal.kind, goal.pattern, _properties(goal)) for goal in goals]
        print_table(("goal", "kind", "pattern", "properties"), rows, sentences=("goal",))


def add(
    slug: SlugArgument,
    name: NameArgument,
    page: Annotated[str | None, typer.Option(metavar="PATTERN", help="A page is seen, such as /checkout/**.")] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="A target is clicked, or an event has it."),
    ] = None,
    product: Annotated[str | None, typer.Option(metavar="PATTERN", help="Anything is done with a product.")] = None,
    event: Annotated[str | None, typer.Option(metavar="PATTERN", help="A named event, such as add_to_cart.")] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", metavar="NAME=VALUE", help="What the event must have; can be repeated."),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a store a goal: * is any text within a segment of a path, ** any text. Its history is that of the events."""
    given = {"page": page, "target": target, "product": product, "event": event}
    patterns = {kind: given[kind] for kind in GOAL_KINDS if given[kind] is not None}
    if len(patterns) != 1:
        raise InvalidGoal(f"goal {name!r}: give one of {', '.join(f'--{kind}' for kind in GOAL_KINDS)}")
    ((kind, pattern),) = patterns.items()
    goal = reachable(Goal(name, kind, pattern or "", tuple(map(_property, properties or ()))))

    async def work(parts: StoreParts) -> None:
        await parts.stores.goals.put(slug, goal, replaces=False)

    with_stores(data, of_known_store(slug, work))
    if as_json:
        typer.echo(json.dumps({"store": slug, "goal": _document(goal)}))
    else:
        typer.echo(f"{slug} has the goal {printable(name)}: 'marketplace report --store {slug} --goals' counts it.")


def remove(slug: SlugArgument, name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Take a goal from a store; the events that reached it stay."""

    async def work(parts: StoreParts) -> None:
        try:
            await parts.stores.goals.remove(slug, name)
        except NoSuchThing as error:
            raise InvalidStore(f"store {slug} has no goal {name!r}") from error

    with_stores(data, of_known_store(slug, work))
    if as_json:
        typer.echo(json.dumps({"store": slug, "removed": name}))
    else:
        typer.echo(f"{slug} has no goal {printable(name)} any more.")


def _property(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidGoal(f"--property {text!r}: give a name and a value, such as size=L")
    return name, value


def _document(goal: Goal) -> dict[str, object]:
    return {"name": goal.name, "kind": goal.kind, "pattern": goal.pattern, "properties": dict(goal.properties)}


def _properties(goal: Goal) -> str:
    return ", ".join(f"{name}={value}" for name, value in goal.properties)


def register(stores: typer.Typer) -> None:
    """Add the commands."""
    goals = typer.Typer(help="What a store wants its visitors to do.", no_args_is_help=True)
    goals.command("list")(list_goals)
    goals.command("add")(add)
    goals.command("remove")(remove)
    stores.add_typer(goals, name="goals")

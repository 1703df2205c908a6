"""The summary as tables for a terminal."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from marketplace.clicks.outcomes import OUTCOMES
from ops.demo.orders.numbers import OrderNumbers
from ops.demo.report.summary import StoreNumbers, Summary

_WIDTH: Final = 118
_WIDTH_OF_ALL: Final = 110
_TITLE: Final[dict[str, Any]] = {"title_justify": "left", "title_style": "bold"}


def show(summary: Summary, console: Console) -> None:
    """Print the summary."""
    checked = bool(summary.oracle)
    # The read models' columns take the place of the time zones on a terminal that is too narrow for both.
    with_zones = not checked or console.width >= _WIDTH_OF_ALL
    parts: list[RenderableType] = [
        _stores(summary.stores, checked=checked, with_zones=with_zones),
        _ledger(summary),
        _facts(summary),
    ]
    console.print(Group(*(Padding(part, (1, 0, 0, 1)) for part in parts)))
    console.print()


def make_console() -> Console:
    """A console on standard output; wide enough for the tables where there is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def _stores(stores: list[StoreNumbers], *, checked: bool, with_zones: bool) -> Table:
    """The stores' numbers, and beside them the read models' if the run waited for them."""
    title = "Stores: all that was sent, and the visitors of the newest month alone"
    table = Table(box=None, pad_edge=False, header_style="dim", title=title, **_TITLE)
    table.add_column("store", no_wrap=True, overflow="fold")
    if with_zones:
        table.add_column("time zone", style="dim", no_wrap=True)
    for name in (
        "views",
        "visitors",
        "sessions",
        "bounce",
        "bots",
        *(("in Mongo", "today, Redis") if checked else ()),
    ):
        table.add_column(name, justify="right")
    for store in stores:
        about = f" ±{store.visitors_error:,.0f}" if store.visitors_error else ""
        table.add_row(
            store.store,
            *((store.timezone,) if with_zones else ()),
            f"{store.views:,}",
            f"{store.visitors:,}{about}",
            f"{store.sessions:,}",
            f"{store.bounces / store.sessions:.0%}" if store.sessions else "",
            f"{store.bot_events:,}",
            *(_read_models(store) if checked else ()),
        )
    return table


def _read_models(store: StoreNumbers) -> tuple[Text, str]:
    same = store.mongo.get("views") == store.views
    in_mongo = Text(f"{store.mongo.get('views', 0):,}", style="green" if same else "red")
    return in_mongo, f"{store.redis.get('views', 0):,}"


def _ledger(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, title="Ledger", **_TITLE)
    table.add_column("what")
    table.add_column("events", justify="right")
    table.add_column("meaning", style="dim")
    table.add_row("received", f"{summary.received:,}", "Records of the topic.")
    for outcome in reversed(OUTCOMES):
        table.add_row(f"- {outcome.name}", f"{summary.outcomes.get(outcome.name, 0):,}", outcome.meaning)
    closes = summary.ledger_difference == 0
    style = "bold green" if closes else "bold red"
    meaning = "The ledger closes." if closes else "The ledger does not close."
    table.add_row(Text("= left over", style), Text(f"{summary.ledger_difference:,}", style), Text(meaning, style))
    return table


def _facts(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("what", style="dim")
    table.add_column("value")
    refused = f"{summary.rejected:,} refused by the collector" if summary.rejected else "none refused"
    rate = f"{summary.events_per_second:,}/s"
    if summary.sent:
        table.add_row("sent", f"{summary.sent:,} events, {rate}: {summary.accepted:,} accepted, {refused}")
        broken = summary.broken_in_the_topic
        written = f"{broken} broken records written to the topic, " if broken else ""
        table.add_row("also", f"{written}{_again(summary)}")
    for what, fresh in (
        ("click to queryable", summary.click_to_queryable_ms),
        ("  under full load", summary.click_to_queryable_ms_under_full_load),
    ):
        if fresh.get("samples"):
            table.add_row(what, f"p50 {fresh['p50']:,} ms, p99 {fresh['p99']:,} ms, of {fresh['samples']} events")
    if summary.seconds:
        table.add_row("time", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in summary.seconds.items()))
    restarts = sum(summary.restarts.values())
    if restarts:
        table.add_row("restarts", ", ".join(f"{name} {count}" for name, count in summary.restarts.items()))
    if summary.orders is not None:
        _add_orders(table, summary.orders)
    if summary.oracle:
        table.add_row("oracle", _verdict(summary))
    for line in summary.oracle.get("first", []):
        table.add_row("", Text(line, style="red"))
    return table


def _add_orders(table: Table, orders: OrderNumbers) -> None:
    ends = ", ".join(f"{count:,} {state}" for state, count in sorted(orders.states.items()))
    table.add_row("orders", f"{orders.placed:,} placed: {ends or 'none'}")
    if orders.reasons:
        reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in sorted(orders.reasons.items()))
        table.add_row("  cancelled", reasons)
    if orders.refused:
        table.add_row(
            "  not placed", ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in orders.refused.items())
        )
    took = orders.accepted_to_confirmed_ms
    if took.get("samples"):
        table.add_row("  to confirmed", f"p50 {took['p50']:,} ms, p99 {took['p99']:,} ms")
    if orders.events:
        paid = sum(orders.paid.values())
        table.add_row("  their pages", f"{orders.events:,} events sent, {paid:,} of them that an order is paid")
    clean, events = orders.reconciler.get("clean"), orders.reconciler.get("events", 0)
    text = f"{events:,} events, money and stock: everything adds up" if clean else "rows are wrong"
    table.add_row("  reconciler", Text(text, style="bold green" if clean else "bold red"))
    compared, differences = orders.recount.get("compared", 0), orders.recount.get("differences", 0)
    told = f"{compared:,} numbers of API, topic and provider compared, {differences or 'none'} differ"
    table.add_row("  recount", Text(told, style="bold red" if differences else "bold green"))
    for line in (*orders.reconciler.get("first", []), *orders.recount.get("first", []), *orders.mistakes):
        table.add_row("", Text(line, style="red"))


def _again(summary: Summary) -> str:
    if not summary.requests_sent_again:
        return "no request had to be sent again"
    again, twice = f"{summary.requests_sent_again:,}", f"{summary.written_twice:,}"
    return f"{again} attempts had to be repeated, {twice} events were thereby written twice"


def _verdict(summary: Summary) -> Text:
    compared, differences = summary.oracle.get("compared", 0), summary.oracle.get("differences", 0)
    if differences:
        return Text(f"{compared:,} numbers compared, {differences:,} differ", style="bold red")
    return Text(f"{compared:,} numbers compared, all equal", style="bold green")

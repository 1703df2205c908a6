"""Goals: the card of all of them, and the table of one by the values of a dimension."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import pyarrow as pa
import streamlit as st

from connectors.errors import Unavailable
from connectors.insights import Conversion, QueryTooLarge
from dashboards.data import backend
from dashboards.ui import formats
from dashboards.ui.downloads import show_csv
from dashboards.ui.labels import PRODUCT, labels, titles_of
from dashboards.ui.shell import Frame, pick, show_invalid
from dashboards.ui.table_csv import goals_to_csv
from marketplace.tables import VISITORS_EXACT_UP_TO, VISITORS_RELATIVE_ERROR

MAX_VALUES: Final = 1_000


def prefetch(frame: Frame, split: str = "all") -> None:
    """Start the queries of goals."""
    goals = frame.store.goals
    if goals:
        for scope in (frame.scope, frame.before) if frame.compares else (frame.scope,):
            backend.conversions.submit(scope, goals, split, MAX_VALUES)


def goals_card(frame: Frame, *, csv: bool = False) -> bool:
    """Draw all goals with their rates; returns whether there are any.

    Args:
        frame: The frame.
        csv: Whether they can be had as CSV.
    """
    if not frame.store.goals:
        how_to_make_one(frame)
        return False
    try:
        rows = _of_all(frame, frame.scope)
        before = _of_all(frame, frame.before) if frame.compares else None
    except QueryTooLarge as error:
        show_invalid(error, frame)
        return True
    except Unavailable:
        # They read single events, which takes longer than all else of a page that they are only a part of.
        st.caption("How often they were reached cannot be read right now. This page tries again.")
        return True
    then = [None if before is None else before.get(goal.name) for goal in frame.store.goals]
    now = [rows.get(goal.name, Conversion(goal.name, "", 0, 0, 0)) for goal in frame.store.goals]
    columns: dict[str, Any] = {"goal": [goal.name for goal in frame.store.goals], **_numbers(now)}
    if before is not None:
        columns["change"] = pa.array([_change(*pair) for pair in zip(now, then, strict=True)], pa.float64())
    _draw(columns, {"goal": st.column_config.TextColumn("Goal", width="medium")}, "goals-all")
    if estimates := _estimates(now):
        st.caption(estimates)
    if not any(row.conversions for row in now):
        st.caption(
            "Nobody reached one in these days. A named event is sent by `marketplace('add_to_cart')` on your pages; "
            "the pages of this platform send theirs themselves."
        )
    if csv:
        then_by_goal = None if before is None else {(name, ""): row for name, row in before.items()}
        show_csv(frame, "goals", partial(goals_to_csv, now, before=then_by_goal))
    return True


def goal_table(frame: Frame, goal: str, split: str) -> None:
    """Draw one goal by the values of a dimension; a tick filters by one."""
    try:
        rows = backend.conversions(frame.scope, frame.store.goals, split, MAX_VALUES)[goal]
    except QueryTooLarge as error:
        show_invalid(error, frame)
        return
    if not rows:
        st.info(f"No {formats.PLURALS[split].lower()} in these days.", icon=":material/hourglass_empty:")
        return
    label = labels(frame.store.slug, split, (row.value for row in rows))
    titles = titles_of(frame.store.slug, split, (row.value for row in rows)) if split == PRODUCT else None
    values = tuple(row.value for row in rows)
    # A tick names a position: another order is another table.
    key = f"goal-{split}-{hash(values)}"

    def selected() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        if chosen:
            pick(split)(values[chosen[0]])

    heading = {split: st.column_config.TextColumn(formats.LABELS[split], width="medium")}
    st.dataframe(
        pa.table({split: [label(value) for value in values], **_numbers(rows)}),
        key=key,
        hide_index=True,
        placeholder="",
        on_select=selected,
        selection_mode="single-row",
        column_config={**heading, **_config()},
        height=min(560, 38 + 35 * len(rows)),
    )
    most = f"The {MAX_VALUES:,} values with the most visitors. " if len(rows) == MAX_VALUES else ""
    most += _estimates(rows)
    with st.container(horizontal=True, vertical_alignment="center"):
        show_csv(frame, f"goal-by-{split}", partial(goals_to_csv, rows, split, titles))
        st.caption(f"{most}Tick a row to filter by it.")


def how_to_make_one(frame: Frame) -> None:
    """What a store without goals is shown."""
    st.markdown("A goal is what visitors are to do: see a page, click a target, send a named event. Make one:")
    st.code(_add(frame), language=None)
    st.caption("Or by the REST API. It counts what happened before it was made, too.")


def how_to_change_them(frame: Frame) -> None:
    """How goals are made, changed and removed: not here."""
    slug = frame.store.slug
    st.markdown("**Make, change or remove a goal** by command, or by the REST API (`/v1/stores/{store}/goals`):")
    remove = f'marketplace stores goals remove {slug} "Signed up"'
    st.code(f"{_add(frame)}\n{remove}", language=None)
    st.caption(
        "A goal is asked of what has happened already: a new one has its whole history at once. To change one, remove "
        "it and add it again; nothing is lost by that."
    )


def _add(frame: Frame) -> str:
    return f'marketplace stores goals add {frame.store.slug} "Signed up" --page /welcome'


def _of_all(frame: Frame, scope: Any) -> dict[str, Conversion]:
    found = backend.conversions(scope, frame.store.goals, "all", MAX_VALUES)
    return {name: rows[0] for name, rows in found.items() if rows}


def _numbers(rows: Sequence[Conversion]) -> dict[str, Any]:
    return {
        "rate": pa.array([None if row.rate is None else 100 * row.rate for row in rows], pa.float64()),
        "converted": [row.converted for row in rows],
        "visitors": [row.visitors for row in rows],
        "conversions": [row.conversions for row in rows],
    }


def _estimates(rows: Iterable[Conversion]) -> str:
    """That numbers of visitors are estimates, with a space behind it; empty where all of them are exact."""
    if not any(row.is_estimate for row in rows):
        return ""
    return (
        f"Visitors above {VISITORS_EXACT_UP_TO:,}, and their rates, are estimates: one standard error is "
        f"{VISITORS_RELATIVE_ERROR:.1%} of them. "
    )


def _change(now: Conversion, then: Conversion | None) -> float | None:
    grown = None if then is None else formats.change(now.rate, then.rate)
    return None if grown is None else 100 * grown


def _config() -> dict[str, Any]:
    column, words = st.column_config, formats.DEFINITIONS
    number = column.NumberColumn
    return {
        "rate": number("Rate", format="%.2f%%", help=words["rate"], width=80),
        "change": number("Change", format="%+.0f%%", help="The rate against that of the period before.", width=80),
        "converted": number("Visitors who did", format="localized", help=words["converted"], width=120),
        "visitors": number("Of visitors", format="localized", help=words["visitors"], width=100),
        "conversions": number("Conversions", format="localized", help=words["conversions"], width=100),
    }


def _draw(columns: dict[str, Any], more: dict[str, Any], key: str) -> None:
    table = pa.table(columns)
    order = [name for name in ("goal", "rate", "change", "converted", "visitors", "conversions") if name in columns]
    st.dataframe(
        table.select(order),
        key=key,
        hide_index=True,
        placeholder="",
        column_config={**more, **_config()},
        height=min(400, 38 + 35 * table.num_rows),
    )

"""The page Live: the last minutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from connectors.errors import Unavailable
from connectors.insights import LiveEvent, LiveMinute
from dashboards.data import backend
from dashboards.ui import charts, formats, panels, shell
from dashboards.ui.labels import PRODUCT, labels

_RECENT_SECONDS: Final = 10


def show() -> None:
    """Draw the page; its content is refreshed every two seconds."""
    st.fragment(shell.guarded(_moment), run_every=2)()


def _moment() -> None:
    frame = shell.current_frame()
    scope = frame.everything
    try:
        minutes = backend.live_minutes(scope)
        recent = backend.events_of_seconds(scope, _RECENT_SECONDS)
        last_minute = backend.events_of_seconds(scope, 60)
        events = backend.latest(scope)
    except Unavailable:
        st.warning("ClickHouse does not answer. This page tries again.", icon=":material/cloud_off:")
        return
    try:
        present = formats.count(backend.live_visitors(frame.store.slug))
    except Unavailable:
        present = formats.NOTHING
    with st.container(horizontal=True):
        st.metric(
            "Visitors in the last 5 minutes" + panels.whole_shop(frame),
            present,
            border=True,
            help=formats.DEFINITIONS["live"],
        )
        st.metric(
            "Events in the last minute",
            formats.count(last_minute),
            border=True,
            help=formats.DEFINITIONS["last_minute"],
        )
        st.metric(f"Events per second, last {_RECENT_SECONDS} s", f"{recent / _RECENT_SECONDS:.1f}", border=True)
    panels.freshness(frame)
    with st.container(border=True):
        st.markdown("**Page views and actions by minute, last 30 minutes**")
        panels.draw(
            charts.minutes(_minutes(frame, minutes)), "minutes", "Page views and actions of the last 30 minutes"
        )
    _feed(frame, events)


def _minutes(frame: shell.Frame, minutes: Sequence[LiveMinute]) -> list[dict[str, object]]:
    return [
        {
            "ago": len(minutes) - 1 - at,
            "label": f"{minute.minute.astimezone(frame.zone):%H:%M}",
            "events": minute.views + minute.actions,
            "views": minute.views,
            "actions": minute.actions,
            "visitors": minute.visitors,
        }
        for at, minute in enumerate(minutes)
    ]


def _feed(frame: shell.Frame, events: Sequence[LiveEvent]) -> None:
    with st.container(border=True):
        st.markdown("**Just now**")
        if not events:
            st.caption("Nothing in the last 30 minutes. Open the shop in another window and click: it appears here.")
            return
        label = labels(frame.store.slug, PRODUCT, (event.product for event in events))
        st.dataframe(
            [_line(frame, event, label(event.product) if event.product else "") for event in events],
            hide_index=True,
            key="feed",
            column_config={
                name: st.column_config.TextColumn(name.capitalize(), width="small" if name == "when" else None)
                for name in ("when", "what", "product", "page", "where", "with", "from")
            },
        )


def _deed(event: LiveEvent) -> str:
    if event.type == "view":
        return "looked at"
    return event.name or f"clicked {event.target}".strip()


def _line(frame: shell.Frame, event: LiveEvent, product: str) -> dict[str, str]:
    place = event.city or formats.value_label("country", event.country)
    return {
        "when": f"{event.at.astimezone(frame.zone):%H:%M:%S}",
        "what": _deed(event),
        "product": product,
        "page": event.page,
        "where": place,
        "with": formats.value_label("device", event.device),
        "from": "" if event.source == "(internal)" else event.source,
    }

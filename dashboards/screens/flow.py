"""The page Counting: what was received, and the outcome of each event."""

from __future__ import annotations

from collections import Counter
from typing import Final

import streamlit as st

from connectors.errors import Unavailable
from connectors.insights import Scope
from dashboards.data import backend
from dashboards.ui import panels, shell
from dashboards.ui.first_steps import show_tag_card
from marketplace.clicks.outcomes import CLOCK_CORRECTED, FUTURE_CLAMPED, OUTCOMES

TITLES: Final = {
    "counted": (
        "Counted",
        "A page view or an action by a person, sent live or imported. On the other pages it counts on the day on which "
        "it happened.",
    ),
    "bot": ("Bots", "Search engines, monitors, scrapers. Kept apart; 'People and bots' on the other pages shows them."),
    "refire": ("Refires", "The same visitor hit the same thing again within 2 seconds. Counted once."),
    "duplicate": ("Sent twice", "The same event arrived again: a retry of the browser or the network. Counted once."),
    "blocked": ("Blocked", "From a network that you block, or from somebody who asked not to be measured."),
    "late": ("Too late", "Sent more than 7 days after it happened, or dated before 2000. Kept, not counted."),
    "invalid": ("Unreadable", "Broken on its way, or of a store that is not known. Kept, not counted."),
}
TURNED_AWAY: Final[dict[str, str]] = {
    "rate": "which came too fast.",
    "new_values": "which brought too many new pages, products, campaigns, referrers or browsers in a short time.",
}
_NOTES: Final = {
    CLOCK_CORRECTED: "events came from a device whose clock was off by more than a minute; their time was corrected.",
    FUTURE_CLAMPED: "events claimed to be from the future; they count at the time when they arrived.",
}


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    _account_for_all(frame)
    show_tag_card(frame)


def _account_for_all(frame: shell.Frame) -> None:
    st.subheader("Where did my events go?")
    st.markdown(
        "Everything that was received of your shop has exactly one outcome. Here they all are, by the time when they "
        "were received (whole hours by UTC), whatever filter is set. The sum is checked: nothing disappears."
    )
    _turned_away(frame.scope)
    found = backend.outcomes(frame.scope)
    received, outcomes, notes = found.received, Counter(found.outcomes), Counter(found.notes)
    if not received:
        st.info(
            "Nothing was received in these days. Imported history is accounted for on the day on which it arrived.",
            icon=":material/hourglass_empty:",
        )
        return
    panels.freshness(frame)
    _table(received, outcomes)
    if found.difference:
        st.error(
            f"**The sum does not close: {found.difference:+,}.** Please report this to the operator.",
            icon=":material/error:",
        )
    else:
        parts = " + ".join(f"{outcomes[outcome.name]:,}" for outcome in reversed(OUTCOMES))
        st.success(f"**{received:,} received = {parts}**. The sum closes.", icon=":material/check_circle:")
    for name, text in _NOTES.items():
        if notes[name]:
            st.caption(f"{notes[name]:,} {text}")
    # Not a column: a table's cells do not wrap, and on a phone they would be off the screen.
    st.markdown("\n".join(f"- **{title}**: {meaning}" for title, meaning in _in_order()))


def _turned_away(scope: Scope) -> None:
    """Show how many events were turned away before they were received, if any."""
    try:
        counts = backend.turned_away(scope)
    except Unavailable:
        st.caption("It is not known right now whether anything was turned away.")
        return
    for reason, (requests, events) in counts.items():
        st.warning(turned_away_text(reason, requests, events), icon=":material/block:")


def turned_away_text(reason: str, requests: int, events: int) -> str:
    """The text that sellers read about events that were turned away."""
    why = TURNED_AWAY.get(reason, reason)
    return (
        f"**Turned away before they were received: at least {events:,} events** in {requests:,} requests, {why} "
        "They were answered with 429 and are in no number unless they were sent again. If your shop really grows this "
        "fast, ask the operator for a higher limit."
    )


def _in_order() -> list[tuple[str, str]]:
    return [TITLES[outcome.name] for outcome in reversed(OUTCOMES)]


def _table(received: int, outcomes: Counter[str]) -> None:
    st.dataframe(
        [
            {
                "outcome": TITLES[outcome.name][0],
                "events": outcomes[outcome.name],
                "share": outcomes[outcome.name] / received,
            }
            for outcome in reversed(OUTCOMES)
        ],
        hide_index=True,
        key="outcomes",
        column_config={
            "outcome": st.column_config.TextColumn("Outcome", width=140),
            "events": st.column_config.NumberColumn("Events", format="localized", width="small"),
            "share": st.column_config.ProgressColumn("Share", format="percent", min_value=0, max_value=1),
        },
    )

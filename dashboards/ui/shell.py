"""The frame around every page: store, days and filters, and messages where a part is unavailable."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from operator import methodcaller
from typing import Final
from zoneinfo import ZoneInfo

import streamlit as st

from connectors.errors import Refused, Unavailable
from connectors.insights import InvalidQuery, QueryTooLarge, Scope
from dashboards.data import backend, current
from dashboards.data.access import NotAllowed, Viewer
from dashboards.data.periods import CUSTOM, Range, previous
from dashboards.data.view import ATTRIBUTIONS, View, from_query, to_query
from dashboards.ui import account, header
from dashboards.ui.plans import how_to_lift
from marketplace.entitlements import ENTITLEMENTS, BeyondHistory, Tier, earliest_day
from marketplace.stores import Store

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 5
_RETRY_SECONDS: Final = 3
_FIRST_DAY_SECONDS: Final = 1.0
_MOST_STORES: Final = 50


@dataclass(frozen=True)
class Frame:
    """The context in which a page is drawn.

    Attributes:
        view: What the viewer has chosen.
        store: The chosen store.
        zone: The store's time zone.
        days: The chosen days.
        now: The present.
        today: The store's date for which the days were chosen.
        first_ever: The first day that has numbers; None where there are none, or it is not known.
        tier: The plan that bounds the store's numbers; None where there is no account at all, and nothing does.
        earliest: The first day that the plan includes; None where nothing bounds it.
    """

    view: View
    store: Store
    zone: ZoneInfo
    days: Range
    now: datetime
    today: date
    first_ever: date | None
    tier: Tier | None = None
    earliest: date | None = None

    @property
    def scope(self) -> Scope:
        """The scope of the chosen days and filters."""
        return self._scope(self.days.since, self.days.until)

    @property
    def before(self) -> Scope:
        """The scope of the previous period."""
        return self._scope(*previous(self.days, self.wall))

    @property
    def compares(self) -> bool:
        """Whether the previous period is shown: it is chosen, and the store has numbers for the whole of it."""
        begins = previous(self.days, self.wall)[0].date()
        return self.view.compare and self.first_ever is not None and self.first_ever <= begins

    @property
    def everything(self) -> Scope:
        """The scope of all time, with the same filters."""
        return self._scope(None, None)

    @property
    def wall(self) -> datetime:
        """The store's clock, naive."""
        return self.now.astimezone(self.zone).replace(tzinfo=None)

    def _scope(self, since: datetime | None, until: datetime | None) -> Scope:
        view = self.view
        return Scope(self.store.slug, self.zone, since, until, view.bots, view.filters, view.attribution)


def current_frame() -> Frame:
    """The frame of the current page, with ``now`` updated."""
    frame: Frame = st.session_state["frame"]
    return replace(frame, now=datetime.now(UTC))


def draw(page: Callable[[], None], choices: Collection[str] = header.ALL_CHOICES, title: str = "") -> None:
    """Draw the frame and the page in it.

    Args:
        page: Draws the page; called again every few seconds.
        choices: Those of ``header.ALL_CHOICES`` that apply to the page; the others keep their value, but are not shown.
        title: Its heading, for screen readers alone; empty where the page draws one.
    """
    try:
        viewer = current.viewer()
    except Unavailable:
        _show_unavailable("The list of stores", "MongoDB or Redis does not answer.")
        return
    except NotAllowed as error:
        st.session_state.clear()
        account.show_refusal(error)
        return
    account.show_viewer(viewer)
    if not viewer.stores:
        _no_store(viewer)
        return
    known = list(viewer.stores.values())
    missing = _missing_store(viewer)
    if missing is not None:
        _show_missing(missing, known)
        return
    view = _view(viewer, choices)
    store = viewer.store(view.store)
    zone = ZoneInfo(store.timezone)
    now = datetime.now(UTC)
    today = now.astimezone(zone).date()
    first_ever = _first_day(store, zone)
    tier = viewer.tier(store.slug)
    bounded = tier is not None and header.ALL_DAYS not in choices
    earliest = earliest_day(tier, zone, now).date() if tier is not None and bounded else None
    chosen = view.range(today, first_ever)
    days = chosen.within(earliest)
    # What a page does not offer, it does not count by: nobody would see why its numbers are others.
    counted = view if header.ATTRIBUTION in choices else replace(view, attribution="visit")
    frame = Frame(counted, store, zone, days, now, today, first_ever, tier, earliest)
    st.session_state["frame"] = frame
    if view.order:
        # An order stays the same whatever days are chosen.
        choices = frozenset(choices) - {"days"}
    header.show(known, view, days, today, choices, earliest, title)
    _show_ignored(view, store)
    if "days" in choices:
        _show_history(frame, chosen)
    st.fragment(guarded(page), run_every=REFRESH_SECONDS)()


def _show_history(frame: Frame, chosen: Range) -> None:
    """Say how far back the plan goes where that may matter: days are cut, or can be chosen, or all of them are."""
    cut = chosen != frame.days or frame.view.period in (CUSTOM, "all")
    if cut and frame.tier is not None and frame.earliest is not None:
        st.caption(f":material/info: {history_text(frame.tier, frame.earliest)}{how_to_lift(frame.tier)}")


def history_text(tier: Tier, earliest: date) -> str:
    """The sentence that says how far back a plan's numbers go, lest the cut look like missing data."""
    days = f"{ENTITLEMENTS[tier].history_days:,} days"
    return f"The {tier} plan includes {days} of history: from {earliest.day} {earliest:%B %Y} on."


def pick(dimension: str) -> Callable[[str], None]:
    """A callback for clicks on values of a dimension: sets the filter, or removes it if it is set."""

    def toggle(value: str) -> None:
        header.change(methodcaller("toggled", dimension, value))
        st.session_state["redraw"] = True

    return toggle


def _missing_store(viewer: Viewer) -> str | None:
    """The store that the address names, or that was looked at, where the viewer has none of that name."""
    state, query = st.session_state, st.query_params.to_dict()
    is_new = "view" not in state or (query and query != state.get("written"))
    # One that was looked at is gone where it was deleted, or the viewer is no member any more.
    named: str | None = query.get("store") if is_new else state["view"].store
    return named if named is not None and named not in viewer.stores else None


def _show_missing(named: str, known: Sequence[Store]) -> None:
    """Say that there is no such store; the numbers of another one would be taken for its own."""
    st.title("There is no such store")
    st.markdown(
        f"The address names the store {header.as_code(named[:60])}. There is none of that name, or you are no member "
        "of it. Nothing is shown in its place."
    )
    st.markdown("Your stores:" if len(known) > 1 else "Your store:")
    with st.container(horizontal=True, key="stores"):
        for store in known[:_MOST_STORES]:
            st.button(header.plain(store.title), key=f"open-{store.slug}", on_click=_open_store, args=(store.slug,))
    slugs = [store.slug for store in known]
    _look_again(lambda found: list(found.stores) != slugs)


def _look_again(has_changed: Callable[[Viewer], bool]) -> None:
    """Draw the whole page again once the viewer's stores have changed."""

    @st.fragment(run_every=_RETRY_SECONDS)
    def again() -> None:
        try:
            changed = has_changed(current.viewer())
        except Unavailable:
            return
        except NotAllowed:
            changed = True
        if changed:
            st.rerun(scope="app")

    again()


def _open_store(slug: str) -> None:
    view = View(slug)
    st.session_state["view"], st.session_state["written"] = view, to_query(view)
    st.query_params.from_dict(to_query(view))


def _view(viewer: Viewer, choices: Collection[str]) -> View:
    state, query, slugs = st.session_state, st.query_params.to_dict(), list(viewer.stores)
    if "view" not in state or (query and query != state.get("written")):
        state["view"], ignored = from_query(query, slugs)
        state["ignored"] = (ignored, state["view"])
    view: View = state["view"]
    opened = replace(
        view, order=view.order if header.ORDER in choices else "",
        variant=view.variant if header.VARIANT in choices else "",
    )  # fmt: skip
    if opened != view:
        state["view"] = view = opened
    wanted = to_query(view)
    if query != wanted:
        st.query_params.from_dict(wanted)
    state["written"] = wanted
    return view


def _show_ignored(view: View, store: Store) -> None:
    """Name the parameters of the URL that were ignored, until the view changes."""
    ignored, of = st.session_state.get("ignored", ((), None))
    if ignored and of == view:
        left_out = ", ".join(map(header.as_code, ignored))
        st.info(
            f"Left out of the address, because there is no such choice: {left_out}. "
            f"This is {header.plain(store.title)}.",
            icon=":material/info:",
        )


def _first_day(store: Store, zone: ZoneInfo) -> date | None:
    try:
        # It only decides what can be compared; the header must not wait for it.
        first = backend.first_day.submit(Scope(store.slug, zone)).result(_FIRST_DAY_SECONDS)
    except (Unavailable, Refused, TimeoutError, NotAllowed):
        return None
    return first.date() if first is not None else None


def guarded(page: Callable[[], None]) -> Callable[[], None]:
    """The function, with a message instead of a traceback where its queries fail."""

    def body() -> None:
        # A click inside the page changed the header, which is drawn by the whole script only.
        if st.session_state.pop("redraw", False):
            st.rerun(scope="app")
        frame = current_frame()
        if frame.wall.date() != frame.today and (frame.view.custom is None or frame.earliest is not None):
            # Midnight has passed on the store's clock: "Today" is another day, and so is the first one of the plan.
            st.rerun(scope="app")
        try:
            if current.viewer().tier(frame.store.slug) is not frame.tier:
                st.rerun(scope="app")
            page()
        except (NotAllowed, BeyondHistory):
            # The whole script draws what is left to see.
            st.rerun(scope="app")
        except InvalidQuery as error:
            show_invalid(error, frame)
        except Unavailable:
            st.warning(
                "**The numbers cannot be read right now.** ClickHouse, or a part that knows who may see them, does not "
                "answer. Nothing is lost: what happens "
                "in the shop is kept and counted later. This page tries again every few seconds.",
                icon=":material/cloud_off:",
            )
        except Refused as error:
            log.error("%s", error)
            st.error(
                "**The numbers cannot be read.** ClickHouse refuses the query. Please report this to the operator: the "
                "dashboard's log says more.",
                icon=":material/error:",
            )

    return body


def show_invalid(error: InvalidQuery, frame: Frame) -> None:
    """Say why a query has no answer, and what to do about it."""
    st.info(header.plain(invalid_text(error, frame.view)), icon=":material/filter_alt:")


def invalid_text(error: InvalidQuery, view: View) -> str:
    """The sentence that says it."""
    text = str(error)
    if isinstance(error, QueryTooLarge) and view.attribution != "visit":
        text += f', or count visits as brought by "{ATTRIBUTIONS["visit"]}"'
    return f"{text[:1].upper()}{text[1:]}."


def _show_unavailable(what: str, why: str) -> None:
    st.warning(
        f"**{what} cannot be read right now.** {why} This page tries again every few seconds.",
        icon=":material/cloud_off:",
    )

    @st.fragment(run_every=_RETRY_SECONDS)
    def again() -> None:
        try:
            current.viewer()
        except Unavailable:
            return
        except NotAllowed:
            pass
        st.rerun(scope="app")

    again()


def _no_store(viewer: Viewer) -> None:
    st.title("No store yet")
    if viewer.signed_in:
        st.markdown(
            f"{header.as_code(viewer.email)} works in no store. If you were invited, follow the link in that mail: it "
            "is valid for a week. Otherwise ask an owner of the store for an invitation, make a store with the REST "
            "API, or let the operator give you one:\n\n"
            "```\nmarketplace stores owner my-shop you@shop.example\n```"
        )
    else:
        st.markdown(
            "Numbers appear here as soon as there is a store and something happens in it. Make one:\n\n"
            "```\nmarketplace stores create my-shop --timezone Europe/Berlin --domain shop.example\n```\n\n"
            "or see a shop alive:\n\n```\nmarketplace demo\n```"
        )

    _look_again(lambda found: bool(found.stores))

"""The tag of a store's pages, and what a store sees of which no event has come yet."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import streamlit as st

from connectors.errors import Unavailable
from dashboards.data import backend, current
from dashboards.ui.header import plain
from dashboards.ui.shell import Frame, current_frame
from dashboards.web.sign_in import is_local_name
from marketplace.identity.roles import Permission
from marketplace.stores import Store
from runtime.sections import COLLECTOR_URL
from runtime.settings import EnvReader

_NO_COLLECTOR: Final = "https://YOUR-COLLECTOR"


def tag_of(store: Store, collector: str) -> str:
    """The tag with which a store's pages send events.

    Args:
        store: The store.
        collector: Where browsers reach the collector; empty where nobody has said it.
    """
    # Of a write key only the hash is kept; this key ends with it, and is worth as much (docs/adr/0029).
    return f'<script async src="{collector or _NO_COLLECTOR}/m.js" data-key="{store.storefront_key}"></script>'


def note_on(collector: str) -> str:
    """What whoever copies the tag has to know of its address; empty where that is all there is to it.

    Args:
        collector: As for :func:`tag_of`.
    """
    if not collector:
        return "Put the address of your collector in for YOUR-COLLECTOR."
    if is_local_name(urlsplit(collector).hostname or ""):
        return (
            "This address is right for pages that you open on this machine, and for nobody else. For a shop on the "
            "internet put a proxy with TLS in front of the collector, and start everything with its address as "
            "`MARKETPLACE_API_COLLECTOR_URL`: then the tag has it."
        )
    return ""


def after_first_event(page: Callable[[], None]) -> Callable[[], None]:
    """The page, or what to do where nothing of the store was ever received: a page of zeros would explain nothing."""

    def body() -> None:
        frame = current_frame()
        if frame.first_ever is None and not _is_anything_received(frame):
            _show(frame)
        else:
            page()

    return body


def _is_anything_received(frame: Frame) -> bool:
    """Whether it was, or nobody can say: each page says itself what cannot be read."""
    try:
        return backend.outcomes(replace(frame.everything, bots="exclude", filters=())).received > 0
    except Unavailable:
        return True


def _show(frame: Frame) -> None:
    with st.container(border=True, key="first-steps"):
        st.subheader(f"We have not seen an event of {plain(frame.store.title)} yet")
        if not _may_read_keys(frame):
            st.markdown(
                "An owner or a manager of the store sees here what to put into its pages. As soon as an event comes, "
                "this page shows numbers: it looks by itself every few seconds."
            )
            return
        st.markdown("**1.** Put this into the `<head>` of every page of the shop:")
        _show_tag(frame)
        st.caption(
            "The key in it is public: it may write events of this store and read nothing. It ends when the store's "
            "write key is replaced; then copy the tag again: the page *Counting* has it at any time."
        )
        st.markdown(
            "**2.** Open a page of the shop in a browser that does not ask not to be tracked (DNT, Global Privacy "
            "Control): the snippet sends nothing of those that do."
        )
        st.markdown("**3.** Look here again: this page looks by itself every few seconds.")
        st.caption(
            "Nothing comes? The browser's console on the shop's page says why. Pages that this platform serves for the "
            "store send their events without a tag."
        )


def show_tag_card(frame: Frame) -> None:
    """Draw the tag of a store that has events, for those who may read its keys; nothing for others."""
    if not _may_read_keys(frame):
        return
    with st.container(border=True, key="tag"):
        st.markdown("**The tag of this store**, for the `<head>` of every page of the shop:")
        _show_tag(frame)
        st.markdown(
            "- Its key is public: it may write events of this store, and read nothing. It begins with "
            "`storefront.`, which says how it is made and not where it may be used.\n"
            "- It does the same as the *write key* that `marketplace stores create` and `marketplace stores key` show "
            "once. Of that only a hash is kept, so no page can show it; use either, in pages and from servers.\n"
            "- **Both end within seconds when the write key is replaced** (`marketplace stores key`, or the REST API): "
            "then all pages that have the old tag stop counting until they get the new one from here.\n"
            "- What comes with a key that no store has is answered with 401. It belongs to no store, so it is in none "
            "of the numbers above; the console of the page that sent it says so."
        )


def _may_read_keys(frame: Frame) -> bool:
    viewer = current.viewer()
    # Without any account it is this machine's own user who looks, and who may make keys by command.
    return not viewer.signed_in or viewer.may(frame.store.slug, Permission.READ_KEYS)


def _show_tag(frame: Frame) -> None:
    collector = EnvReader(os.environ).read(COLLECTOR_URL).rstrip("/")
    st.code(tag_of(frame.store, collector), language=None, wrap_lines=True)
    if note := note_on(collector):
        st.caption(note)

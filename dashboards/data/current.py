"""Who looks at the page whose script runs."""

from __future__ import annotations

import os
from functools import cache

import streamlit as st

from dashboards.data.access import Viewer
from dashboards.data.query_cache import QueryCache
from dashboards.data.store_api import SignIn
from dashboards.data.viewers import FORWARDED_HEADER, LOCAL_HEADER, SESSION_HEADER, DatabaseReader, Viewers
from dashboards.web.identity_api import Browser, agent_of
from runtime.sections import Settings


@cache
def viewers() -> Viewers:
    """Those of this process; connects on first use.

    Raises:
        Refused: A URL is none of Mongo's.
    """
    settings = Settings.load(os.environ)
    return Viewers(DatabaseReader(settings.urls.mongo, settings.database, settings.urls.redis), QueryCache())


def viewer() -> Viewer:
    """Who looks, as it was less than a second ago.

    Raises:
        SignedOut: Nobody is signed in any more.
        NoAccountYet: There is no account, and the page is open on another machine.
        Unavailable: Nobody can say now.
    """
    headers = st.context.headers
    return viewers().now(headers.get(SESSION_HEADER) or "", headers.get(LOCAL_HEADER) == "yes")


def sign_in() -> SignIn:
    """The sign-in of who looks, for requests that change something."""
    headers = st.context.headers
    browser = Browser(headers.get(FORWARDED_HEADER) or "", agent_of(headers.get("user-agent") or ""))
    return SignIn(headers.get(SESSION_HEADER) or "", browser)

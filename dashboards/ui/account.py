"""Who is signed in, the way out, and what is shown to those who are not."""

from __future__ import annotations

from html import escape

import streamlit as st

from dashboards.data.access import NoAccountYet, NotAllowed, Viewer


def show_viewer(viewer: Viewer) -> None:
    """Draw a line with who is signed in and the way out; where nobody can be, it says what that means."""
    if viewer.signed_in:
        who = escape(viewer.name or viewer.email)
        # A form, because a link signs nobody out: the server takes this from the dashboard's own pages only.
        st.html(
            f'<form class="viewer" method="post" action="/sign-out"><span title="{escape(viewer.email)}">{who}</span>'
            '<button type="submit">Sign out</button></form>'
        )
    else:
        st.html(
            '<p class="viewer open"><span>No account exists yet: whoever uses this machine sees every store.</span>'
            '<a href="/sign-in" target="_self">How to change that</a></p>'
        )


def show_refusal(error: NotAllowed) -> None:
    """Draw what somebody sees who may see nothing. Numbers that were there before are gone with this."""
    if isinstance(error, NoAccountYet):
        st.title("No account exists yet")
        st.markdown("Until the first one is made, this dashboard shows its numbers on its own machine alone.")
    else:
        st.title("You are signed out")
        st.markdown("This sign-in has ended, here or elsewhere. Sign in again to see the numbers.")
    st.html('<p class="viewer left"><a href="/sign-in" target="_self">Sign in</a></p>')

"""Forms that change something in a store by the REST API, and what is said of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import streamlit as st

from connectors.errors import Unavailable
from dashboards.data import backend, current
from dashboards.data.access import NotAllowed
from dashboards.data.store_api import Change, Form, MaybeDone
from dashboards.ui.header import plain
from dashboards.web.identity_api import Answer
from marketplace.identity.roles import Permission

_UNAVAILABLE: Final = "**Nothing was changed.** The REST API does not answer. Try again in a moment."
_MAYBE: Final = (
    "**It is not known yet whether that was done.** The REST API did not say so in time. What stands here is what "
    "holds now; send it once more if it does not change in a moment: it is done once all the same."
)
_SIGNED_OUT: Final = "**Nothing was changed.** Your sign-in has ended: sign in once more."
_LIMIT: Final = "**Nothing was changed.** That were too many requests in a short time. Try again in a minute."


@dataclass(frozen=True)
class Said:
    """What became of a change.

    Attributes:
        kind: ``success``, ``warning`` or ``error``.
        text: Markdown.
    """

    kind: str
    text: str


def form_of(name: str) -> Form:
    """The form of that name that is open; it stays the same until something was changed by it."""
    forms: dict[str, Form] = st.session_state.setdefault("forms", {})
    return forms.setdefault(name, Form())


def may_change(store: str, permission: Permission) -> bool:
    """Whether the viewer sees forms at all; the API asks once more."""
    viewer = current.viewer()
    return viewer.signed_in and viewer.may(store, permission)


def send(store: str, name: str, form: Form, change: Change, done: str, forget: Callable[[], None]) -> bool:
    """Send a change, and keep what is to be said of it for :func:`show_said`.

    Args:
        store: The slug.
        name: Of the form.
        form: As it was drawn.
        change: What.
        done: What is said where it was done.
        forget: Lets what is read of it be read afresh.

    Returns:
        Whether it was done.
    """
    said, is_done = _outcome(store, form, change, done)
    st.session_state["said"] = (name, said)
    forget()
    forms: dict[str, Form] = st.session_state.setdefault("forms", {})
    if is_done and forms.get(name) is form:
        forms.pop(name)
    return is_done


def _outcome(store: str, form: Form, change: Change, done: str) -> tuple[Said, bool]:
    try:
        answer = backend.backend().api.change(current.sign_in(), store, change, form.key(store, change))
    except MaybeDone:
        return Said("warning", _MAYBE), False
    except Unavailable:
        return Said("error", _UNAVAILABLE), False
    except NotAllowed:
        return Said("error", _SIGNED_OUT), False
    if answer.status < 300:
        return Said("success", done), True
    return Said("error", _refusal(answer)), False


def _refusal(answer: Answer) -> str:
    if answer.status == 429:
        return _LIMIT
    if answer.status == 403:
        return "**Nothing was changed.** Your role in this store does not include that any more."
    reasons = [text for text in answer.problems().values() if text] or [str(answer.body.get("detail") or "")]
    text = "; ".join(dict.fromkeys(filter(None, reasons)))
    if not text:
        return "**Nothing was changed.** The REST API refuses it."
    return f"**Nothing was changed.** {plain(text[:1].upper() + text[1:])}."


def say(name: str, said: Said) -> None:
    """Keep something to be said at the next drawing."""
    st.session_state["said"] = (name, said)


def show_said(*names: str) -> None:
    """Draw what became of the last change, if it was one of these forms; it stays until there is another one."""
    name, said = st.session_state.get("said", ("", None))
    if said is None or name not in names:
        return
    icons = {"success": ":material/check_circle:", "warning": ":material/hourglass_top:", "error": ":material/error:"}
    {"success": st.success, "warning": st.warning, "error": st.error}[said.kind](said.text, icon=icons[said.kind])


def forget_said() -> None:
    """Say nothing of the last change any more: something else is open."""
    st.session_state.pop("said", None)

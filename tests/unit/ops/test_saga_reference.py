"""docs/reference/saga.md says what the declaration says."""

from __future__ import annotations

from marketplace.sagas.declaration import TRANSITIONS
from marketplace.sagas.events import EventType
from ops.reference.saga import TARGET, reference


def test_the_page_is_the_one_that_make_reference_writes() -> None:
    assert TARGET.read_text() == reference(), "run 'make reference'"


def test_every_step_and_every_event_is_on_the_page() -> None:
    page = reference()
    assert all(step.why in page for step in TRANSITIONS)
    assert all(f"| `{kind}` |" in page for kind in EventType)

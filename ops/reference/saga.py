"""``python -m ops.reference.saga``: writes docs/reference/saga.md from the saga's declaration; a test checks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from marketplace.sagas.declaration import (
    DEADLINES,
    NOTIFIES,
    TERMINAL,
    TRANSITIONS,
    Service,
    Transition,
    listeners,
    speakers,
)
from marketplace.sagas.events import PAYLOADS, EventType
from marketplace.sagas.payment_state import RefundState
from marketplace.topics import ORDERS_EVENTS

TARGET = Path(__file__).resolve().parents[2] / "docs" / "reference" / "saga.md"
_HEAD = f"""# The saga of an order

Written by `make reference` from `marketplace/sagas/declaration.py`, which tests, commands and this page read. Nobody
conducts it: services say what they did, in the topic `{ORDERS_EVENTS.name}` under the key of the order, and each reacts
to what the others say. Beside events there are three triggers: *request*, somebody asks for it by the API or the shop;
*deadline*, its time has come; *provider*, the payment provider says something in an answer, a webhook or a look-up.
"""
_PLACED: Final = "the API, with the order"


def reference() -> str:
    """The page as Markdown."""
    return "".join((_HEAD, *_conversation(), *_machines(), *_deadlines(), *_payloads()))


def _conversation() -> Iterator[str]:
    yield "\n## Who says what to whom\n\n```mermaid\nflowchart LR\n"
    yield "  api([API]) -->|ORDER_CREATED| payments\n"
    arrows = {
        (speaker, kind, listener)
        for kind in EventType
        for speaker in speakers(kind)
        for listener in listeners(kind)
        if speaker is not listener
    }
    for speaker, kind, listener in sorted(arrows):
        yield f"  {speaker} -->|{kind}| {listener}\n"
    yield "```\n\n| event | said by | heard by |\n|---|---|---|\n"
    for kind in EventType:
        said = ", ".join(sorted(speakers(kind))) or _PLACED
        yield f"| `{kind}` | {said} | {', '.join(sorted(listeners(kind))) or 'nobody'} |\n"


def _machines() -> Iterator[str]:
    for service in Service:
        steps = [step for step in TRANSITIONS if step.service is service]
        if not steps:
            continue
        yield f"\n## What {service} does\n\n```mermaid\nstateDiagram-v2\n"
        for step in steps:
            if step.before is not step.after:
                yield f"  {step.before} --> {step.after}: {_label(step)}\n"
        for state in sorted({state for step in steps for state in (step.before, step.after)} & TERMINAL):
            yield f"  {state} --> [*]\n"
        yield "```\n\n| on | from | to | says | |\n|---|---|---|---|---|\n"
        for step in steps:
            says = f"`{step.says}`" if step.says else ""
            yield f"| {_on(step)} | {step.before} | {step.after} | {says} | {step.why} |\n"
    yield "\n## What notifications makes of it\n\n| on | |\n|---|---|\n"
    for kind, why in NOTIFIES.items():
        yield f"| `{kind}` | {why} |\n"


def _deadlines() -> Iterator[str]:
    yield (
        "\n## How long a state may last\n\nWhat waits for a minute longer is stuck: `marketplace saga list --state "
        "stuck` lists it.\n\n| service | state | at most | then |\n|---|---|---|---|\n"
    )
    for deadline in DEADLINES:
        state = f"a refund {deadline.state}" if isinstance(deadline.state, RefundState) else str(deadline.state)
        yield f"| {deadline.service} | {state} | {_duration(deadline.seconds)} | {deadline.then} |\n"


def _payloads() -> Iterator[str]:
    yield (
        "\n## What an event says\n\nThe value of a record is JSON with these fields; its headers are those of "
        "CloudEvents (`ce_id`, `ce_type`, `ce_time`, `ce_source`, `ce_subject`,\n`ce_store`, `ce_dataversion`) and "
        "`traceparent`. A payload only ever gains fields.\n\n| event | fields | |\n|---|---|---|\n"
    )
    for kind, payload in PAYLOADS.items():
        fields = ", ".join(f"`{field}`" for field in payload.__struct_fields__)
        says = " ".join((payload.__doc__ or "").split()).replace("``", "`")
        yield f"| `{kind}` | {fields} | {says} |\n"


def _label(step: Transition) -> str:
    return f"{step.on} / {step.says}" if step.says else str(step.on)


def _on(step: Transition) -> str:
    return f"`{step.on}`" if isinstance(step.on, EventType) else f"*{step.on}*"


def _duration(seconds: int) -> str:
    if not seconds:
        return "not at all"
    for unit, length in (("hour", 3_600), ("minute", 60)):
        if seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


if __name__ == "__main__":
    TARGET.write_text(reference())

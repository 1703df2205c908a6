"""What an operator does with parked events: let them be handled again, or discard them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connectors.errors import Unavailable
from connectors.mongo.sagas.parking import Parked, ParkedEvents
from marketplace.dead_letters import MAX_DETAIL_CHARS
from marketplace.errors import Reject, Retry
from marketplace.sagas.events import UnknownEvent
from marketplace.sagas.wire import event_of, trace_parent_of
from saga_consumers.consumer import Absent, Handle
from saga_consumers.records import UNEXPECTED

_AT_ONCE: Final = 50


@dataclass(frozen=True)
class Retried:
    """What became of a key's parked events.

    Attributes:
        handled: How many are handled now.
        failed: The one that was rejected again, with the new reason; None where nothing is parked any more.
    """

    handled: int
    failed: Parked | None


def retry(parked: ParkedEvents, handle: Handle, key: str) -> Retried:
    """Handle the parked events of a key in order, until nothing is parked or one is rejected again.

    A consumer may run at the same time: what it parks meanwhile is handled as well.

    Raises:
        Unavailable: Mongo does not answer, or an event is to be tried later; what was handled is so.
    """
    handled = 0
    while some := parked.of_key(key, _AT_ONCE):
        for each in some:
            rejection = _rejection(each, handle)
            if rejection is not None:
                detail = rejection.detail[:MAX_DETAIL_CHARS]
                parked.failed_again(each, rejection.reason, detail)
                return Retried(handled, Parked(each.consumer, key, each.record, rejection.reason, detail, each.at_ms))
            parked.remove(each)
            handled += 1
    return Retried(handled, None)


def discard(parked: ParkedEvents, key: str, *, everything: bool = False) -> list[Parked]:
    """Delete the first parked event of a key, or all of them; their dead letters stay.

    Returns:
        Those that were deleted.

    Raises:
        Unavailable: Mongo does not answer.
    """
    discarded: list[Parked] = []
    while some := parked.of_key(key, _AT_ONCE if everything else 1):
        for each in some:
            parked.remove(each)
            discarded.append(each)
        if not everything:
            break
    return discarded


def _rejection(parked: Parked, handle: Handle) -> Reject | None:
    """Why an event cannot be handled; None where it is now."""
    record = parked.record
    try:
        event = event_of(record.key, record.headers, record.value)
        handle(event, datetime.now(UTC), trace_parent_of(record.headers))
    except UnknownEvent as error:
        return Reject(error.reason, str(error))
    except Absent as absent:
        return Reject(absent.code, absent.reason)
    except Reject as rejection:
        return rejection
    except Retry as later:
        raise Unavailable(f"{parked.id} is to be tried later: {later.reason}") from later
    except Unavailable:
        raise
    except Exception as error:
        return Reject(UNEXPECTED, f"{type(error).__name__}: {error}")
    return None

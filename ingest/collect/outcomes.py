"""The outcome of a request, event by event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from starlette.responses import Response

from ingest.faults import CORS_HEADERS
from marketplace.clicks.faults import Fault


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """Kafka acknowledged the event."""

    event_id: str
    status: Literal["accepted"] = "accepted"


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """The event became a dead letter; sending it again unchanged would fail again."""

    index: int
    path: str
    reason: str
    status: Literal["rejected"] = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a request.

    Attributes:
        results: One per event, in the order in which they were sent.
        first_fault: The first fault; None if all events were accepted.
    """

    results: Sequence[Accepted | Rejected]
    first_fault: Fault | None

    @property
    def status(self) -> int:
        """202 when at least one event was accepted, else 400."""
        return 202 if any(isinstance(result, Accepted) for result in self.results) else 400

    def response(self) -> Response:
        """The HTTP response, with a result per event."""
        rejected = sum(isinstance(result, Rejected) for result in self.results) if self.first_fault else 0
        body: dict[str, Any] = {
            "accepted": len(self.results) - rejected,
            "rejected": rejected,
            "results": self.results,
        }
        if self.status == 400 and self.first_fault is not None:
            fault = self.first_fault
            body = {"error": {"code": fault.code, "message": str(fault), "path": fault.path}, **body}
        return Response(msgspec.json.encode(body), self.status, CORS_HEADERS, media_type="application/json")

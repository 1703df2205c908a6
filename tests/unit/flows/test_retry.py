"""What a flow's log says of a part that was unavailable."""

from __future__ import annotations

import pytest

from connectors.errors import Unavailable
from flows.delivery.retry import UnavailableRetry
from runtime.backoff import Backoff
from runtime.progress import ProgressReport


def test_what_goes_on_after_several_attempts_names_the_part_that_was_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = iter(["Kafka does not answer", "ClickHouse does not answer", "ClickHouse does not answer"])

    def action() -> str:
        for failure in failures:
            raise Unavailable(failure)
        return "done"

    assert UnavailableRetry(ProgressReport(), lambda: False, Backoff(0.0))(action) == "done"
    assert caplog.messages[-1] == "resumed after 3 attempts; last error: ClickHouse does not answer"

"""Schemathesis on the application with real parts, behind a real HTTP server in the process of the test."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jsonschema_rs
import schemathesis
from hypothesis import strategies as st
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine.events import EngineFinished, FatalError, NonFatalError, ScenarioFinished
from schemathesis.engine.recorder import ScenarioRecorder

from api.web.problems import MEDIA_TYPE, PROBLEM_TYPES
from marketplace.identity.roles import API_KEY_SCOPES
from tests.kits.served import served
from tests.kits.tenancy import World

KEY_WITH_ALL_SCOPES: Final = "a" * 16
_KINDS: Final = {(kind.uri, kind.status) for kind in PROBLEM_TYPES}
_STEPS: Final = 8

schemathesis.openapi.format("iana-time-zone", st.sampled_from(["UTC", "Europe/Zurich", "Australia/Lord_Howe"]))
schemathesis.openapi.format("host", st.sampled_from(["shop.example", "www.shop.example", "localhost"]))
schemathesis.openapi.format("ip-network", st.sampled_from(["192.0.2.0/24", "2001:db8::/32"]))


@dataclass
class Fuzzed:
    """What came of a run.

    Attributes:
        failures: A text for each kind of failure, with a request that shows it.
        answers: How many there were, by operation and status.
    """

    failures: dict[str, str] = field(default_factory=dict)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    def succeeded(self, operation: str) -> int:
        """How many good answers an operation gave."""
        return sum(count for (label, status), count in self.answers.items() if label == operation and status < 300)

    def add(self, recorder: ScenarioRecorder) -> None:
        """Take over what a scenario saw."""
        for case_id, seen in recorder.interactions.items():
            if seen.response is not None:
                self.answers[recorder.cases[case_id].value.operation.label, seen.response.status_code] += 1
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is None:
                    continue
                request, failure = recorder.interactions[case_id].request, check.failure_info.failure
                what = f"{check.name}: {recorder.cases[case_id].value.operation.label}: {failure.title}"
                self.failures.setdefault(what, f"{failure.message}\n{request.method} {request.uri}\n{request.body!r}")


@schemathesis.check
def problem_details(ctx: Any, response: Any, case: Any) -> None:
    """Every error is a problem of the catalogue, as the document describes problems."""
    if response.status_code < 400:
        return
    assert response.headers["content-type"] == [MEDIA_TYPE], response.headers
    problem = json.loads(response.content)
    published = case.operation.schema.raw_schema["components"]["schemas"]["Problem"]
    wrong = [error.message for error in jsonschema_rs.validator_for(published).iter_errors(problem)]
    # Schemathesis notes a failed assertion and goes on; any other error would end the run.
    assert wrong == [], problem
    assert (problem["type"], problem["status"]) in _KINDS
    assert (problem["status"], [problem["request_id"]]) == (response.status_code, response.headers["x-request-id"])


async def fuzz(
    world: World,
    credential: str,
    seed: int,
    *,
    examples: int,
    phase: str,
    generation: Mapping[str, Any] | None = None,
    operations: Collection[str] | None = None,
) -> Fuzzed:
    """Send what Schemathesis makes of the OpenAPI document.

    Args:
        world: With a store ``shop``; what a request changes there is undone, but for the phase ``stateful``.
        credential: Who asks; empty for nobody.
        seed: Of all that is generated.
        examples: Requests of each operation, or sequences of requests.
        phase: ``fuzzing``, ``coverage`` or ``stateful``.
        generation: Further settings of what is generated.
        operations: Which of them, as ``GET /v1/stores``; all unless they are given.
    """
    loop, snapshot = asyncio.get_running_loop(), await world.snapshot()
    async with served(world) as url:
        config = SchemathesisConfig.from_dict(
            {
                "seed": seed,
                "base-url": url,
                "headers": {"Authorization": f"Bearer {credential}"} if credential else {},
                "workers": 1,
                "continue-on-failure": True,
                "suppress-health-check": ["all"],
                "generation": {"max-examples": examples, "no-shrink": True, **(generation or {})},
                "parameters": {} if phase == "stateful" else {"path.store": "shop"},
                "phases": {
                    "enabled": False,
                    phase: {"enabled": True, **({"max-steps": _STEPS} if phase == "stateful" else {})},
                },
                # A good value by its schema can still be refused: a password that everybody has, a slug that is taken.
                "checks": {
                    "positive_data_acceptance": {"enabled": False},
                    "missing_required_header": {"expected-statuses": [400, 401, 403, 404, 428]},
                },
            }
        )
        schema: Any = schemathesis.openapi.from_dict(json.loads(json.dumps(world.openapi)), config=config)

        @schema.hook  # type: ignore[untyped-decorator]  # the schema is Any: the library ships no types of it
        def after_call(context: Any, case: Any, response: Any) -> None:
            if phase != "stateful" and case.method != "GET" and response.status_code < 300:
                asyncio.run_coroutine_threadsafe(world.restore(snapshot), loop).result(30)

        chosen = schema if operations is None else schema.include(name=[*operations])
        return await asyncio.to_thread(_run, chosen)


def _run(schema: Any) -> Fuzzed:
    found = Fuzzed()
    for event in engine.from_schema(schema).execute():
        if isinstance(event, NonFatalError):
            raise event.value
        if isinstance(event, FatalError):
            raise event.exception
        if isinstance(event, ScenarioFinished):
            found.add(event.recorder)
        if isinstance(event, EngineFinished):
            assert event.failures == []
    return found


async def key_with_all_scopes(world: World) -> str:
    """An API key of the store ``shop`` that may do whatever keys may."""
    return await world.key("shop", "ann", *API_KEY_SCOPES, key_id=KEY_WITH_ALL_SCOPES)

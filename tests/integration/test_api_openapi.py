"""What the OpenAPI document says is what is answered: requests that Schemathesis makes of it, and sequences of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pytest

from api.access import Demand
from marketplace.identity.roles import API_KEY_SCOPES
from ops.stack import Stack
from tests.kits.api_requests import settle
from tests.kits.depth import CHAOS, CHAOS_SEEDS, LONG
from tests.kits.fuzzed_api import Fuzzed, fuzz, key_with_all_scopes
from tests.kits.tenancy import Run, World, application, worlds_with_identity

SEEDS = [1, *(pytest.param(seed, marks=LONG) for seed in (2, 3))]
EXAMPLES = 1 if CHAOS_SEEDS < 3 else CHAOS_SEEDS
SEQUENCES = 3 if CHAOS_SEEDS < 3 else 5 * CHAOS_SEEDS


@pytest.fixture(scope="module")
def run(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with worlds_with_identity(stack, tmp_path_factory.mktemp("openapi")) as running:
        yield running


def operations_of(who: str) -> list[str]:
    """What somebody is asked to do: in every run the owner everything, and others what is not refused to them, and
    some of the rest. What refuses it is one piece of code, which test_api_access.py asks by every route."""
    everything = sorted(application().app.state.rules.items())  # type: ignore[attr-defined]  # nothing starts it here
    open_to_others = {Demand.NOTHING, Demand.CART} if who == "nobody" else {Demand.NOTHING, *API_KEY_SCOPES}
    refused = [key for key, rule in everything if who != "owner" and rule.demand not in open_to_others]
    left_out = {*refused} - {*refused[:: 5 if CHAOS_SEEDS < 3 else 1]}
    return [" ".join(key) for key, _ in everything if key not in left_out]


def fuzzed(
    run: Run, who: str, seed: int, phase: str, examples: int, operations: Collection[str] | None = None
) -> Fuzzed:
    found: list[Fuzzed] = []

    async def work(world: World) -> None:
        await settle(world)
        key = await key_with_all_scopes(world)
        credential = {"nobody": "", "owner": "token-of-ann", "API key": key}[who]
        found.append(await fuzz(world, credential, seed, examples=examples, phase=phase, operations=operations))

    run(work)
    assert found[0].failures == {}
    return found[0]


@CHAOS
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("who", ["nobody", "owner", "API key"])
def test_any_request_is_answered_as_the_document_says(run: Run, who: str, seed: int) -> None:
    operations = operations_of(who)
    found = fuzzed(run, who, seed, "fuzzing", EXAMPLES, operations)
    asked = {operation for operation, _ in found.answers}
    assert asked <= {*operations}
    assert len(asked) > 30


@CHAOS
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("who", ["nobody", "owner", "API key"])
def test_any_sequence_of_requests_is_answered_as_the_document_says(run: Run, who: str, seed: int) -> None:
    found = fuzzed(run, who, seed, "stateful", SEQUENCES)
    if who == "owner":
        # A sequence begins with something that is made; three of them cannot begin with everything.
        assert found.succeeded("POST /v1/stores") + found.succeeded("POST /v1/carts") > 0


@LONG
@pytest.mark.timeout(600)
@pytest.mark.parametrize("who", ["nobody", "owner", "API key"])
def test_values_at_the_bounds_of_every_schema_are_answered_as_the_document_says(run: Run, who: str) -> None:
    fuzzed(run, who, 1, "coverage", 1)

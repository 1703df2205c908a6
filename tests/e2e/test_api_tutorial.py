"""The commands of the tutorial of the API do what the page says, and print it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.stack.errors import StackError
from ops.stack.parts.kafka_archive import prepared_kafka
from tests.kits.tutorials import own_stack, run_page, shape, steps_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "open-a-store-by-api.md"


@pytest.mark.timeout(300)
def test_every_command_of_the_page_prints_what_the_page_says(tmp_path: Path) -> None:
    try:
        prepared_kafka()
    except StackError as error:
        pytest.skip(str(error))
    steps = steps_of(PAGE)
    assert len([step for step in steps if step.printed is not None]) >= 12

    with own_stack(tmp_path) as environment:
        run_page(PAGE, tmp_path, environment)


def test_ids_secrets_and_times_are_examples_and_all_else_is_compared() -> None:
    one = '{"id": "3f2a9c51d06e4b7fa8c1e2d3b4a59687", "at": "2026-11-29T12:00:00.000Z", "clicks": 1}'
    other = '{"id": "00000000000000000000000000000000", "at": "2027-01-01T00:00:00.123Z", "clicks": 1}'
    assert shape(one, is_json=True) == shape(other, is_json=True)
    for changed in ('"clicks": 2', '"clicks": "1"', '"click": 1', '"clicks": null'):
        assert shape(one.replace('"clicks": 1', changed), is_json=True) != shape(one, is_json=True)

"""The contract of the topic ``clicks.collected.v1``: examples that every version has to read, and to write the same."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from marketplace.clicks.events import CollectedClick, decode_click, encode_click
from marketplace.topics import CLICKS_COLLECTED
from tests.kits.clicks import read_values

FOLDER = Path(__file__).parents[2] / "golden" / CLICKS_COLLECTED.name
GOLDEN = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_an_example_is_read_and_written_as_it_is(path: Path) -> None:
    value = path.read_bytes().strip()
    assert encode_click(decode_click(value)) == value


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_flow_reads_each_example(path: Path) -> None:
    value = path.read_bytes().strip()
    columns, rejects = read_values([value])
    assert rejects == []
    assert columns.event_ids == [decode_click(value).event_id]


def test_the_examples_show_every_field_given_and_left_out() -> None:
    documents = [msgspec.json.decode(path.read_bytes()) for path in GOLDEN]
    fields = {field.name: field.required for field in msgspec.structs.fields(CollectedClick)}
    assert {name for document in documents for name in document} == set(fields)
    assert any(set(document) == {name for name, required in fields.items() if required} for document in documents)

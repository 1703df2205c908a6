"""Rows as they leave the flow."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flows.clicks.structure import structure_of
from marketplace.tables import FENCED_TABLES, insertable
from tests.clicks_kit import CHROME, as_log, event, ms, run

NOON = ms("2025-03-12T12:00:00")
# One browser in two versions: two answers that agree in a column.
AGENTS = [CHROME, CHROME.replace("120.0", "121.0"), CHROME.replace("Windows NT 10.0", "Windows NT 6.1")]
LOG = as_log(
    [event(NOON + step, event_id=str(step), user_agent=AGENTS[step % 3], target=str(step)) for step in range(6)]
)


@pytest.mark.parametrize("table", FENCED_TABLES, ids=lambda table: table.name)
def test_a_dictionary_holds_each_text_once_in_a_batch_and_in_batches_written_together(table: pa.Table) -> None:
    parts = [result.tables[table.name] for result in run(LOG, (2,)).results]
    for rows in (parts[0], pa.concat_tables(parts).combine_chunks()):
        for name in rows.column_names:
            for chunk in rows[name].chunks if pa.types.is_dictionary(rows[name].type) else ():
                texts = chunk.dictionary.to_pylist()
                assert len(set(texts)) == len(texts), name


@pytest.mark.parametrize("table", FENCED_TABLES, ids=lambda table: table.name)
def test_rows_have_every_column_that_an_insert_gives(table: pa.Table) -> None:
    (result,) = run(LOG).results
    assert set(result.tables[table.name].column_names) == set(insertable(table))
    assert [name for name, _ in structure_of(table)] == list(insertable(table))


def test_every_row_carries_an_offset_of_its_batch() -> None:
    for result in run(LOG, (2,)).results:
        for name, rows in result.tables.items():
            offsets = set(rows["source_offset"].to_pylist())
            expected = {result.first_offset, result.last_offset} if name == "clicks" else {result.last_offset}
            assert offsets == expected, name


def test_a_batch_of_nothing_but_broken_records_leads_to_ledger_rows_only() -> None:
    (result,) = run(as_log([b"", b"{"])).results
    assert list(result.tables) == ["click_ledger"]
    assert (result.events, len(result.rejects), result.store_days, result.live) == (2, 2, set(), {})

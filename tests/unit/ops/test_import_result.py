from __future__ import annotations

from ingest.imports.access_log import ImportCounts
from ops.commands.import_result import said_of_outcomes, sentence


def test_an_import_says_once_what_was_left_out_and_one_thing_is_one() -> None:
    counts = ImportCounts(lines=10, sent=5, assets_skipped=2, not_views=2, out_of_range=1)
    assert sentence(counts, {"assets": 2, "other methods": 1, "other hosts": 1}) == (
        "10 lines read: 5 sent, 4 left out as no page views (2 assets, 1 request by another method, 1 request for "
        "another host), 1 outside of --from and --until."
    )


def test_an_empty_file_has_nothing_to_import() -> None:
    assert sentence(ImportCounts(), {}) == "0 lines read: there is nothing to import."


def test_what_was_sent_before_is_told_from_what_counts() -> None:
    assert said_of_outcomes("shop", {"counted": 3, "duplicate": 5, "bot": 0}) == (
        "  the ledger of shop has since this import began: 3 counted, 5 duplicate (had been sent before)"
    )
    assert said_of_outcomes("shop", {}) == ""

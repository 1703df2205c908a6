"""Whether a log has page views that the pages of the store have sent themselves: each would count twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime
from zoneinfo import ZoneInfo

from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.collected_views import first_collected_view
from connectors.errors import Refused, Unavailable
from ingest.imports.log_files import BrokenLogFile
from ingest.imports.selection import Selection
from marketplace.access_logs.requests import LoggedRequest, UnparseableLine
from marketplace.access_logs.views import VIEW
from marketplace.stores import Store
from ops.commands.import_readings import ReadFile, RefusedImport
from ops.commands.log_progress import Progress
from runtime.sections import Settings


def refuse_what_pages_sent(
    settings: Settings,
    store: Store,
    selection: Selection,
    files: Sequence[ReadFile],
    progress: Progress,
    answer_seconds: float,
) -> None:
    """Refuse an import of page views from a time when the store's pages sent theirs already.

    Args:
        settings: Where ClickHouse is.
        store: The store, which was there before this import.
        selection: Which requests are imported.
        files: The files; they are read to the first such view.
        progress: Says that ClickHouse is waited for, and where it is not known.
        answer_seconds: How long ClickHouse may take.

    Raises:
        RefusedImport: There are such views, or it cannot be known; the message says what to add.
    """
    try:
        with progress.waiting_for("ClickHouse"):
            first = _first_view(settings, store.slug, answer_seconds)
    except (Unavailable, Refused) as error:
        progress.say(
            f"Not known whether the pages of {store.slug} send page views already, which would count twice: {error}."
        )
        return
    if first is None:
        return
    # To the minute: so it can be given as it is shown, and the page that was on its way is left out.
    moment = first.astimezone(ZoneInfo(store.timezone)).replace(second=0, microsecond=0)
    from_ms = int(moment.timestamp() * 1_000)
    if selection.until_ms is not None and selection.until_ms <= from_ms:
        return
    for file in files:
        found = _has_view(file, selection, from_ms)
        if found is not False:
            raise RefusedImport(_refusal(store, file.name, moment, is_known=found is True))


def _first_view(settings: Settings, store: str, answer_seconds: float) -> datetime | None:
    if not settings.urls.clickhouse:
        raise Unavailable("no ClickHouse is named")
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=answer_seconds)
    with closing(clickhouse):
        return first_collected_view(clickhouse, store)


def _refusal(store: Store, name: str, moment: datetime, *, is_known: bool) -> str:
    text = moment.replace(tzinfo=None).isoformat(timespec="minutes")
    what = "has page views after that" if is_known else "cannot be looked through before it is sent"
    return (
        f"the pages of {store.slug} have sent their page views themselves since {text} ({store.timezone}), and {name} "
        f"{what}: they would count twice. Say --until {text} to leave them out, or --beside-snippet to send all of "
        "it; nothing was sent"
    )


def _has_view(file: ReadFile, selection: Selection, from_ms: int) -> bool | None:
    """Whether a file has a page view of that time or later; None where it cannot be read twice."""

    def is_later(request: LoggedRequest) -> bool:
        return request.occurred_at_ms >= from_ms and selection.kind_of(request) == VIEW

    if any(map(is_later, file.reading.requests)):
        return True
    if file.source.is_read():
        return False
    if file.source.size_bytes is None:
        return None
    with file.source.looked_through() as lines, suppress(BrokenLogFile):
        return any(map(is_later, _requests(file, (line.content for line in lines if line.is_ended))))
    return False


def _requests(file: ReadFile, lines: Iterator[bytes]) -> Iterator[LoggedRequest]:
    parse = file.reading.parser()
    for line in lines:
        with suppress(UnparseableLine):
            request = parse(line)
            if request is not None:
                yield request

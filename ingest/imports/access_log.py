"""Importing access logs as clicks.

Every line gets the same id in every import (``marketplace.access_logs.line_ids.LineIds``), so an import that is run
again, over the same files or longer ones, counts each request once. Within 48 hours the visitors are the same too;
after that their salts are gone, and new lines get new visitors.

Only page views become clicks (``marketplace.access_logs.views``), unless more is asked for; the others are counted by
kind.

Lines that cannot be parsed go to the topic of dead imports with file, line number and reason, the first 10,000 of an
import; one last letter counts the others by reason. Blank lines are counted and left out. What looks like an
address in a dead letter is cut to its network before it leaves this process; the exact bytes are in the log itself, and
equal lines have the same keyed hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from connectors.kafka.records import Record, RecordProducer, Unavailable
from connectors.mongo.salts import SaltCache, SaltsUnavailable
from connectors.mongo.stores import StoreRepository, StoresUnavailable
from ingest.imports.bounded_retry import BoundedRetry
from ingest.imports.log_files import BrokenLogFile, LogLine
from ingest.imports.selection import OUT_OF_RANGE, Selection
from marketplace.access_logs.clients import client_behind
from marketplace.access_logs.line_ids import LineIds
from marketplace.access_logs.recognition import Reading
from marketplace.access_logs.requests import LoggedRequest, UnparseableLine
from marketplace.access_logs.views import ASSET, VIEW, is_health_check, page_url
from marketplace.clicks.events import MAX_URL_CHARS, CollectedClick, encode_click
from marketplace.clicks.record import clip_user_agent, iso_time, partition_for, record_headers
from marketplace.clicks.visitors import cookieless_visitor, salt_date, truncate_ip
from marketplace.dead_letters import DeadLetter
from marketplace.dead_letters import headers as dead_letter_headers
from marketplace.enrichments.kept_links import kept_referrer, kept_url
from marketplace.masking import line_hash, mask_addresses
from marketplace.stores import InvalidStore, Store
from marketplace.topics import CLICKS_COLLECTED, IMPORTS_DEAD

BATCH_LINES: Final = 2_000
MAX_LETTERS: Final = 10_000
"""Unparseable lines of one import that each become a dead letter."""

_MAX_REASONS: Final = 100
_SEND_SECONDS: Final = 30.0
_STORE_SECONDS: Final = 1.0
"""How often an import looks whether its store is still there."""

_STORE_SHARE: Final = 10
"""A look takes no more than so small a part of the time, however long MongoDB needs to say that it does not answer."""
_KEY_CHARS: Final = 16
_MAX_NAME_CHARS: Final = 512
_EXAMPLE_BYTES: Final = 120
_MASKED_BYTES: Final = 4_096
"""Of a line that is shown: masked before it is cut, as half of an address would not be known for one."""


class StoreDeleted(InvalidStore):
    """The store of an import was deleted while it ran."""


@dataclass
class ImportCounts:
    """Lines by outcome; only lines that Kafka has acknowledged are counted.

    Attributes:
        lines: Lines read.
        sent: Requests that became clicks.
        assets_skipped: Requests for assets that were left out.
        not_views: Other requests that were left out, as they are no page views.
        out_of_range: Requests of other times than those that were asked for.
        health_checks: Requests among those sent that are health checks; they are bots'.
        headings: Lines of the format that are no requests.
        unparseable: Lines that are not of the format.
        blank: Lines with nothing but blanks; they are left out.
        unended: Last lines without a line ending; they are left for an import of the longer file.
        summed_up: Unparseable lines without a separate dead letter; the last letter counts them.
    """

    lines: int = 0
    sent: int = 0
    assets_skipped: int = 0
    not_views: int = 0
    out_of_range: int = 0
    health_checks: int = 0
    headings: int = 0
    unparseable: int = 0
    blank: int = 0
    unended: int = 0
    summed_up: int = 0

    def add(self, other: ImportCounts) -> None:
        """Count a batch."""
        self.lines += other.lines
        self.sent += other.sent
        self.assets_skipped += other.assets_skipped
        self.not_views += other.not_views
        self.out_of_range += other.out_of_range
        self.health_checks += other.health_checks
        self.headings += other.headings
        self.unparseable += other.unparseable
        self.blank += other.blank
        self.unended += other.unended
        self.summed_up += other.summed_up


@dataclass(frozen=True)
class Destination:
    """Where an import writes, and for which store.

    Attributes:
        store: The store it belongs to.
        stores: Where it is looked up whether the store is still there.
        producer: Where records go.
        salts: The salts of visitor hashes.
        epoch_ms: The wall clock.
        retry: How long Kafka and Mongo may be unavailable.
    """

    store: Store
    stores: StoreRepository
    producer: RecordProducer
    salts: SaltCache
    epoch_ms: Callable[[], int]
    retry: BoundedRetry


class LogImport:
    """One import; feed it files, one after the other.

    Args:
        destination: The store and the clients.
        selection: Which requests are imported.
        progress: Called with the counts after each batch.
        most_letters: The most unparseable lines that each become a dead letter.

    Attributes:
        counts: Lines so far, by outcome.
        reasons: Unparseable lines by reason; at most 100 reasons and one for all others.
        examples: For each of these reasons the first line's file, number and beginning, without addresses.
        kinds: Requests that were left out, by kind.
        unended_files: The files whose last line has no end yet.

    Raises:
        Unavailable: Kafka was unavailable for too long.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        selection: Selection,
        progress: Callable[[ImportCounts], None],
        most_letters: int = MAX_LETTERS,
    ) -> None:
        self.counts = ImportCounts()
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.kinds: Counter[str] = Counter()
        self.unended_files: list[str] = []
        self._summed_up: Counter[str] = Counter()
        self._letters_left = most_letters
        self._to = destination
        self._selection = selection
        self._progress = progress
        store = destination.store
        self._ids = LineIds(store.slug, store.visitor_secret)
        self._zone = ZoneInfo(store.timezone)
        count = destination.producer.partition_count
        self._partitions = destination.retry.until_done(
            lambda: count(CLICKS_COLLECTED.name, _SEND_SECONDS), Unavailable
        )
        self._records: list[Record] = []
        self._reading = ImportCounts()
        self._next_look = float("-inf")

    def read(self, file_name: str, lines: Iterable[LogLine], reading: Reading) -> None:
        """Import the lines of one file and wait until Kafka has them.

        Args:
            file_name: For dead letters.
            lines: All of its lines.
            reading: How they are read.

        Raises:
            BrokenLogFile: The file is damaged; the lines before the damage were imported.
            Unavailable: Kafka was unavailable for too long; running the same import again is safe.
            SaltsUnavailable: Mongo was unavailable for too long; running the same import again is safe.
            StoreDeleted: The store was deleted; what was sent before is counted as its other events are.
        """
        parse = reading.parser()
        try:
            for line in lines:
                self._take(file_name, line, parse)
                if self._reading.lines >= BATCH_LINES:
                    self._send()
        except BrokenLogFile:
            self._send()
            raise
        self._send()

    def finish(self) -> None:
        """Write one last dead letter that counts the unparseable lines without a letter, if there are any.

        Raises:
            Unavailable: Kafka was unavailable for too long.
            StoreDeleted: The store was deleted.
        """
        if self._summed_up:
            self._records.append(self._last_letter())
            self._send()
            self._summed_up.clear()

    def _take(self, file_name: str, line: LogLine, parse: Callable[[bytes], LoggedRequest | None]) -> None:
        self._reading.lines += 1
        if not line.content.strip() and line.full_bytes == len(line.content):
            self._reading.blank += 1
            return
        if not line.is_ended:
            # Half a line can look like a whole one: of another page, or with another id when it is whole.
            self._reading.unended += 1
            self.unended_files.append(file_name)
            return
        try:
            request = parse(line.content)
        except UnparseableLine as error:
            self._refuse(file_name, line, str(error))
            return
        if request is None:
            self._reading.headings += 1
            return
        kind = self._selection.kind_of(request)
        if kind == OUT_OF_RANGE:
            self._reading.out_of_range += 1
            return
        if kind != VIEW and not self._selection.takes(kind):
            self.kinds[kind] += 1
            if kind == ASSET:
                self._reading.assets_skipped += 1
            else:
                self._reading.not_views += 1
            return
        self._reading.sent += 1
        self._records.append(self._record(line, request))

    def _refuse(self, file_name: str, line: LogLine, reason: str) -> None:
        self._reading.unparseable += 1
        counted = reason if reason in self.reasons or len(self.reasons) < _MAX_REASONS else "other reasons"
        self.reasons[counted] += 1
        if counted not in self.examples:
            beginning = mask_addresses(line.content[:_MASKED_BYTES])[:_EXAMPLE_BYTES].decode("utf-8", "replace")
            self.examples[counted] = f"{file_name}, line {line.number:,}: {beginning}"
        if self._letters_left > 0:
            self._letters_left -= 1
            self._records.append(self._dead_letter(file_name, line, reason))
        else:
            self._reading.summed_up += 1
            self._summed_up[counted] += 1

    def _send(self) -> None:
        self._check_store()
        send_all, records = self._to.producer.send_all, self._records
        self._to.retry.until_done(lambda: send_all(records, _SEND_SECONDS), Unavailable)
        self.counts.add(self._reading)
        self._records, self._reading = [], ImportCounts()
        self._progress(self.counts)

    def _check_store(self) -> None:
        began = self._to.retry.monotonic()
        if began < self._next_look:
            return
        slug = self._to.store.slug
        try:
            store = self._to.stores.get(slug)
        except (StoresUnavailable, InvalidStore):
            # It was there before, and somebody may be editing its document by hand: it is looked up again.
            return
        finally:
            ended = self._to.retry.monotonic()
            self._next_look = ended + max(_STORE_SECONDS, (ended - began) * _STORE_SHARE)
        if store is None or store.deleted:
            raise StoreDeleted(f"store {slug} was deleted meanwhile: nothing more is imported into it")

    def _record(self, line: LogLine, request: LoggedRequest) -> Record:
        line_id = self._ids.next_id(line.content)
        client = client_behind(request, self._selection.trusted_proxies)
        automated = is_health_check(request)
        self._reading.health_checks += automated
        click = CollectedClick(
            key=line_id[:_KEY_CHARS],
            event_id=line_id,
            store=self._to.store.slug,
            visitor=self._visitor(request, client),
            received_at_ms=self._to.epoch_ms(),
            origin="import",
            occurred_at_ms=request.occurred_at_ms,
            ip=truncate_ip(client),
            user_agent=clip_user_agent(request.user_agent),
            url=kept_url(page_url(request.target, request.host or self._selection.host)[:MAX_URL_CHARS]),
            referrer=kept_referrer(request.referrer[:MAX_URL_CHARS]),
            automated=automated,
        )
        partition = partition_for(click, self._partitions)
        return Record(
            CLICKS_COLLECTED.name, encode_click(click), click.visitor.encode(), partition, record_headers(click)
        )

    def _visitor(self, request: LoggedRequest, client: str) -> str:
        to, now_ms = self._to, self._to.epoch_ms()
        date = salt_date(self._zone, occurred_at_ms=request.occurred_at_ms, received_at_ms=now_ms, imported=True)
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        salt = to.salts.cached(to.store.slug, date, now)
        if salt is None:
            salt = to.retry.until_done(lambda: to.salts.get(to.store.slug, date, now), SaltsUnavailable)
        return cookieless_visitor(salt.value, to.store.slug, client, request.agent_as_logged)

    def _dead_letter(self, file_name: str, line: LogLine, reason: str) -> Record:
        headers = [
            *self._letter_headers("unparseable", reason),
            ("file", file_name[:_MAX_NAME_CHARS].encode("utf-8", "replace")),
            ("line", str(line.number).encode()),
            ("dlq_line_hash", line_hash(line.content, self._to.store.visitor_secret).encode()),
            ("ce_time", iso_time(self._to.epoch_ms()).encode()),
        ]
        masked = mask_addresses(line.content)
        if masked != line.content:
            headers.append(("dlq_masked", b"addresses"))
        if line.full_bytes > len(line.content):
            headers.append(("dlq_full_bytes", str(line.full_bytes).encode()))
        return Record(IMPORTS_DEAD.name, masked, headers=tuple(headers))

    def _letter_headers(self, reason: str, detail: str) -> tuple[tuple[str, bytes], ...]:
        letter = DeadLetter("import", reason, detail, self._to.store.slug, first_seen_ms=self._to.epoch_ms())
        return dead_letter_headers(letter)

    def _last_letter(self) -> Record:
        message = f"{self._summed_up.total():,} more lines of this import cannot be parsed"
        headers = (
            *self._letter_headers("unparseable_more", message),
            ("ce_time", iso_time(self._to.epoch_ms()).encode()),
        )
        return Record(IMPORTS_DEAD.name, msgspec.json.encode(dict(self._summed_up.most_common())), headers=headers)

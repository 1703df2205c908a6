from __future__ import annotations

import gzip
import io
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from connectors.kafka.memory import MemoryProducer
from connectors.kafka.records import Unavailable
from connectors.mongo.salts import MemorySalts, SaltCache, SaltsUnavailable
from connectors.mongo.stores import MemoryStores, StoresUnavailable
from ingest.imports.access_log import BATCH_LINES, MAX_LETTERS, Destination, ImportCounts, LogImport, StoreDeleted
from ingest.imports.bounded_retry import BoundedRetry
from ingest.imports.log_files import BrokenLogFile, read_lines
from ingest.imports.selection import Selection
from marketplace.access_logs.combined import VIRTUAL_HOST, CombinedFormat
from marketplace.access_logs.recognition import Reading
from marketplace.access_logs.requests import LineFormat
from marketplace.access_logs.views import COLLECTOR, FILE, METHOD, NO_PAGE, STATUS
from marketplace.access_logs.w3c import W3cFormat
from marketplace.clicks.events import CollectedClick, decode_click
from marketplace.networks import parse_networks
from marketplace.stores import Store
from marketplace.topics import CLICKS_COLLECTED, IMPORTS_DEAD
from tests.kits.collector import SHOP, SteppingClock, memory_producer

DAY_SECONDS = 86_400
VIEWS = Selection("shop.example")


class Kit:
    """An import into memory, and what it said."""

    def __init__(self) -> None:
        self.producer: MemoryProducer = memory_producer()
        self.salts = MemorySalts()
        self.stores = MemoryStores()
        self.stores.upsert_store(SHOP)
        self.after_batch: Callable[[], None] = lambda: None
        self.clock = SteppingClock(1_750_000_000_000)
        self.said: list[str] = []
        self.pauses: list[float] = []
        self.back_after_pauses = 0
        self.importing: LogImport | None = None

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.step(seconds)
        if len(self.pauses) == self.back_after_pauses:
            self.producer.available = True

    def run(
        self,
        *files: bytes,
        selection: Selection = VIEWS,
        most_letters: int = MAX_LETTERS,
        format: LineFormat | None = None,
    ) -> ImportCounts:
        retry = BoundedRetry(60.0, self.said.append, self.pause, self.clock.monotonic)
        salts = SaltCache(self.salts)
        destination = Destination(SHOP, self.stores, self.producer, salts, self.clock.epoch_ms, retry)
        importing = self.importing = LogImport(
            destination, selection=selection, progress=lambda _counts: self.after_batch(), most_letters=most_letters
        )
        reading = Reading(format or CombinedFormat())
        for number, data in enumerate(files):
            importing.read(f"{number}.log", read_lines(f"{number}.log", io.BytesIO(data)), reading)
        importing.finish()
        return importing.counts

    def clicks(self) -> list[CollectedClick]:
        return [decode_click(record.value) for record in self.producer.records(CLICKS_COLLECTED.name)]


def line(second: int, client: str = "192.0.2.1", target: str = "/", agent: str = "Browser") -> bytes:
    return f'{client} - - [17/May/2015:10:05:{second:02d} +0000] "GET {target} HTTP/1.1" 200 5 "-" "{agent}"\n'.encode()


def test_a_line_becomes_a_view_with_the_logs_own_time() -> None:
    kit = Kit()
    kit.run(line(3, target="/page?x=1"))

    (click,) = kit.clicks()
    assert (click.type, click.origin, click.store) == ("view", "import", "shop")
    assert click.occurred_at_ms == 1_431_857_103_000
    assert click.received_at_ms == 1_750_000_000_000
    assert click.url == "https://shop.example/page"
    assert click.ip == "192.0.2.0"


def test_importing_again_gives_the_same_keys_in_the_same_partitions() -> None:
    kit = Kit()
    data = b"".join(line(second, f"192.0.2.{second}") for second in range(30))
    kit.run(data)
    kit.run(data)

    copies = Counter(click.key for click in kit.clicks())
    assert set(copies.values()) == {2}
    homes = {
        (decode_click(record.value).key, record.partition) for record in kit.producer.records(CLICKS_COLLECTED.name)
    }
    assert len(homes) == len(copies) == 30


def test_a_month_later_the_visitors_are_new_but_keys_and_partitions_are_not() -> None:
    kit = Kit()
    kit.run(line(3))
    kit.clock.step(31 * DAY_SECONDS)
    kit.run(line(3))

    first, second = kit.producer.records(CLICKS_COLLECTED.name)
    before, after = decode_click(first.value), decode_click(second.value)
    assert before.visitor != after.visitor
    assert (before.key, before.event_id, first.partition) == (after.key, after.event_id, second.partition)


def test_two_equal_lines_are_two_events_also_across_files() -> None:
    kit = Kit()
    kit.run(line(3) + line(3), line(3))

    assert len({click.key for click in kit.clicks()}) == 3


def test_visitors_of_a_day_are_the_distinct_pairs_of_address_and_agent() -> None:
    kit = Kit()
    kit.run(line(1), line(2), line(3, client="192.0.2.2"), line(4, agent="-"), line(5, agent="Other"))

    assert len({click.visitor for click in kit.clicks()}) == 4


def test_assets_are_skipped_and_counted_unless_they_are_asked_for() -> None:
    data = line(1) + line(2, target="/logo.png") + line(3, target="/style.css?v=1")

    assert Kit().run(data) == ImportCounts(lines=3, sent=1, assets_skipped=2)
    assert Kit().run(data, selection=Selection("shop.example", include_assets=True)) == ImportCounts(lines=3, sent=3)


def test_a_last_line_without_an_end_is_left_for_the_import_of_the_longer_file() -> None:
    kit = Kit()
    half = line(2, target="/index.html")[:-10]

    assert kit.run(line(1) + half) == ImportCounts(lines=2, sent=1, unended=1)
    assert kit.importing is not None
    assert kit.importing.unended_files == ["0.log"]
    assert kit.run(line(1) + line(2, target="/index.html")) == ImportCounts(lines=2, sent=2)
    assert len({click.key for click in kit.clicks()}) == 2
    assert not kit.producer.records(IMPORTS_DEAD.name)


def test_an_unparseable_line_is_a_dead_letter_with_its_bytes_and_place() -> None:
    kit = Kit()
    counts = kit.run(line(1) + b'\xff\x00 "broken\r\n' + line(2))

    assert counts == ImportCounts(lines=3, sent=2, unparseable=1)
    (letter,) = kit.producer.records(IMPORTS_DEAD.name)
    headers = dict(letter.headers)
    assert letter.value == b'\xff\x00 "broken'
    assert (headers["file"], headers["line"], headers["dlq_store"]) == (b"0.log", b"2", b"shop")
    assert headers["dlq_detail"] == b"client and time are not there"
    assert "dlq_masked" not in headers


def test_blank_lines_are_counted_and_no_dead_letters() -> None:
    kit = Kit()
    counts = kit.run(b"\n" * 5_000 + line(1) + b" \t \r\n\n")

    assert counts == ImportCounts(lines=5_003, sent=1, blank=5_002)
    assert kit.producer.records(IMPORTS_DEAD.name) == []


def test_unparseable_lines_beyond_a_bound_are_summed_up_by_reason_in_one_last_letter() -> None:
    kit = Kit()
    counts = kit.run(b"broken\n" * 5, line(1) + line(2)[:-3] + b"\n" + b"broken\n" * 2, most_letters=4)

    letters = kit.producer.records(IMPORTS_DEAD.name)
    assert counts == ImportCounts(lines=9, sent=1, unparseable=8, summed_up=4)
    assert [dict(letter.headers)["dlq_reason"] for letter in letters] == [b"unparseable"] * 4 + [b"unparseable_more"]
    assert msgspec.json.decode(letters[-1].value) == {
        "client and time are not there": 3,
        "a quoted field is not closed": 1,
    }


def test_reasons_are_bounded_whatever_the_lines_hold() -> None:
    kit = Kit()
    lines = [line(1).replace(b"+0000", b"+%02d%02d" % (24 + hour, minute)) for hour in range(70) for minute in range(9)]

    kit.run(b"".join(lines), most_letters=0)

    (letter,) = kit.producer.records(IMPORTS_DEAD.name)
    assert sum(msgspec.json.decode(letter.value).values()) == len(lines)
    assert len(msgspec.json.decode(letter.value)) <= 101


def test_a_dead_letter_names_no_address_in_full_but_tells_which_lines_were_equal() -> None:
    kit = Kit()
    cut_short = line(1, client="203.0.113.77")[:-3] + b"\n"
    kit.run(cut_short, cut_short + line(1, client="203.0.113.78")[:-3] + b"\n")

    letters = kit.producer.records(IMPORTS_DEAD.name)
    assert {letter.value for letter in letters} == {cut_short.replace(b".77", b".0").strip()}
    headers = [dict(letter.headers) for letter in letters]
    assert [found["dlq_masked"] for found in headers] == [b"addresses"] * 3
    first, again, other = (found["dlq_line_hash"] for found in headers)
    assert first == again != other


def test_no_full_address_of_a_log_is_on_any_topic() -> None:
    kit = Kit()
    kit.run(b"".join(line(second, "203.0.113.77")[second // 2 :] for second in range(60)))

    records = kit.producer.records(CLICKS_COLLECTED.name) + kit.producer.records(IMPORTS_DEAD.name)
    assert len(records) == 60
    assert [record for record in records if b"203.0.113.77" in record.value] == []


def test_kafka_away_is_waited_for_and_said_once() -> None:
    kit = Kit()
    kit.producer.available = False
    kit.back_after_pauses = 3

    counts = kit.run(line(1))

    assert counts.sent == 1
    assert len(kit.pauses) == 3
    assert len(kit.said) == 2


def test_kafka_away_for_too_long_is_an_error() -> None:
    kit = Kit()
    kit.producer.available = False

    with pytest.raises(Unavailable):
        kit.run(line(1))

    assert 55 <= sum(kit.pauses) <= 70


def test_a_mongo_that_is_unavailable_for_too_long_is_an_error() -> None:
    kit = Kit()
    kit.salts.available = False

    with pytest.raises(SaltsUnavailable):
        kit.run(line(1))


def test_what_was_read_before_the_break_of_a_file_is_imported() -> None:
    kit = Kit()
    cut = gzip.compress(b"".join(line(number % 60, f"10.0.{number}.x") for number in range(50_000)))[:-12]

    with pytest.raises(BrokenLogFile):
        kit.run(cut)

    assert len(kit.clicks()) > 10_000


def test_a_file_longer_than_a_batch_is_sent_batch_by_batch() -> None:
    kit = Kit()
    total = BATCH_LINES + 5

    counts = kit.run(b"".join(line(number % 60, f"10.0.{number % 250}.{number // 250}") for number in range(total)))

    assert counts.sent == len(kit.clicks()) == total


def test_only_page_views_are_sent_and_the_others_are_counted_by_kind() -> None:
    kit = Kit()
    data = (
        line(1)
        + line(2).replace(b" 200 ", b" 404 ")
        + line(3).replace(b"GET", b"POST")
        + line(4, target="/v1/pixel.gif?key=x")
        + line(5, target="/price.pdf")
        + line(6).replace(b"GET / HTTP/1.1", b"-")
    )

    counts = kit.run(data)

    assert counts == ImportCounts(lines=6, sent=1, not_views=5)
    assert kit.importing is not None
    assert kit.importing.kinds == {STATUS: 1, METHOD: 1, COLLECTOR: 1, FILE: 1, NO_PAGE: 1}


def test_every_request_but_the_collectors_own_is_sent_when_all_are_asked_for() -> None:
    data = line(1) + line(2).replace(b" 200 ", b" 404 ") + line(3, target="/a.png") + line(4, target="/v1/collect")

    assert Kit().run(data, selection=Selection("shop.example", all_requests=True)) == ImportCounts(
        lines=4, sent=3, not_views=1
    )


def test_health_checks_are_sent_as_automated_and_counted() -> None:
    kit = Kit()
    counts = kit.run(line(1, agent="ELB-HealthChecker/2.0") + line(2, agent="Mozilla/5.0"))

    assert counts == ImportCounts(lines=2, sent=2, health_checks=1)
    assert {(click.user_agent, click.automated) for click in kit.clicks()} == {
        ("ELB-HealthChecker/2.0", True),
        ("Mozilla/5.0", False),
    }


def test_one_client_with_three_ports_is_one_visitor_with_its_network() -> None:
    kit = Kit()
    kit.run(b"".join(line(number, client=f"198.51.100.7:{4000 + number}") for number in range(3)))

    assert {(click.visitor, click.ip) for click in kit.clicks()} == {(kit.clicks()[0].visitor, "198.51.100.0")}


def behind(second: int, client: str, proxy: str = "10.0.0.5") -> bytes:
    return line(second, client=proxy).rstrip() + f' "{client}"\n'.encode()


def test_the_clients_behind_a_trusted_proxy_are_the_visitors() -> None:
    kit = Kit()
    format = CombinedFormat(forwarded_at=0)
    selection = Selection("shop.example", trusted_proxies=parse_networks("10.0.0.0/8"))
    forged = behind(4, "203.0.113.99, 198.51.100.4, 10.0.0.9")
    untrusted = behind(5, "203.0.113.99", proxy="192.0.2.1")
    kit.run(
        b"".join(behind(n, f"198.51.{n}.7") for n in range(3)) + forged + untrusted, selection=selection, format=format
    )

    assert {(click.occurred_at_ms or 0) % 60_000 // 1_000: click.ip for click in kit.clicks()} == {
        0: "198.51.0.0", 1: "198.51.1.0", 2: "198.51.2.0", 4: "198.51.100.0", 5: "192.0.2.0",
    }  # fmt: skip


def test_a_proxy_that_is_not_trusted_is_the_client() -> None:
    kit = Kit()
    kit.run(behind(1, "198.51.100.7") + behind(2, "198.51.100.8"), format=CombinedFormat(forwarded_at=0))

    assert len({click.visitor for click in kit.clicks()}) == 1


def test_the_host_of_a_line_is_the_host_of_its_page_and_another_shops_lines_are_left_out() -> None:
    kit = Kit()
    data = b"".join(host + b" " + line(1) for host in (b"www.shop.example:443", b"blog.example:80", b"SHOP.example:80"))

    counts = kit.run(data, selection=Selection("shop.example", ("shop.example",)), format=CombinedFormat(VIRTUAL_HOST))

    assert counts == ImportCounts(lines=3, sent=2, not_views=1)
    assert [click.url for click in kit.clicks()] == ["https://www.shop.example/", "https://shop.example/"]


def test_a_request_for_another_site_by_its_whole_address_is_none_of_the_shops() -> None:
    kit = Kit()
    data = line(1, target="http://Shop.example:80/a") + line(2, target="http://other.example/") + line(3)

    counts = kit.run(data, selection=Selection("shop.example", ("shop.example",)))

    assert counts == ImportCounts(lines=3, sent=2, not_views=1)


def test_an_unparseable_line_is_shown_as_an_example_without_its_address() -> None:
    kit = Kit()
    kit.run(line(1) + b"198.51.100.77 is no line\n" * 3)

    assert kit.importing is not None
    assert kit.importing.examples == {
        "client and time are not there": "0.log, line 2: 198.51.100.0 is no line",
    }


def test_headings_of_a_format_are_counted_and_are_neither_requests_nor_unparseable() -> None:
    kit = Kit()
    counts = kit.run(
        b"#Software: x\n#Fields: date time c-ip cs-uri-stem\n2026-11-20 09:12:00 198.51.100.7 /a\n",
        format=W3cFormat(UTC),
    )

    assert counts == ImportCounts(lines=3, sent=1, headings=2)


def test_requests_of_another_time_than_was_asked_for_are_left_out_and_counted_and_the_others_keep_their_ids() -> None:
    kit, whole = Kit(), Kit()
    data = line(0) + line(1) + line(1) + line(2) + line(3)
    begin = 1_431_857_100_000
    selection = Selection("shop.example", from_ms=begin + 1_000, until_ms=begin + 3_000)

    assert kit.run(data, selection=selection) == ImportCounts(lines=5, sent=3, out_of_range=2)
    whole.run(data)
    assert [click.key for click in kit.clicks()] == [click.key for click in whole.clicks()][1:4]
    everything = Selection("shop.example", all_requests=True, until_ms=begin)
    assert kit.run(data, selection=everything).sent == 0


def test_an_import_whose_store_is_deleted_meanwhile_stops_at_the_next_batch_a_second_later() -> None:
    kit = Kit()

    def delete() -> None:
        kit.stores.documents["shop"] = {**kit.stores.documents["shop"], "deleted_at": datetime(2026, 1, 1, tzinfo=UTC)}
        kit.clock.step(1)

    kit.after_batch = delete
    with pytest.raises(StoreDeleted, match="store shop was deleted meanwhile: nothing more is imported into it"):
        kit.run(line(1) * (BATCH_LINES * 2))
    assert kit.importing is not None
    assert len(kit.clicks()) == kit.importing.counts.sent == BATCH_LINES


def test_a_mongo_that_hangs_takes_no_more_than_a_tenth_of_an_imports_time() -> None:
    kit = Kit()
    looks: list[float] = []

    def hang(slug: str) -> Store | None:
        looks.append(kit.clock.monotonic())
        kit.clock.step(9)
        raise StoresUnavailable("frozen")

    class Hanging(MemoryStores):
        get = staticmethod(hang)

    kit.stores = Hanging()
    kit.after_batch = lambda: kit.clock.step(5)
    began = kit.clock.monotonic()
    assert kit.run(line(1) * (BATCH_LINES * 40)).sent == BATCH_LINES * 40
    took = kit.clock.monotonic() - began
    assert len(looks) > 1
    assert 9 * len(looks) <= took / 10 + 9


def test_an_import_goes_on_while_mongo_cannot_say_whether_its_store_is_there() -> None:
    kit = Kit()

    def hide() -> None:
        kit.stores.available = False
        kit.clock.step(1)

    kit.after_batch = hide
    assert kit.run(line(1) * (BATCH_LINES * 2)).sent == BATCH_LINES * 2

"""Replacing the place lookup's database while it runs, on small real database files written here."""

from __future__ import annotations

import ipaddress
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.errors import Refused
from connectors.lookups.geoip import GeoIP, PlaceSnapshot, UnusableDatabase
from marketplace.enrichments import Place

MARKER = b"\xab\xcd\xefMaxMind.com"
UINT16, UINT32, UINT64 = 5, 6, 9


@dataclass(frozen=True)
class Number:
    """An unsigned integer of one of the format's sizes."""

    kind: int
    value: int


Value = str | Number | dict[str, "Value"] | list["Value"]


def encoded(value: Value) -> bytes:
    """A value in the MaxMind DB format (version 2.0), as far as these tests need it."""
    if isinstance(value, dict):
        return control(7, len(value)) + b"".join(encoded(key) + encoded(item) for key, item in value.items())
    if isinstance(value, list):
        return control(11, len(value)) + b"".join(encoded(item) for item in value)
    if isinstance(value, str):
        return control(2, len(value.encode())) + value.encode()
    digits = value.value.to_bytes((value.value.bit_length() + 7) // 8, "big")
    return control(value.kind, len(digits)) + digits


def control(kind: int, size: int) -> bytes:
    assert size < 29
    return bytes([size, kind - 7]) if kind > 7 else bytes([kind << 5 | size])


def written(path: Path, places: dict[str, tuple[str, str]], *, built: int, kind: str = "GeoLite2-City") -> Path:
    """Write a database of IPv4 networks; ``places`` is network to (country, city)."""
    nodes: list[list[int | None]] = [[None, None]]
    leaves: dict[tuple[int, int], int] = {}
    data = b""
    for network, (country, city) in places.items():
        parsed = ipaddress.IPv4Network(network)
        bits = f"{int(parsed.network_address):032b}"[: parsed.prefixlen]
        node = 0
        for bit in bits[:-1]:
            below = nodes[node][int(bit)]
            if below is None:
                nodes.append([None, None])
                below = len(nodes) - 1
                nodes[node][int(bit)] = below
            node = below
        leaves[node, int(bits[-1])] = len(data)
        record: Value = {"country": {"iso_code": country}, "city": {"names": {"en": city}}}
        data += encoded(record)
    tree = b""
    for index, node_pair in enumerate(nodes):
        for side, below in enumerate(node_pair):
            leaf = leaves.get((index, side))
            pointer = len(nodes) if leaf is None else len(nodes) + 16 + leaf
            tree += struct.pack(">I", pointer if below is None else below)
    metadata: dict[str, Value] = {
        "node_count": Number(UINT32, len(nodes)),
        "record_size": Number(UINT16, 32),
        "ip_version": Number(UINT16, 4),
        "database_type": kind,
        "languages": ["en"],
        "binary_format_major_version": Number(UINT16, 2),
        "binary_format_minor_version": Number(UINT16, 0),
        "build_epoch": Number(UINT64, built),
        "description": {"en": "test"},
    }
    # Into place by renaming, as geoipupdate does it.
    successor = path.with_suffix(".new")
    successor.write_bytes(tree + b"\0" * 16 + data + MARKER + encoded(metadata))
    os.replace(successor, path)
    return path


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


OLD = 1_577_836_800  # 2020-01-01
NEW = 1_735_689_600  # 2025-01-01
# The whole of 8.0.0.0/5, so that the evenly spread probes of a database find something.
OXFORD = {"8.0.0.0/5": ("GB", "Oxford")}
LYON = {"8.0.0.0/5": ("FR", "Lyon")}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "city.mmdb", OXFORD, built=OLD)


@pytest.fixture
def geoip(file: Path, clock: Clock) -> GeoIP:
    return GeoIP(file, monotonic=clock, check_every_seconds=10.0)


def test_a_replaced_file_takes_over_at_the_next_look(geoip: GeoIP, file: Path, clock: Clock) -> None:
    assert geoip.find("8.8.8.0") == Place("GB", "Oxford")
    written(file, LYON, built=NEW)
    clock.now += 9.9
    assert geoip.find("8.8.8.0") == Place("GB", "Oxford")
    clock.now += 0.1
    assert geoip.find("8.8.8.0") == Place("FR", "Lyon")
    assert geoip.version().startswith("GeoLite2-City 2025-01-01 ")
    assert (geoip.swapped, geoip.refused) == (1, 0)


def test_a_snapshot_keeps_its_version_and_its_answers_through_a_swap(geoip: GeoIP, file: Path, clock: Clock) -> None:
    held = geoip.snapshot()
    version = held.version()
    written(file, LYON, built=NEW)
    clock.now += 10.0
    assert geoip.snapshot().version() != version
    assert held.version() == version
    assert held.find("9.9.9.0") == Place("GB", "Oxford")
    assert geoip.snapshot().find("9.9.9.0") == Place("FR", "Lyon")


def test_two_files_of_one_build_date_have_two_versions(file: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other.mmdb", LYON, built=OLD)
    assert PlaceSnapshot(file).version() != PlaceSnapshot(other).version()


def test_a_rewritten_but_equal_file_is_no_swap(geoip: GeoIP, file: Path, clock: Clock) -> None:
    os.utime(file, (2_000_000_000, 2_000_000_000))
    clock.now += 10.0
    before = geoip.version()
    assert geoip.version() == before
    assert (geoip.swapped, geoip.refused) == (0, 0)


def broken_files(whole: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "text": b"<html>licence key expired</html>",
        "cut in the middle": whole[: len(whole) // 2],
        "without its metadata": whole[: whole.index(MARKER)],
        "without its tree": whole[whole.index(MARKER) :],
    }


@pytest.mark.parametrize("how", broken_files(MARKER).keys())
def test_a_broken_new_file_is_refused_and_the_old_one_stays(
    how: str, geoip: GeoIP, file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    version = geoip.version()
    file.write_bytes(broken_files(file.read_bytes())[how])
    clock.now += 10.0
    assert geoip.find("8.8.8.0") == Place("GB", "Oxford")
    assert geoip.version() == version
    assert (geoip.swapped, geoip.refused) == (0, 1)
    assert "refused" in caplog.text


def test_a_broken_file_is_reported_once_and_its_repair_taken_over(geoip: GeoIP, file: Path, clock: Clock) -> None:
    file.write_bytes(b"broken")
    for _ in range(5):
        clock.now += 10.0
        geoip.snapshot()
    assert geoip.refused == 1
    written(file, LYON, built=NEW)
    clock.now += 10.0
    assert geoip.find("8.8.8.0") == Place("FR", "Lyon")


def test_a_removed_file_leaves_the_old_database_in_use(geoip: GeoIP, file: Path, clock: Clock) -> None:
    file.unlink()
    clock.now += 10.0
    assert geoip.find("8.8.8.0") == Place("GB", "Oxford")
    assert geoip.refused == 1


def test_overwriting_the_file_in_place_does_not_disturb_what_is_open(geoip: GeoIP, file: Path) -> None:
    held = geoip.snapshot()
    file.write_bytes(b"\0" * 10)
    assert held.find("8.4.0.0") == Place("GB", "Oxford")


@pytest.mark.parametrize(
    ("kind", "places", "reason"),
    [
        pytest.param("GeoLite2-ASN", OXFORD, "not a City one", id="another kind"),
        pytest.param("GeoLite2-City", {"240.0.0.0/8": ("ZZ", "Nowhere")}, "country of none", id="no known network"),
    ],
)
def test_a_whole_database_that_is_of_no_use_is_refused(
    kind: str, places: dict[str, tuple[str, str]], reason: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "x.mmdb", places, built=OLD, kind=kind)
    with pytest.raises(UnusableDatabase, match=reason):
        GeoIP(path)


@pytest.mark.parametrize("built", [1, 4_102_444_800, 2**63, 2**64 - 1], ids=["1970", "2100", "signed", "unsigned"])
def test_a_new_file_with_an_absurd_build_date_is_refused_and_the_old_one_stays(
    built: int, geoip: GeoIP, file: Path, clock: Clock
) -> None:
    version = geoip.version()
    written(file, LYON, built=built)
    clock.now += 10.0
    assert geoip.version() == version
    assert (geoip.swapped, geoip.refused) == (0, 1)
    assert f"{built} s after 1970" in geoip.problem


@pytest.mark.parametrize("content", [None, b"", b"junk"], ids=["missing", "empty", "junk"])
def test_an_unusable_first_file_is_one_clear_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "city.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableDatabase) as caught:
        GeoIP(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_process_stops_at_an_unusable_first_file_as_at_any_clear_no(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        GeoIP(tmp_path / "missing.mmdb")


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(UnusableDatabase, match="cannot be read"):
        GeoIP(tmp_path)


def test_the_cache_forgets_the_oldest_and_still_answers(file: Path) -> None:
    small = PlaceSnapshot(file, cache_entries=2)
    assert {small.find(f"8.{number}.0.0") for number in range(50)} == {Place("GB", "Oxford")}


def test_many_threads_see_only_whole_databases(geoip: GeoIP, file: Path, clock: Clock) -> None:
    def look(_: int) -> tuple[str, Place]:
        held = geoip.snapshot()
        return held.version()[:24], held.find("8.8.8.0")

    with ThreadPoolExecutor(8) as pool:
        before = list(pool.map(look, range(200)))
        written(file, LYON, built=NEW)
        clock.now += 10.0
        after = list(pool.map(look, range(200)))
    assert set(before) == {("GeoLite2-City 2020-01-01", Place("GB", "Oxford"))}
    assert set(after) == {("GeoLite2-City 2025-01-01", Place("FR", "Lyon"))}
    assert geoip.swapped == 1

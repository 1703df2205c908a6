"""Bodies over HTTP: encodings, lengths and types."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import msgspec
import pytest
from backports import zstd

from tests.kits.collector import WRITE_KEY, Collector, error_of, running_collector

EVENT = {"event_id": "a", "url": "https://shop.example/p"}
FULL_ADDRESS = "203.0.113.77"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.mark.parametrize(("name", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_compressed_bodies_are_read(collector: Collector, name: str, compress: type[bytes]) -> None:
    response = collector.post(bytes(compress(msgspec.json.encode(EVENT))), **{"content-encoding": name})

    assert response.status_code == 202


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_body_that_is_not_what_its_encoding_says_is_400(collector: Collector, name: str) -> None:
    response = collector.post(b"not compressed", **{"content-encoding": name})

    assert (response.status_code, error_of(response)["code"]) == (400, "bad_compression")


@pytest.mark.parametrize(("name", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_a_compressed_body_cut_short_is_400(collector: Collector, name: str, compress: type[bytes]) -> None:
    cut = bytes(compress(msgspec.json.encode(EVENT)))[:-4]

    assert collector.post(cut, **{"content-encoding": name}).status_code == 400


@pytest.mark.parametrize(("name", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_a_decompression_bomb_is_413(collector: Collector, name: str, compress: type[bytes]) -> None:
    bomb = bytes(compress(b" " * 100_000_000))
    assert len(bomb) < 1024 * 1024

    response = collector.post(bomb, **{"content-encoding": name})

    assert (response.status_code, error_of(response)["code"]) == (413, "body_too_large")


def test_a_10_mb_body_is_413_with_a_declared_length(collector: Collector) -> None:
    response = collector.post(b"x" * 10_000_000)

    assert (response.status_code, error_of(response)["code"]) == (413, "body_too_large")


def test_a_10_mb_body_is_413_when_it_comes_in_chunks(collector: Collector) -> None:
    chunks = (b"x" * 10_000 for _ in range(1_000))

    response = collector.http.post("/v1/collect", content=chunks, headers={"x-write-key": WRITE_KEY})

    assert (response.status_code, error_of(response)["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "headers", [{"content-type": "application/xml"}, {"content-encoding": "br"}, {"content-encoding": "gzip, gzip"}]
)
def test_a_type_or_encoding_that_is_not_known_is_415(collector: Collector, headers: dict[str, str]) -> None:
    assert collector.post(EVENT, **headers).status_code == 415


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        pytest.param("zstd", b"\x50\x2a\x4d\x18\0\0\0\0", id="skippable zstd frames"),
        pytest.param("zstd", zstd.compress(b""), id="empty zstd frames"),
        pytest.param("gzip", gzip.compress(b"", mtime=0), id="empty gzip members"),
    ],
)
def test_a_body_compressed_in_very_many_pieces_is_400(collector: Collector, name: str, piece: bytes) -> None:
    answer = collector.post(piece * 20_000, **{"content-encoding": name})

    assert answer.status_code == 400
    assert "pieces" in answer.json()["error"]["message"]

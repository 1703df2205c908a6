"""A cache of corpora as files: generating two million records takes two minutes, reading them a few seconds."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Final

import zstandard

from bench.corpus import Corpus
from connectors.kafka.records import Record
from marketplace.topics import CLICKS_COLLECTED

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / ".bench"
"""The bench's files between runs; it can be deleted at any time."""

_MADE_BY: Final = (
    "bench/agents.py",
    "bench/corpus.py",
    "ops/demo",
    "ingest",
    "marketplace",
    "connectors/kafka/records.py",
)
_AT_ONCE: Final = 20_000
_MOST_FILES: Final = 3


def records(corpus: Corpus) -> Iterator[Record]:
    """The corpus's records, from a file if the same code has generated them before."""
    path = FOLDER / "corpora" / f"{corpus.clicks}-{corpus.seed}-{_identity(corpus)}.zst"
    if path.exists():
        path.touch()
        return _read(path)
    return _make(corpus, path)


def _identity(corpus: Corpus) -> str:
    digest = blake2b(repr(corpus).encode(), digest_size=6)
    for name in _MADE_BY:
        place = ROOT / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _make(corpus: Corpus, path: Path) -> Iterator[Record]:
    """Generate the records; the file is kept once all are written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    made = corpus.records()
    try:
        with draft.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as writer:
            while chunk := list(islice(made, _AT_ONCE)):
                pickle.dump([(r.value, r.key, r.partition, r.headers) for r in chunk], writer, protocol=5)
                yield from chunk
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _tidy(path.parent.glob("*.zst"))


def _read(path: Path) -> Iterator[Record]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        buffered = io.BufferedReader(reader)
        while buffered.peek(1):
            for value, key, partition, headers in pickle.load(buffered):
                yield Record(CLICKS_COLLECTED.name, value, key, partition, headers)


def _tidy(files: Iterable[Path]) -> None:
    for old in sorted(files, key=lambda file: file.stat().st_mtime)[:-_MOST_FILES]:
        old.unlink()

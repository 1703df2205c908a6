from __future__ import annotations

import gzip
import io
from collections.abc import Callable

import pytest
from backports import zstd

from ingest.imports.log_files import BrokenLogFile, read_lines
from marketplace.access_logs.requests import MAX_LINE_BYTES


def contents(data: bytes) -> list[bytes]:
    return [line.content for line in read_lines("x.log", io.BytesIO(data))]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd.compress])
def test_compression_is_recognized_by_the_first_bytes(compress: Callable[[bytes], bytes]) -> None:
    assert contents(compress(b"one\ntwo\n")) == [b"one", b"two"]


def test_several_compressed_files_in_one_are_read_on() -> None:
    assert contents(gzip.compress(b"one\n") + gzip.compress(b"two\n")) == [b"one", b"two"]


def test_line_ends_of_both_kinds_are_no_part_of_a_line_and_the_last_may_lack_one() -> None:
    assert contents(b"one\r\ntwo\n\nthree\rstill three\nlast") == [b"one", b"two", b"", b"three\rstill three", b"last"]


def test_an_empty_file_has_no_line() -> None:
    assert contents(b"") == []


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert contents(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n") == [b"one", b"\xef\xbb\xbftwo"]


def test_bytes_that_are_not_utf8_come_through() -> None:
    assert contents(b"\xff\x00\xe9\n") == [b"\xff\x00\xe9"]


def test_lines_are_numbered_from_one() -> None:
    assert [line.number for line in read_lines("x.log", io.BytesIO(b"a\nb\nc"))] == [1, 2, 3]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("length", [MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES])
def test_an_overlong_line_is_cut_but_measured_and_the_next_is_whole(length: int, line_end: bytes) -> None:
    following = b"next" if line_end else b""
    lines = list(read_lines("x.log", io.BytesIO(b"x" * length + line_end + following)))

    assert lines[0].full_bytes == length
    assert lines[0].content == b"x" * min(length, MAX_LINE_BYTES + 1)
    assert [line.content for line in lines[1:]] == [following] * bool(following)


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_compressed_file_cut_short_is_an_error_that_names_it(compress: Callable[[bytes], bytes]) -> None:
    cut = compress(b"".join(b"%d of many lines\n" % number for number in range(5_000)))[:-20]

    with pytest.raises(BrokenLogFile, match=r"x\.log: the compressed data breaks off after line"):
        contents(cut)

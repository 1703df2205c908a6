from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator

import pytest
from backports import zstd

from ingest.imports.log_files import BrokenLogFile, first_lines, read_lines
from marketplace.access_logs.recognition import SAMPLE_BYTES, SAMPLE_LINES
from marketplace.access_logs.requests import MAX_LINE_BYTES


def contents(data: bytes) -> list[bytes]:
    return [line.content for line in read_lines("x.log", io.BytesIO(data))]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd.compress, bz2.compress, lzma.compress])
def test_compression_is_recognized_by_the_first_bytes(compress: Callable[[bytes], bytes]) -> None:
    assert contents(compress(b"one\ntwo\n")) == [b"one", b"two"]


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress, bz2.compress, lzma.compress])
def test_several_compressed_files_in_one_are_read_on(compress: Callable[[bytes], bytes]) -> None:
    assert contents(compress(b"one\n") + compress(b"two\n")) == [b"one", b"two"]


def test_padding_between_xz_streams_is_no_content() -> None:
    assert contents(lzma.compress(b"one\n") + bytes(8) + lzma.compress(b"two\n") + bytes(4)) == [b"one", b"two"]


def test_an_xz_file_that_asks_for_more_memory_than_stated_is_refused() -> None:
    small = lzma.compress(b"one\n", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}])
    # The size of the dictionary is one byte of the block's header, which a checksum covers.
    header = bytearray(small[12:24])
    assert header[4] == 0
    header[4] = 37
    header[-4:] = zlib.crc32(header[:-4]).to_bytes(4, "little")

    with pytest.raises(BrokenLogFile, match="Memory usage limit"):
        contents(small[:12] + bytes(header) + small[24:])


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress, bz2.compress, lzma.compress])
def test_damaged_compressed_data_is_an_error_that_names_the_file(compress: Callable[[bytes], bytes]) -> None:
    damaged = bytearray(compress(b"".join(b"%d of many lines\n" % number for number in range(5_000))))
    middle = len(damaged) // 2
    damaged[middle : middle + 64] = bytes(64)

    with pytest.raises(BrokenLogFile, match=r"x\.log: "):
        contents(bytes(damaged))


@pytest.mark.parametrize("lines", [0, 3, SAMPLE_LINES, SAMPLE_LINES + 5])
def test_a_sample_of_the_first_lines_takes_none_away(lines: int) -> None:
    data = b"".join(b"%d\n" % number for number in range(lines))

    sample, whole = first_lines(read_lines("x.log", io.BytesIO(data)))

    assert [line.content for line in whole] == data.split()
    assert len(sample) == min(lines, SAMPLE_LINES)


def test_a_sample_is_bounded_in_bytes_too() -> None:
    data = (b"x" * (MAX_LINE_BYTES - 1) + b"\n") * 40

    sample, whole = first_lines(read_lines("x.log", io.BytesIO(data)))

    assert sum(len(line.content) for line in sample) < SAMPLE_BYTES + MAX_LINE_BYTES
    assert len(list(whole)) == 40


def test_a_file_that_breaks_within_the_sample_breaks_where_it_is_read() -> None:
    _, whole = first_lines(read_lines("x.log", io.BytesIO(gzip.compress(b"one\ntwo\n" * 50)[:-5])))

    with pytest.raises(BrokenLogFile):
        list(whole)


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


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_cut_short_is_an_error_that_names_it(compress: Callable[[bytes], bytes]) -> None:
    cut = compress(b"".join(b"%d of many lines\n" % number for number in range(5_000)))[:-20]

    with pytest.raises(BrokenLogFile, match=r"x\.log: the compressed data breaks off after line"):
        contents(cut)


PACKED: list[tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = [
    (gzip.compress, lambda data: zlib.decompressobj(31).decompress(data)),
    (zstd.compress, lambda data: zstd.ZstdDecompressor().decompress(data)),
    (bz2.compress, lambda data: bz2.BZ2Decompressor().decompress(data)),
    (lzma.compress, lambda data: lzma.LZMADecompressor().decompress(data)),
]


@pytest.mark.parametrize(("compress", "decompress"), PACKED)
@pytest.mark.parametrize("lines", [200, 30_000])
def test_of_a_packed_file_cut_short_every_whole_line_before_the_break_is_read(
    compress: Callable[[bytes], bytes], decompress: Callable[[bytes], bytes], lines: int
) -> None:
    whole = compress(b"".join(b"%d of many lines\n" % number for number in range(lines)))
    cut = whole[: len(whole) * 9 // 10]
    there = decompress(cut).split(b"\n")[:-1]
    read: list[bytes] = []

    with pytest.raises(BrokenLogFile, match=f"after line {len(there):,}: "):
        list(_noted(cut, read))

    assert read == there


@pytest.mark.parametrize("damage", [lambda packed: packed + b"garbage", lambda packed: packed[:-8] + bytes(8)])
def test_what_is_wrong_behind_the_last_line_of_a_packed_file_takes_none(damage: Callable[[bytes], bytes]) -> None:
    read: list[bytes] = []

    with pytest.raises(BrokenLogFile, match="after line 200: "):
        list(_noted(damage(gzip.compress(b"a line\n" * 200)), read))

    assert read == [b"a line"] * 200


def test_damage_within_a_packed_file_takes_no_more_than_a_piece_before_it() -> None:
    packed = bytearray(gzip.compress(b"".join(b"%d of many lines\n" % number for number in range(30_000))))
    middle = len(packed) // 2
    before = len(zlib.decompressobj(31).decompress(packed[:middle]))
    packed[middle:] = b"\xff" * (len(packed) - middle)
    read: list[bytes] = []

    with pytest.raises(BrokenLogFile):
        list(_noted(bytes(packed), read))

    assert sum(len(line) + 1 for line in read) > before - 4_096 - 32


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_last_line_without_a_line_feed_has_no_end_unless_nothing_will_follow(
    compress: Callable[[bytes], bytes],
) -> None:
    data = compress(b"one\ntwo")

    assert [line.is_ended for line in read_lines("x.log", io.BytesIO(data))] == [True, False]
    assert [line.is_ended for line in read_lines("x.log", io.BytesIO(data), is_complete=True)] == [True, True]


def _noted(data: bytes, read: list[bytes]) -> Iterator[None]:
    for line in read_lines("x.log", io.BytesIO(data)):
        read.append(line.content)
        yield

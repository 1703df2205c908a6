"""Where a statement ends and its data begins."""

import pytest

from ops.stack.clickhouse_http.errors import QueryError
from ops.stack.clickhouse_http.sql import InputCall, parse


@pytest.mark.parametrize(
    ("query", "head", "data_format", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x00\xff", "INSERT INTO t ", "Native", b"\x00\xff"),
        (b"insert into t (a, `format`) format CSV\r\n1,2\n", "insert into t (a, `format`) ", "CSV", b"1,2\n"),
        (b"INSERT INTO t FORMAT TSV \n\n\n", "INSERT INTO t ", "TSV", b"\n\n"),
        (b"INSERT INTO t VALUES (1), ('FORMAT CSV')", "INSERT INTO t ", "Values", b" (1), ('FORMAT CSV')"),
        (
            b"/* FORMAT X */ INSERT -- VALUES\nINTO t FORMAT CSV\n1",
            "/* FORMAT X */ INSERT -- VALUES\nINTO t ",
            "CSV",
            b"1",
        ),
        (b'INSERT INTO t (`a)`, "b(") FORMAT RowBinary\n\'', 'INSERT INTO t (`a)`, "b(") ', "RowBinary", b"'"),
    ],
)
def test_the_data_of_an_insert_begins_after_its_format(query: bytes, head: str, data_format: str, data: bytes) -> None:
    statement = parse(query)
    assert (statement.head, statement.data_format, statement.data) == (head, data_format, data)


def test_an_insert_from_a_select_has_no_data() -> None:
    statement = parse(b"INSERT INTO t SELECT 1 AS format, 'VALUES' FROM s")
    assert (statement.data_format, statement.input_call) == (None, None)
    assert statement.head == "INSERT INTO t SELECT 1 AS format, 'VALUES' FROM s"


def test_an_input_call_is_found_with_its_structure_and_the_data_after_it() -> None:
    query = (
        rb"INSERT INTO t SELECT a FROM input('a Enum8(\'x\' = 1), b String') WHERE a > (SELECT 1) FORMAT Arrow"
        + b"\n\x01"
    )
    statement = parse(query)
    start = query.index(b"input(")
    assert statement.input_call == InputCall(start, query.index(b" WHERE"), "a Enum8('x' = 1), b String")
    assert (statement.data_format, statement.data) == ("Arrow", b"\x01")


def test_the_word_input_outside_of_a_select_is_no_call() -> None:
    assert parse(b"INSERT INTO input (a) VALUES (1)").input_call is None
    assert parse(b"INSERT INTO t SELECT input FROM s").input_call is None


@pytest.mark.parametrize(
    ("query", "output_format"),
    [
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1 format CSV;", "CSV"),
        (b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "CSV"),
        (b"SELECT format FROM t", None),
        (b"SELECT 'FORMAT JSON'", None),
        (b"SELECT 1 -- FORMAT JSON", None),
    ],
)
def test_the_output_format_is_the_one_a_statement_ends_with(query: bytes, output_format: str | None) -> None:
    assert parse(query).output_format == output_format


@pytest.mark.parametrize(
    ("query", "stateless"),
    [
        (b"SELECT 1;", True),
        (b"(SELECT 1) UNION ALL (SELECT 2)", True),
        (b"INSERT INTO t VALUES (1)", True),
        (b"SET max_threads = 1", False),
        (b"USE shop", False),
        (b"CREATE TEMPORARY TABLE t (a Int8)", False),
        (b"SELECT 1; SET max_threads = 1", False),
    ],
)
def test_a_connection_is_kept_only_after_a_statement_that_leaves_nothing_behind(query: bytes, stateless: bool) -> None:
    assert parse(query).stateless is stateless


@pytest.mark.parametrize(
    "query",
    [
        b"SELECT file('/etc/passwd')",
        b"SELECT File /* x */ ('/etc/passwd')",
        b"INSERT INTO t SELECT * FROM `file`('/etc/passwd', LineAsString)",
        b"SELECT * FROM python(x)",
        b"SELECT 1 INTO\nOUTFILE 'x'",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
    ],
)
def test_a_statement_that_would_touch_files_is_refused(query: bytes) -> None:
    with pytest.raises(QueryError) as raised:
        parse(query)
    assert raised.value.code == 497


def test_a_statement_that_is_not_text_is_a_syntax_error_but_its_data_may_be_binary() -> None:
    with pytest.raises(QueryError) as raised:
        parse(b"SELECT '\xff'")
    assert raised.value.code == 62
    assert parse(b"INSERT INTO t FORMAT CSV\n\xff").data == b"\xff"


def test_a_column_or_text_named_like_a_forbidden_function_is_fine() -> None:
    assert parse(b"SELECT file, 'file(1)', `python` FROM t WHERE file = 'file('").stateless


def test_data_that_looks_like_a_forbidden_statement_is_only_data() -> None:
    assert parse(b"INSERT INTO t FORMAT CSV\nfile('/etc/passwd')\n").data == b"file('/etc/passwd')\n"

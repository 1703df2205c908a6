"""Texts of other people on a terminal: they are shown, and never obeyed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.clickhouse.dead_letters import DeadLetterGroup
from marketplace.money import shown_amount
from marketplace.settings import Urls
from ops.commands import dlq
from ops.commands.one_line import fail
from ops.commands.stack_view import show
from ops.commands.texts import cell, printable
from ops.stack.state.model import ProcessInfo, StackState

HOSTILE = "esc\x1b[31mred\x1b]0;title\x07\x9b31m\u202e\x00[bold]bold[/bold]"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left_of_a_text(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)


@given(st.text())
def test_a_cell_shows_the_text_and_no_markup(text: str) -> None:
    assert cell(text).plain == printable(text)


def test_no_part_of_a_dead_letter_reaches_the_terminal_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    noon = datetime(2026, 11, 29, 12, tzinfo=UTC)
    dlq._print([DeadLetterGroup(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1, 1, noon, noon, HOSTILE * 1_000, 1)])
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable()
    assert "[bold]" in shown
    assert len(shown) < 5_000


def test_the_folder_of_logs_is_shown_with_its_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    process = ProcessInfo("redis", "redis", "redis://127.0.0.1:1", "running", log="/data/[b]x/logs/redis.log")
    show(StackState("running", 1, 1, 1, {}, Urls("", "", "", ""), [process]), as_json=False, title="All")
    assert "/[b]x/logs" in capsys.readouterr().out


def test_an_error_is_one_printable_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exception, match="1"):
        fail(f"no store {HOSTILE}\nsecond line")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.strip("\n").isprintable()


def test_an_amount_of_money_keeps_its_space() -> None:
    assert printable(shown_amount(1_250, "CHF")) == "CHF 12.50"

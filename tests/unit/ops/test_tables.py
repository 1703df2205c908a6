"""Tables of commands: what people copy out of them is whole, wherever they are printed."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ops.commands.tables import print_table

ROOT = Path(__file__).resolve().parents[3]
ID = "0123456789abcdef" * 2
UNTIL = "2026-11-30 12:00:00 UTC"
SENTENCE = "the buyer pays, or the order is cancelled when its time is over"
TABLE = f"""
from ops.commands.tables import print_table
print_table(("order", "may last until", "then"), [("{ID}", "{UNTIL}", "{SENTENCE}")], sentences=["then"])
"""


@given(st.lists(st.text(st.sampled_from("ab0-"), min_size=1, max_size=120), min_size=1, max_size=4))
def test_a_row_in_a_pipe_is_one_line_with_each_of_its_texts(texts: list[str]) -> None:
    headings = [f"heading-{number}" for number in range(len(texts))]
    with redirect_stdout(io.StringIO()) as said:
        print_table(headings, [texts], sentences=headings[:1])
    assert [line.split() for line in said.getvalue().splitlines()] == [headings, texts]


def test_on_a_terminal_that_is_too_narrow_only_sentences_are_wrapped() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "TERM": "dumb"}
    subprocess.run([sys.executable, "-c", TABLE], stdout=theirs, env=environment, timeout=30, check=True)
    os.close(theirs)
    heading, first, *rest = os.read(ours, 65_536).decode().splitlines()
    os.close(ours)
    whole = f" {ID}  {UNTIL}  "
    assert heading.split() == ["order", "may", "last", "until", "then"]
    assert first.startswith(whole)
    assert rest
    assert " ".join(" ".join([first.removeprefix(whole), *rest]).split()) == SENTENCE

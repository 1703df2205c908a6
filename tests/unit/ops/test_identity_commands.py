"""``marketplace keys`` and ``marketplace mail``, which need no part, and what ``up`` says of the first admin."""

from __future__ import annotations

import asyncio
import json
import os
import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.identity.key_file import SIGNS_AFTER_SECONDS, ensure_keys, read_keys
from api.identity.routes import KEY_SET_SECONDS
from connectors.mail.transport import FolderTransport
from marketplace.settings import Urls
from ops.cli import make_app
from ops.commands.accounts import admin_steps
from ops.stack.state.model import ProcessInfo, StackState


def run(*arguments: str, data: Path, **variables: str) -> Result:
    names = {name: None for name in os.environ if name.startswith("MARKETPLACE_")}
    environment = {**names, "MARKETPLACE_DATA": str(data), **variables}
    return CliRunner().invoke(make_app(arguments), arguments, env=environment)


def write_mail(data: Path, number: int, subject: str, text: str, to: str = "ann@shop.example") -> None:
    message = EmailMessage()
    message["From"], message["To"] = "no-reply@shop.example", to
    message["Subject"], message["Message-ID"] = subject, f"<{number}@shop.example>"
    message.set_content(text)
    asyncio.run(FolderTransport(data / "mails").send(message))
    # Files that are written within one tick of the clock have one time.
    os.utime(data / "mails" / f"{number}.eml", ns=(number, number))


def test_a_rotation_says_when_the_key_signs_and_until_when_the_others_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "api" / "keys.json"
    (old,) = ensure_keys(path, 1_000.0)
    shown = json.loads(run("keys", "rotate", "--json", data=tmp_path).stdout)
    by_kid = {key.kid: key for key in read_keys(path)}
    assert set(by_kid) == {old.kid, shown["kid"]}
    assert by_kid[old.kid].retired_at is not None
    said = run("keys", "rotate", data=tmp_path)
    assert said.exit_code == 0
    assert "signs from 20" in said.stdout
    assert "are taken until 20" in said.stdout
    assert not [key for key in by_kid.values() if str(key.secret) in said.stdout]


def test_a_new_key_signs_when_a_slow_way_has_brought_the_file_to_every_process(tmp_path: Path) -> None:
    path = tmp_path / "api" / "keys.json"
    ensure_keys(path, 1_000.0)
    before = time.time()
    shown = json.loads(run("keys", "rotate", "--after", "600", "--json", data=tmp_path).stdout)
    (new,) = [key for key in read_keys(path) if key.kid == shown["kid"]]
    assert 600 <= new.signs_from - before < 660
    assert run("keys", "rotate", "--after", "5", data=tmp_path).exit_code == 2, "clients keep the keys for longer"


def test_keys_that_others_know_are_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "api" / "keys.json"
    (old,) = ensure_keys(path, 1_000.0)
    shown = json.loads(run("keys", "rotate", "--at-once", "--json", data=tmp_path).stdout)
    (new,) = read_keys(path)
    assert shown["kid"] == new.kid != old.kid
    assert shown["signs_from"] == shown["others_until"]
    assert "are refused within seconds" in run("keys", "rotate", "--at-once", data=tmp_path).stdout


def test_a_new_key_is_in_every_cache_before_it_signs() -> None:
    assert KEY_SET_SECONDS + 10 < SIGNS_AFTER_SECONDS


@pytest.mark.parametrize("content", [None, "no keys"])
def test_without_keys_a_rotation_says_so_in_one_line_and_makes_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "elsewhere.json"
    if content is not None:
        path.write_text(content)
    done = run("keys", "rotate", data=tmp_path, MARKETPLACE_API_KEY_FILE=str(path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"{path}: " in done.stderr
    assert path.exists() == (content is not None)


def test_mails_are_shown_newest_first_with_what_a_terminal_would_obey_made_visible(tmp_path: Path) -> None:
    for number, subject in enumerate(("First", "Second", "Third"), start=1):
        write_mail(
            tmp_path, number, subject, f"Hello Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}\x1b]0;x\x07,\n\nlink {number}"
        )
    shown = run("mail", data=tmp_path).stdout
    assert [line for line in shown.splitlines() if line.startswith("Subject")] == [
        "Subject: Third",
        "Subject: Second",
        "Subject: First",
    ]
    assert "  link 3" in shown
    assert "Zo\u00eb" in shown
    assert "\x1b" not in shown
    document = json.loads(run("mail", "--json", "--limit", "2", data=tmp_path).stdout)
    assert [each["subject"] for each in document["mails"]] == ["Third", "Second"]
    assert document["mails"][0]["to"] == "ann@shop.example"
    assert document["mails"][0]["text"].endswith("link 3\n")


def test_mails_to_one_address_are_found_behind_all_newer_ones(tmp_path: Path) -> None:
    write_mail(tmp_path, 1, "Confirm", "text", to="Ann B <Ann@shop.example>")
    for number in (2, 3, 4):
        write_mail(tmp_path, number, "Order", "text", to="joann@shop.example")
    document = json.loads(run("mail", "--json", "--limit", "1", "--to", "ann@SHOP.example", data=tmp_path).stdout)
    assert [each["subject"] for each in document["mails"]] == ["Confirm"]
    assert run("mail", "--to", "bob@shop.example", data=tmp_path).stdout.startswith(
        "There is no mail to bob@shop.example in "
    )


def test_where_no_mail_is_the_command_says_so_and_where_they_go_instead(tmp_path: Path) -> None:
    assert run("mail", data=tmp_path).stdout.startswith("There is no mail in ")
    assert json.loads(run("mail", "--json", data=tmp_path).stdout) == {"mails": []}
    said = run("mail", data=tmp_path, MARKETPLACE_MAIL_SMTP_HOST="smtp.shop.example").stdout
    assert "with MARKETPLACE_MAIL_SMTP_HOST they go to smtp.shop.example" in said


def test_a_file_that_is_no_mail_or_is_being_written_breaks_nothing(tmp_path: Path) -> None:
    write_mail(tmp_path, 1, "Real", "text")
    (tmp_path / "mails" / ".2.part").write_bytes(b"Subject: Half")
    (tmp_path / "mails" / "3.eml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "mails" / "4.eml").write_bytes(b"")
    (tmp_path / "mails" / "5.eml").write_bytes(b"Content-Type: text/plain; charset=nonsense\nSubject: =?x?q?=\n\n\xff")
    done = run("mail", data=tmp_path)
    assert done.exit_code == 0, done.exception
    assert "Subject: Real" in done.stdout
    assert "Half" not in done.stdout


API = ProcessInfo("api", "api", "http://127.0.0.1:8000", "running", healthy=True)
DASHBOARD = ProcessInfo("dashboard", "dashboard", "http://127.0.0.1:8501", "running", healthy=True)
PROXY = ProcessInfo("proxy", "proxy", "https://localhost:8443", "running", healthy=True)


@pytest.mark.parametrize(
    ("processes", "begins_at"),
    [
        ([API], "POST http://127.0.0.1:8000/v1/identity/registrations"),
        ([API, DASHBOARD], "http://127.0.0.1:8501/register"),
        ([API, DASHBOARD, PROXY], "https://localhost:8443/register"),
    ],
)
def test_the_steps_to_an_admin_begin_where_the_stack_has_pages_and_fit_a_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, processes: list[ProcessInfo], begins_at: str
) -> None:
    monkeypatch.chdir(tmp_path)
    state = StackState("running", 1, 1, 1, {}, Urls(), processes)
    lines = admin_steps(state, tmp_path / ".marketplace").splitlines()
    assert lines[0] == " nobody is an admin of the platform yet; to make the first one:"
    assert lines[1].endswith(begins_at)
    assert lines[-3:] == [
        "  3. marketplace accounts admin EMAIL",
        " its plan is free: 1 store, 90 days of history, no CSV; to lift it:",
        "  marketplace accounts grant EMAIL premium",
    ]
    assert all(len(line) <= 80 for line in lines), lines
    elsewhere = admin_steps(state, tmp_path / "data")
    assert elsewhere.count("--data data") == 3

"""``marketplace mail``: mails that the REST API wrote into the data folder because it has no mail server."""

from __future__ import annotations

import email
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from api.config import SMTP_HOST, read_mail_folder
from ops.commands.one_line import fail, one_line_errors
from ops.commands.options import DataOption, JsonOption
from ops.commands.texts import printable
from ops.context import load_read
from runtime.settings import EnvReader, InvalidSettings


@dataclass(frozen=True)
class WrittenMail:
    """A mail in the folder.

    Attributes:
        to: The address.
        subject: One line.
        date: As its header says it.
        text: Its body.
        file: Where it is.
    """

    to: str
    subject: str
    date: str
    text: str
    file: str


def mail(
    limit: Annotated[int, typer.Option(min=1, help="How many, from the newest on.")] = 20,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Only those to this address.")] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show mails that the REST API wrote into the data folder, the newest first; it does so without a mail server."""

    def read(env: EnvReader) -> tuple[Path, str]:
        return read_mail_folder(env), env.read(SMTP_HOST)

    with one_line_errors(InvalidSettings):
        folder, server = load_read(read, data)
    if data is not None and not data.is_dir():
        fail(f"there is no folder {data}")
    to = to.strip()
    found = list(islice((each for each in _newest_first(folder) if _is_to(each, to)), limit))
    if as_json:
        typer.echo(json.dumps({"mails": [asdict(each) for each in found]}))
        return
    if not found:
        where = f"; with {SMTP_HOST.name} they go to {printable(server)}" if server else ""
        whose = f" to {printable(to)}" if to else ""
        typer.echo(f"There is no mail{whose} in {os.path.relpath(folder)}{where}.")
    for each in found:
        head = (("Date", each.date), ("To", each.to), ("Subject", each.subject))
        typer.echo("\n".join(f"{name}: {printable(value)}" for name, value in head) + "\n")
        typer.echo("\n".join(f"  {printable(line)}" if line else "" for line in each.text.splitlines()) + "\n")


def _is_to(mail: WrittenMail, address: str) -> bool:
    # Whether capitals count is for the server of the address to say; two that differ by them alone are nobody's.
    return not address or parseaddr(mail.to)[1].casefold() == address.casefold()


def _newest_first(folder: Path) -> Iterator[WrittenMail]:
    files = []
    for file in folder.glob("*.eml"):
        # Whoever looks after the folder may delete files at any moment.
        with suppress(FileNotFoundError):
            files.append((file.stat().st_mtime_ns, file))
    for _, file in sorted(files, reverse=True):
        with suppress(FileNotFoundError):
            yield _read(file)


def _read(file: Path) -> WrittenMail:
    message = email.message_from_bytes(file.read_bytes(), policy=default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    payload = None if body is None else body.get_payload(decode=True)
    # Ours are in UTF-8, whatever other files that lie there say of themselves.
    text = payload.decode(errors="replace") if isinstance(payload, bytes) else ""
    to, subject, date = (str(message.get(name, "")) for name in ("To", "Subject", "Date"))
    return WrittenMail(to, subject, date, text.replace("\r\n", "\n"), str(file))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(mail)

"""BACKUP and RESTORE with the disk and the user of deploy/clickhouse, by the engine of ClickHouse itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from marketplace.tables import TABLES
from tests.kits.compose import ROOT
from tests.kits.depth import LONG

SERVER: Final = ROOT / "deploy" / "clickhouse"
FOLDER: Final = "/var/lib/clickhouse/"
PROGRAM: Final = """
import sys
from chdb import _chdb
engine = _chdb.connect(sys.argv[1])
for statement in sys.argv[2:]:
    try:
        print(engine.query(statement, "TSV").bytes().decode().strip())
    except RuntimeError as error:
        print(" ".join(str(error).split()))
"""
"""Statements in a process of their own: the engine is one in each, with one folder."""


BACKUP: Final = "BACKUP DATABASE marketplace TO Disk('backups', '2026-11-30.tar')"


def run(folder: Path, *statements: str, users: str = "") -> list[str]:
    """What the engine answers to the user `backup`, who is its only one here."""
    folder.mkdir()
    # A server of a newer image asks for grants of engines as well.
    more = (
        f"<clickhouse><path>{folder}/</path><users_config>{folder}/users.xml</users_config><access_control_improvements>"
        "<table_engines_require_grant>true</table_engines_require_grant></access_control_improvements>"
    )
    config = (SERVER / "config.xml").read_text().replace(FOLDER, f"{folder}/")
    (folder / "config.xml").write_text(config.replace("<clickhouse>", more, 1))
    found = re.sub(r"<default>.*?</default>", "", users or (SERVER / "users.xml").read_text(), flags=re.DOTALL)
    profiles = "<clickhouse><profiles><default/></profiles><quotas><default/></quotas>"
    (folder / "users.xml").write_text(re.sub(r"(</?)backup>", r"\1default>", found).replace("<clickhouse>", profiles))
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, f"{folder}?config-file={folder}/config.xml", *statements],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_the_user_for_backups_writes_one_and_restores_it_and_does_nothing_else(tmp_path: Path) -> None:
    name = TABLES[0].name
    said = run(
        tmp_path / "data",
        "CREATE DATABASE marketplace",
        TABLES[0].create("marketplace"),
        f"INSERT INTO marketplace.{name} (source_offset) VALUES (7)",
        BACKUP,
        "RESTORE DATABASE marketplace AS again FROM Disk('backups', '2026-11-30.tar')",
        "SELECT total_rows FROM system.tables WHERE database = 'again'",
        f"SELECT * FROM marketplace.{name}",
        f"DROP TABLE marketplace.{name}",
    )
    assert said[-3] == "1", said
    assert ["Not enough privileges" in line for line in said[-2:]] == [True, True]
    assert (tmp_path / "data" / "backups" / "2026-11-30.tar").exists()


@LONG
def test_a_right_that_the_user_for_backups_lacks_is_found(tmp_path: Path) -> None:
    less = (SERVER / "users.xml").read_text().replace("READ, WRITE ON DISK", "READ ON DISK")
    assert "WRITE ON DISK" in run(tmp_path / "data", "CREATE DATABASE marketplace", BACKUP, users=less)[-1]

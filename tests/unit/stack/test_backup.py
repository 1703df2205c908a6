"""What is in a backup, what is refused, and what a restore makes of it; of a stack that is down."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.settings import Urls
from ops.stack import Stack, StackError
from ops.stack.backup.contents import Copier
from ops.stack.backup.make import back_up
from ops.stack.backup.restore import restore
from ops.stack.disk.folder import RESTORING
from ops.stack.state.backup_lock import backup_lock
from ops.stack.state.inspection import look
from ops.stack.state.model import ProcessInfo, StackState, read_state, write_state
from ops.stack.supervisor.reaper import start_time
from tests.kits.stack_disks import small_disk

HOLE = 1 << 22


def stopped_stack(folder: Path, pid: int = 0) -> Path:
    """A data folder as a stack leaves it, with all kinds of files."""
    for each in ("redis", "kafka/node-1/log", "logs", "control", "run", "proxy", "clickhouse/detached"):
        (folder / each).mkdir(parents=True)
    (folder / "redis" / "appendonly.aof").write_bytes(b"SET a 1")
    with (folder / "kafka" / "node-1" / "log" / "0.index").open("wb") as file:
        file.write(b"begin")
        file.seek(HOLE)
        file.write(b"end")
    (folder / "kafka" / "empty").touch()
    secret = folder / "secrets.json"
    secret.touch(mode=0o600)
    secret.write_text("{}")
    (folder / "clickhouse" / "link").symlink_to("../redis/appendonly.aof")
    (folder / "logs" / "redis.log").write_text("a line")
    (folder / "proxy" / "certificate.pem").write_text("made again")
    (folder / "lock").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "redis" / "socket"))
    processes = [ProcessInfo("mongo", "mongo", "mongodb://user:password@elsewhere", "running", external=True)]
    start = start_time(pid) or 0
    urls = Urls("", "mongodb://user:password@elsewhere", "", "")
    write_state(folder, StackState("stopped", pid, start, 3, {"redis": 4321}, urls, processes, requested=["proxy"]))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return stopped_stack(folder)


@pytest.fixture
def made(data: Path, tmp_path: Path) -> Path:
    back_up(data, tmp_path / "backup")
    return tmp_path / "backup"


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def nothing_made(folder: Path) -> bool:
    return not any(folder.glob("backup*"))


def test_a_restored_folder_has_everything_that_is_data_and_nothing_that_says_who_runs(
    made: Path, tmp_path: Path
) -> None:
    restore(made, tmp_path / "new")

    assert names_in(tmp_path / "new") == {
        "redis", "redis/appendonly.aof", "kafka", "kafka/empty", "kafka/node-1", "kafka/node-1/log",
        "kafka/node-1/log/0.index", "clickhouse", "clickhouse/detached", "clickhouse/link", "secrets.json",
        "state.json",
    }  # fmt: skip


def test_files_keep_what_is_in_them_their_rights_their_times_and_their_holes(
    data: Path, made: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    restore(made, new)

    index = "kafka/node-1/log/0.index"
    assert (new / index).read_bytes() == (data / index).read_bytes()
    assert (new / index).stat().st_blocks * 512 < HOLE
    assert stat.S_IMODE((new / "secrets.json").stat().st_mode) == 0o600
    assert (new / index).stat().st_mtime_ns == (data / index).stat().st_mtime_ns
    assert (new / "clickhouse" / "link").readlink() == Path("../redis/appendonly.aof")


def test_backups_and_what_is_restored_of_them_are_for_their_user_only(made: Path, tmp_path: Path) -> None:
    restore(made, tmp_path / "new")
    assert [stat.S_IMODE(each.stat().st_mode) for each in (made, tmp_path / "new")] == [0o700, 0o700]


def test_the_next_start_has_the_ports_the_brokers_and_the_requests_of_the_backup_and_no_process_of_its_stack(
    data: Path, tmp_path: Path
) -> None:
    # A process of this number lives, as that of the original may where both are on one machine.
    state = read_state(data)
    assert state is not None
    own = start_time(os.getpid())
    mine = ProcessInfo("redis", "redis", "", "running", pid=os.getpid(), process_start=own)
    write_state(data, StackState("stopped", 0, 0, 3, state.ports, state.urls, [mine], requested=["proxy"]))
    back_up(data, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "new")

    restored = read_state(tmp_path / "new")
    assert restored is not None
    assert (restored.ports, restored.brokers, restored.requested) == ({"redis": 4321}, 3, ["proxy"])
    assert (restored.processes, restored.urls, look(tmp_path / "new").standing) == ([], Urls(), "none")


def test_a_backup_says_what_its_files_take_of_a_disk_and_counts_no_hole(data: Path, tmp_path: Path) -> None:
    manifest = back_up(data, tmp_path / "second")
    files = [
        each.lstat() for each in (tmp_path / "second" / "data").rglob("*") if each.is_file() and not each.is_symlink()
    ]
    assert manifest.disk_bytes == sum(each.st_blocks * 512 for each in files) < HOLE < manifest.bytes
    assert json.loads((tmp_path / "second" / "backup.json").read_text())["disk_bytes"] == manifest.disk_bytes


def test_a_part_that_runs_elsewhere_is_named_as_not_in_the_backup(data: Path, tmp_path: Path) -> None:
    assert back_up(data, tmp_path / "backup").elsewhere == ["mongo"]


def test_a_backup_can_be_checked_with_sha256sum(made: Path) -> None:
    command = ["sha256sum", "--quiet", "--check", "files.sha256"]
    assert subprocess.run(command, cwd=made, check=False).returncode == 0


def existing(data: Path, tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "backup-of-before").mkdir()
    return data, tmp_path / "backup-of-before"


def half_made(data: Path, tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "new.part").mkdir()
    return data, tmp_path / "new"


def foreign(data: Path, tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "important.txt").touch()
    return tmp_path / "foreign", tmp_path / "new"


def half_restored(data: Path, tmp_path: Path) -> tuple[Path, Path]:
    (data / RESTORING).touch()
    return data, tmp_path / "new"


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (existing, "exists already"),
        (half_made, "did not end; then remove it"),
        (foreign, "there is no stack in"),
        (half_restored, "is half restored"),
        (lambda data, tmp_path: (tmp_path / "missing", tmp_path / "new"), "there is no stack in"),
        (lambda data, tmp_path: (data, data / "backup"), "cannot be in that folder"),
        (lambda data, tmp_path: (data, tmp_path), "exists already"),
        (lambda data, tmp_path: (data, Path("/dev/null/backup")), "cannot be made"),
    ],
)
def test_a_backup_that_cannot_be_is_refused(
    data: Path, tmp_path: Path, case: Callable[[Path, Path], tuple[Path, Path]], says: str
) -> None:
    folder, out = case(data, tmp_path)
    before = names_in(tmp_path)
    with pytest.raises(StackError, match=says):
        back_up(folder, out)
    assert names_in(tmp_path) == before


def test_a_stack_that_somebody_starts_right_now_is_not_backed_up(data: Path, tmp_path: Path) -> None:
    with (data / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StackError, match="is started or stopped right now"):
            back_up(data, tmp_path / "backup")
    assert nothing_made(tmp_path)


def test_one_backup_at_a_time_is_made_of_a_folder(data: Path, tmp_path: Path) -> None:
    with backup_lock(data), pytest.raises(StackError, match=r"another backup of .* is under way"):
        back_up(data, tmp_path / "backup")
    assert nothing_made(tmp_path)


def test_a_backup_for_which_there_is_no_room_is_refused_and_says_how_much_it_needs(data: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        with pytest.raises(StackError, match="has 1 MB free, and the copy needs 64 MB"):
            back_up(data, disk / "backup")
        assert nothing_made(disk)


def test_a_disk_that_is_full_half_way_leaves_no_copy(data: Path, tmp_path: Path) -> None:
    (data / "redis" / "large").write_bytes(b"x" * (3 << 20))
    with small_disk(tmp_path / "disk", 1) as disk:
        (disk / "copy").mkdir()
        with pytest.raises(OSError, match="No space left") as error:
            Copier().copy(data, disk / "copy")
        assert error.value.errno == errno.ENOSPC


def test_copying_ends_at_its_deadline(data: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with pytest.raises(StackError, match="takes too long"):
        Copier(deadline=0.0).copy(data, tmp_path / "copy")


def not_empty(made: Path, target: Path) -> None:
    target.mkdir()
    (target / "something").touch()


def without_manifest(made: Path, target: Path) -> None:
    (made / "backup.json").unlink()


def of_another_format(made: Path, target: Path) -> None:
    manifest = made / "backup.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))


def with_a_manifest_of_something_else(made: Path, target: Path) -> None:
    (made / "backup.json").write_text('{"format": 1, "name": "something else"}')


def with_a_changed_byte(made: Path, target: Path) -> None:
    file = made / "data" / "redis" / "appendonly.aof"
    file.write_bytes(file.read_bytes().replace(b"1", b"2"))


def with_a_missing_file(made: Path, target: Path) -> None:
    (made / "data" / "kafka" / "empty").unlink()


def with_a_file_under_another_name(made: Path, target: Path) -> None:
    (made / "data" / "kafka" / "empty").rename(made / "data" / "kafka" / "renamed")


def with_a_missing_folder(made: Path, target: Path) -> None:
    (made / "data" / "clickhouse" / "detached").rmdir()


def with_another_listing(made: Path, target: Path) -> None:
    listing = made / "files.sha256"
    listing.write_text(listing.read_text().replace("empty", "other"))


def inside_itself(made: Path, target: Path) -> None:
    target.symlink_to(made / "data" / "inside")


def within_another_stack(made: Path, target: Path) -> None:
    target.symlink_to(made.parent / "data" / "redis" / "inside")


def as_a_file(made: Path, target: Path) -> None:
    made.rename(made.with_name("moved"))
    made.touch()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (within_another_stack, "the data folder of another stack"),
        (as_a_file, "is no backup: it has no backup.json"),
        (not_empty, "is not empty"),
        (without_manifest, "is no backup: it has no backup.json"),
        (of_another_format, "is a backup of format 2; this version reads format 1"),
        (with_a_manifest_of_something_else, "is no backup: backup.json"),
        (with_a_changed_byte, "is damaged: redis/appendonly.aof is not what it was made with"),
        (with_a_missing_file, "is damaged: it has .* files"),
        (with_a_file_under_another_name, "is damaged: kafka/empty is not what it was made with"),
        (with_a_missing_folder, "is damaged: it has .* folders"),
        (with_another_listing, "is damaged: files.sha256 is not what it was made with"),
        (inside_itself, "one of the two is in the other"),
    ],
)
def test_what_cannot_be_restored_is_refused_and_the_folder_is_as_it_was(
    made: Path, tmp_path: Path, spoil: Callable[[Path, Path], None], says: str
) -> None:
    target = tmp_path / "new"
    spoil(made, target)
    before = names_in(tmp_path)
    with pytest.raises(StackError, match=says):
        restore(made, target)
    assert names_in(tmp_path) == before


def test_a_backup_is_restored_into_an_empty_folder_that_is_there(made: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    restore(made, tmp_path / "new")
    assert (tmp_path / "new" / "secrets.json").exists()


def test_a_restore_for_which_there_is_no_room_is_refused(made: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        with pytest.raises(StackError, match="MB free"):
            restore(made, disk)
        assert not names_in(disk)


def test_nothing_starts_on_a_folder_that_is_half_restored(data: Path) -> None:
    (data / RESTORING).touch()
    with pytest.raises(StackError, match="is not whole"):
        Stack(data, ports="auto", parts={"redis"}, external={}).start()


def test_a_stack_that_is_being_backed_up_while_it_is_down_does_not_start(data: Path) -> None:
    with backup_lock(data), (data / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StackError, match=r"a backup of .* is under way"):
            Stack(data, ports="auto", parts={"redis"}, external={}).start()


PIECES = st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=9_000)), max_size=6)


@given(PIECES, st.integers(0, 1 << 20))
def test_a_copy_has_the_bytes_of_a_file_wherever_it_has_holes(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, bytes]], size: int
) -> None:
    folder = tmp_path_factory.mktemp("copies")
    for name in ("from", "to"):
        (folder / name).mkdir()
    with (folder / "from" / "file").open("wb") as file:
        file.truncate(size)
        for place, piece in pieces:
            file.seek(place)
            file.write(piece)

    Copier().copy(folder / "from", folder / "to")

    assert (folder / "to" / "file").read_bytes() == (folder / "from" / "file").read_bytes()

"""How much room a data folder has."""

from pathlib import Path

from ops.stack.disk.space import look_at_disk
from tests.kits.stack_disks import small_disk


def test_of_several_disks_under_a_folder_the_one_with_the_least_room_counts(tmp_path: Path) -> None:
    (tmp_path / "clickhouse").mkdir()
    (tmp_path / "a-file").touch()
    with small_disk(tmp_path / "kafka", 8):
        disk = look_at_disk(tmp_path, low_mb=16)
    assert (disk.total_mb, disk.low) == (8, True)
    assert look_at_disk(tmp_path, low_mb=16).total_mb > 8

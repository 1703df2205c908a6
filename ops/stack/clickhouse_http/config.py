"""The engine's own configuration: what the process may do, and how safe a written row is.

The engine is ClickHouse's `clickhouse-local`, whose default user may read every file of the machine. Here it gets
the rights of a plain database user: no files, no network, no executables.
"""

import uuid
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

_CONFIG: Final = """<clickhouse>
    <default_database>_local</default_database>
    <users_config>{users}</users_config>
    <user_files_path>{user_files}</user_files_path>
    <merge_tree>
        <fsync_after_insert>{fsync}</fsync_after_insert>
        <fsync_part_directory>{fsync}</fsync_part_directory>
    </merge_tree>
</clickhouse>
"""

_USERS: Final = """<clickhouse>
    <profiles>
        <default>
            <max_execution_time>{max_execution_seconds}</max_execution_time>
            <allow_introspection_functions>0</allow_introspection_functions>
        </default>
    </profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password/>
            <networks><ip>::1</ip><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT CHECK, SHOW, SELECT, INSERT, ALTER, CREATE, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE,
                    KILL QUERY, dictGet, SYSTEM ON *.*</query>
                <query>GRANT TABLE ENGINE ON *</query>
                <query>REVOKE TABLE ENGINE ON File</query>
                <query>REVOKE CREATE FUNCTION, CREATE DICTIONARY ON *.*</query>
            </grants>
        </default>
    </users>
</clickhouse>
"""


def write_config(data_dir: Path, *, fsync: bool, max_execution_seconds: int) -> Path:
    """Write the engine's configuration beside its data and return the main file's path.

    The engine's `default` database would otherwise be one that also shows the machine's files as tables; a plain one
    is put in its place before the first start.

    Args:
        data_dir: the engine's own folder; created when missing.
        fsync: whether an insert is on disk, and not only in the kernel's cache, before it is acknowledged.
        max_execution_seconds: the time limit of a query that sets none.
    """
    user_files = data_dir / "user_files"
    user_files.mkdir(parents=True, exist_ok=True)
    users = data_dir / "users.xml"
    users.write_text(_USERS.format(max_execution_seconds=max_execution_seconds))
    config = data_dir / "config.xml"
    config.write_text(_CONFIG.format(users=escape(str(users)), user_files=escape(str(user_files)), fsync=int(fsync)))
    # The engine takes the link of this name for its own file-showing database, and would load ours a second time; it
    # creates the link again when it has loaded ours.
    (data_dir / "metadata" / "default").unlink(missing_ok=True)
    database = data_dir / "metadata" / "default.sql"
    if not database.exists():
        database.parent.mkdir(exist_ok=True)
        database.write_text(f"ATTACH DATABASE _ UUID '{uuid.uuid4()}' ENGINE = Atomic\n")
    return config

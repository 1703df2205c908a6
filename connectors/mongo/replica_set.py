"""The first start of a replica set: its members, and the user of the product. A second time changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from connectors.errors import Refused, Unavailable

REPLICA_SET: Final = "marketplace"
_NOT_INITIATED: Final = frozenset({93, 94})
"""Codes for a set whose configuration is not valid for this member, and for one that nobody has initiated."""
_ANSWER_SECONDS: Final = 5.0


def configuration(members: Sequence[str], name: str = REPLICA_SET) -> dict[str, Any]:
    """What initiates a set of these members, `host:port` each; the first is preferred as the primary."""
    return {
        "_id": name,
        "members": [
            {"_id": number, "host": host, "priority": 2 if number == 0 else 1} for number, host in enumerate(members)
        ],
    }


def user_roles(database: str) -> list[dict[str, str]]:
    """What the product and its connector may do.

    `dbAdmin` is for collections with schemas; `clusterMonitor` lets Debezium find out what kind of server it reads.
    """
    own = [{"role": role, "db": database} for role in ("readWrite", "dbAdmin")]
    return [*own, {"role": "clusterMonitor", "db": "admin"}]


class ReplicaSetAdmin:
    """A client of one member that may not belong to a set yet.

    Args:
        member: `host:port`.
        username: An administrator that the member knows.
        password: Its password.
        answer_seconds: How long the member may take to answer.

    Raises:
        Refused: This names no member.
    """

    def __init__(
        self, member: str, username: str = "", password: str = "", answer_seconds: float = _ANSWER_SECONDS
    ) -> None:
        milliseconds = int(answer_seconds * 1_000)
        host, _, port = member.rpartition(":")
        if not host or not (port.isascii() and port.isdecimal()):
            raise Refused(f"{member!r} is no member: give host:port")
        self._client: MongoClient[dict[str, Any]] = MongoClient(
            host,
            int(port),
            username=username or None,
            password=password or None,
            directConnection=True,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
        )

    def __enter__(self) -> ReplicaSetAdmin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def initiate(self, members: Sequence[str]) -> bool:
        """Initiate the set, unless that was done; returns whether it was done now.

        Raises:
            Unavailable: The member does not answer.
            Refused: It belongs to a set of other members, or does not take these.
        """
        wanted = configuration(members)
        try:
            found = self._command({"replSetGetConfig": 1})["config"]
        except OperationFailure as error:
            if error.code not in _NOT_INITIATED:
                raise Refused(f"replSetGetConfig: {error}") from error
            self._refusable({"replSetInitiate": wanted})
            return True
        hosts = [str(each["host"]) for each in found["members"]]
        if set(hosts) != set(members):
            raise Refused(f"the set has the members {', '.join(hosts)}, and not {', '.join(members)}: reconfigure it")
        return False

    def is_primary(self) -> bool:
        """Whether the member takes writes.

        Raises:
            Unavailable: It does not answer.
        """
        return bool(self._command({"hello": 1}).get("isWritablePrimary"))

    def ensure_user(self, name: str, password: str, roles: Sequence[Mapping[str, str]]) -> bool:
        """Make a user, or give it this password and these roles; returns whether it was made.

        Raises:
            Unavailable: The member does not answer.
            Refused: It does not take the user.
        """
        there = bool(self._refusable({"usersInfo": name})["users"])
        verb = "updateUser" if there else "createUser"
        self._refusable({verb: name, "pwd": password, "roles": [dict(each) for each in roles]})
        return not there

    def _refusable(self, command: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._command(command)
        except OperationFailure as error:
            # The whole answer of a server may repeat the command, which has a password in it.
            raise Refused(f"{next(iter(command))}: {(error.details or {}).get('codeName', error.code)}") from error

    def _command(self, command: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._client.admin.command(dict(command))
        except OperationFailure:
            raise
        except (ConnectionFailure, PyMongoError) as error:
            raise Unavailable(f"MongoDB: {error}") from error

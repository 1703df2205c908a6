"""The supervisor's own address: an abstract unix socket that answers with its state and needs no room on any disk.

Who connects sends one line of JSON, a `Request`, and is answered with the `StackState` as JSON. The state carries the
time of the supervisor's last tick, so that one whose loop hangs is known from one that lives. Only the same
user and root are answered.
"""

import hashlib
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ops.stack.state.model import StackState

ANSWER_SECONDS: Final = 1.0
_CLIENT_SECONDS: Final = 0.5
_LARGEST_REQUEST_BYTES: Final = 1 << 20
_LARGEST_ANSWER_BYTES: Final = 16 << 20
_CREDENTIALS: Final = struct.Struct("3i")
_LOG: Final = logging.getLogger("ops.stack.supervisor")


class Request(msgspec.Struct, frozen=True, rename={"name": "wish"}):
    """A request by the name and content of its file (`ops.stack.state.requests`); without a name, for the state alone.

    It is sent under the names that earlier supervisors know, of which one may run.
    """

    name: str = ""
    content: bytes = b""


class Beacon:
    """Answers on a thread of its own until the process ends.

    Args:
        data_dir: The stack's data folder, which the address is made from.
        state: The latest state; called on the thread.
        take: Takes a request; called on the thread.

    Raises:
        OSError: Somebody else has the address.
    """

    def __init__(self, data_dir: Path, state: Callable[[], StackState], take: Callable[[Request], None]) -> None:
        self._state, self._take = state, take
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._server.bind(address(data_dir))
            self._server.listen(16)
        except OSError:
            self._server.close()
            raise
        threading.Thread(target=self._serve, name="beacon", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                # Out of descriptors, or interrupted: whoever asks falls back on the state file.
                time.sleep(_CLIENT_SECONDS)
                continue
            with client:
                try:
                    if _user_of(client) in (os.geteuid(), 0):
                        self._answer(client)
                except (OSError, msgspec.MsgspecError):
                    continue
                except Exception:
                    # Whatever somebody sent, the next one who asks is answered.
                    _LOG.exception("a question to the supervisor failed")

    def _answer(self, client: socket.socket) -> None:
        deadline = time.monotonic() + _CLIENT_SECONDS
        line = _read(client, deadline, _LARGEST_REQUEST_BYTES, until=b"\n")
        request = msgspec.json.decode(line, type=Request)
        if request.name:
            self._take(request)
        client.settimeout(_CLIENT_SECONDS)
        client.sendall(msgspec.json.encode(self._state()))


def ask_supervisor(
    data_dir: Path, request: Request | None = None, timeout_seconds: float = ANSWER_SECONDS
) -> StackState | None:
    """The state as the supervisor itself has it; `None` when nobody answers in time.

    Args:
        data_dir: The stack's data folder.
        request: It was taken where there is an answer.
        timeout_seconds: For all of it.
    """
    deadline = time.monotonic() + timeout_seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout_seconds)
            client.connect(address(data_dir))
            if _user_of(client) not in (os.geteuid(), 0, data_dir.stat().st_uid):
                return None
            client.sendall(msgspec.json.encode(request or Request()) + b"\n")
            answer = _read(client, deadline, _LARGEST_ANSWER_BYTES)
        return msgspec.json.decode(answer, type=StackState)
    except (OSError, msgspec.MsgspecError):
        return None


def address(data_dir: Path) -> bytes:
    """The abstract address of a data folder's supervisor."""
    return b"\0marketplace-stack-" + hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:40].encode()


def _user_of(peer: socket.socket) -> int:
    """Anybody may connect to an abstract address, or take it first: the kernel says who it was."""
    _, user, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(user)


def _read(peer: socket.socket, deadline: float, most_bytes: int, until: bytes = b"") -> bytes:
    """Read to the end, or to a mark. Raises OSError when it takes too long or is too much."""
    read = bytearray()
    while not (until and read.endswith(until)):
        peer.settimeout(max(0.001, deadline - time.monotonic()))
        chunk = peer.recv(1 << 16)
        if not chunk:
            break
        read += chunk
        if len(read) > most_bytes or time.monotonic() > deadline:
            raise OSError("too much, or too slow")
    return bytes(read)

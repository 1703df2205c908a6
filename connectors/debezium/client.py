"""Kafka Connect over its REST interface: putting connectors there, and how they are."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from connectors.debezium.statuses import ConnectorStatus
from connectors.errors import Refused, Unavailable

_TIMEOUT_SECONDS: Final = 10.0
_TEXT_CHARS: Final = 300
_REBALANCES: Final = 409
"""Connect answers with it while its workers share out the work, and to what it cannot do in a connector's state."""


# A line for each request would be all that there is in the log of who looks twice a second.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Connect:
    """A client of Kafka Connect. Safe to share between threads.

    Every call raises ``Unavailable`` where no worker answers, or the workers are sharing out the work, and ``Refused``
    where Connect does not take what it is asked.

    Args:
        url: The REST interface; a user and a password may be part of it.
        timeout_seconds: How long a question may take.
    """

    def __init__(self, url: str, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._client = httpx.Client(base_url=url, timeout=timeout_seconds, trust_env=False)

    def names(self) -> list[str]:
        """The connectors that there are."""
        return msgspec.convert(self._ask("GET", "/connectors"), list[str])

    def config(self, name: str) -> dict[str, str] | None:
        """The configuration of a connector as Connect keeps it, without its name; None where there is none."""
        found = self._ask("GET", f"/connectors/{quote(name)}/config", missing=None)
        if found is None:
            return None
        return {key: value for key, value in msgspec.convert(found, dict[str, str]).items() if key != "name"}

    def status(self, name: str) -> ConnectorStatus | None:
        """How a connector is; None where there is none, or where it is so young that nobody says yet."""
        found = self._ask("GET", f"/connectors/{quote(name)}/status", missing=None)
        return None if found is None else msgspec.convert(found, ConnectorStatus)

    def problems(self, name: str, config: Mapping[str, str]) -> list[str]:
        """What Connect would not take of a configuration, a line each; a connector may ask its database for it."""
        kind = quote(config.get("connector.class", ""))
        answer = self._ask("PUT", f"/connector-plugins/{kind}/config/validate", {**config, "name": name})
        values = [each["value"] for each in answer["configs"]]
        return [f"{value['name']}: {error}" for value in values for error in value["errors"]]

    def unknown_options(self, config: Mapping[str, str]) -> list[str]:
        """Options that transformations and predicates do not know, which Connect passes over in silence."""
        unknown = []
        for kind in ("transforms", "predicates"):
            for alias in filter(None, config.get(kind, "").split(",")):
                prefix = f"{kind}.{alias}."
                options = self._ask("GET", f"/connector-plugins/{quote(config[f'{prefix}type'])}/config")
                known = {prefix + option["name"] for option in options}
                known |= {f"{prefix}type", f"{prefix}predicate", f"{prefix}negate"}
                unknown += [name for name in config if name.startswith(prefix) and name not in known]
        return unknown

    def put(self, name: str, config: Mapping[str, str]) -> None:
        """Create a connector, or give it another configuration: its tasks start with that, where they had come to."""
        self._ask("PUT", f"/connectors/{quote(name)}/config", dict(config))

    def restart_failed(self, name: str) -> None:
        """Start the connector and those of its tasks again that have failed."""
        self._ask("POST", f"/connectors/{quote(name)}/restart?includeTasks=true&onlyFailed=true")

    def stop(self, name: str) -> None:
        """End its tasks, until it is resumed."""
        self._ask("PUT", f"/connectors/{quote(name)}/stop")

    def resume(self, name: str) -> None:
        """Start its tasks again."""
        self._ask("PUT", f"/connectors/{quote(name)}/resume")

    def places(self, name: str) -> list[dict[str, Any]]:
        """How far a connector has come, as it remembers that itself."""
        return msgspec.convert(self._ask("GET", f"/connectors/{quote(name)}/offsets")["offsets"], list[dict[str, Any]])

    def set_places(self, name: str, places: Sequence[Mapping[str, Any]]) -> None:
        """Let a connector go on from elsewhere, which has to be stopped."""
        self._ask("PATCH", f"/connectors/{quote(name)}/offsets", {"offsets": list(places)})

    def forget_place(self, name: str) -> None:
        """Forget how far a connector has come, which has to be stopped: it starts as if for the first time."""
        self._ask("DELETE", f"/connectors/{quote(name)}/offsets")

    def delete(self, name: str) -> None:
        """Remove a connector; its place is kept, and found again by one of the same name."""
        self._ask("DELETE", f"/connectors/{quote(name)}", missing=None)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def _ask(self, method: str, path: str, body: object = None, **missing: Any) -> Any:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            raise Unavailable(f"Kafka Connect does not answer: {type(error).__name__} {error}".strip()) from error
        if answer.status_code == httpx.codes.NOT_FOUND and "missing" in missing:
            return missing["missing"]
        if answer.is_success:
            return answer.json() if answer.content else None
        text = f"Kafka Connect: {method} {path.partition('?')[0]}: {answer.status_code} {_message(answer)}"
        again = answer.status_code in (_REBALANCES, httpx.codes.TOO_MANY_REQUESTS) or answer.is_server_error
        raise (Unavailable if again else Refused)(text)


def _message(answer: httpx.Response) -> str:
    try:
        said = msgspec.json.decode(answer.content, type=dict[str, Any]).get("message")
    except msgspec.MsgspecError:
        said = answer.text
    return " ".join(str(said).split())[:_TEXT_CHARS]

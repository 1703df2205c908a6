"""The routes of API keys."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request

from api.access import access_of, caller_of
from api.api_keys.schemas import ApiKeyBody, ApiKeyList, MadeApiKey, NewApiKey
from api.api_keys.service import ApiKeyService
from api.web.problems import LIMIT
from api.web.routes import Routes
from api.web.times import rfc3339
from marketplace.identity.roles import Permission
from marketplace.identity.tenancy import ApiKey

_KEY: Final[dict[str, Any]] = {
    "id": "5b1e0c7d9a3f4682", "name": "Warehouse", "scopes": ["numbers:read"],
    "made_by": "3f2a9c51d06e4b7fa8c1e2d3b4a59687", "created_at": "2026-11-29T12:00:00.000Z", "last_used_at": None,
}  # fmt: skip

API_KEYS: Final = Routes("/v1/stores/{store}/api-keys", "API keys")


def _service(request: Request) -> ApiKeyService:
    found: ApiKeyService = request.app.state.tenancy.api_keys
    return found


@API_KEYS.add("GET", "", demand=Permission.READ_KEYS, example={"api_keys": [_KEY]})
async def list_api_keys(request: Request) -> ApiKeyList:
    """The API keys of a store, the oldest first, without their secrets."""
    return ApiKeyList(
        api_keys=[ApiKeyBody(**_fields(key)) for key in await _service(request).of_store(access_of(request).slug)]
    )


@API_KEYS.add("POST", "", demand=Permission.MANAGE_API_KEYS, cost=5, status=201, problems=[LIMIT],
              example={**_KEY, "key": "mk_5b1e0c7d9a3f4682_k3n8..."},
              links={"revoke_api_key": {"store": "$request.path.store", "key": "$response.body#/id"}})  # fmt: skip
async def create_api_key(request: Request, body: NewApiKey) -> MadeApiKey:
    """Make an API key for a server, shown this once: `Authorization: Bearer mk_...`.

    It works in this store alone, and may do what its scopes and the present role of its maker have in common: a maker
    who loses the role or leaves takes that from the key, for reading half a second later at the latest.
    """
    scopes = frozenset(map(Permission, body.scopes))
    made, text = await _service(request).create(access_of(request).slug, caller_of(request).user.id, body.name, scopes)
    return MadeApiKey(**_fields(made), key=text)


@API_KEYS.add("DELETE", "/{key}", demand=Permission.MANAGE_API_KEYS, cost=2, status=204, works_frozen=True)
async def revoke_api_key(request: Request, key: str) -> None:
    """Revoke an API key: it is worth nothing half a second later at the latest."""
    await _service(request).revoke(access_of(request).slug, caller_of(request).user.id, key)


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(scope.value for scope in key.scopes),
        "made_by": key.maker,
        "created_at": rfc3339(key.created_at),
        "last_used_at": rfc3339(key.last_used_at) if key.last_used_at else None,
    }

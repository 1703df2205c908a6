"""What people may do: in a store by their role there, on the platform as admins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final


class StoreRole(StrEnum):
    """A member's role in one store. The order of :data:`RANKS` says whose includes whose."""

    OWNER = "owner"
    MANAGER = "manager"
    ANALYST = "analyst"


RANKS: Final[Mapping[StoreRole, int]] = {StoreRole.ANALYST: 1, StoreRole.MANAGER: 2, StoreRole.OWNER: 3}


class Permission(StrEnum):
    """What a route can demand of somebody in a store."""

    READ_NUMBERS = "numbers:read"
    READ_STORE = "store:read"
    EDIT_STORE = "store:edit"
    READ_CATALOG = "catalog:read"
    EDIT_CATALOG = "catalog:edit"
    READ_KEYS = "keys:read"
    ROTATE_KEYS = "keys:rotate"
    READ_MEMBERS = "members:read"
    INVITE = "members:invite"
    MANAGE_MEMBERS = "members:manage"
    MANAGE_API_KEYS = "api-keys:manage"
    LEAVE_STORE = "store:leave"
    DELETE_STORE = "store:delete"
    READ_ORDERS = "orders:read"
    MANAGE_ORDERS = "orders:manage"
    READ_STOCK = "stock:read"
    EDIT_STOCK = "stock:edit"


_LOWEST: Final[Mapping[Permission, StoreRole]] = {
    Permission.READ_NUMBERS: StoreRole.ANALYST,
    Permission.READ_STORE: StoreRole.ANALYST,
    Permission.READ_MEMBERS: StoreRole.ANALYST,
    Permission.LEAVE_STORE: StoreRole.ANALYST,
    Permission.READ_CATALOG: StoreRole.ANALYST,
    Permission.READ_STOCK: StoreRole.ANALYST,
    # Orders say where people live.
    Permission.READ_ORDERS: StoreRole.MANAGER,
    Permission.MANAGE_ORDERS: StoreRole.MANAGER,
    Permission.EDIT_STOCK: StoreRole.MANAGER,
    Permission.EDIT_STORE: StoreRole.MANAGER,
    Permission.EDIT_CATALOG: StoreRole.MANAGER,
    Permission.READ_KEYS: StoreRole.MANAGER,
    Permission.ROTATE_KEYS: StoreRole.MANAGER,
    Permission.INVITE: StoreRole.MANAGER,
    Permission.MANAGE_API_KEYS: StoreRole.MANAGER,
    Permission.MANAGE_MEMBERS: StoreRole.OWNER,
    Permission.DELETE_STORE: StoreRole.OWNER,
}
"""The lowest role that has each permission; every higher one has it too."""

API_KEY_SCOPES: Final = frozenset(
    {
        Permission.READ_NUMBERS,
        Permission.READ_STORE,
        Permission.EDIT_STORE,
        Permission.READ_CATALOG,
        Permission.EDIT_CATALOG,
        Permission.READ_MEMBERS,
        Permission.READ_ORDERS,
        Permission.MANAGE_ORDERS,
        Permission.READ_STOCK,
        Permission.EDIT_STOCK,
    }
)
"""What an API key can be given. A server never invites, grants roles, reads or makes keys, or deletes a store."""


def has_permission(role: StoreRole, permission: Permission) -> bool:
    """Whether a member of that role may do it."""
    return RANKS[role] >= RANKS[_LOWEST[permission]]


def permissions_of(role: StoreRole) -> frozenset[Permission]:
    """All that a member of that role may do."""
    return frozenset(permission for permission in Permission if has_permission(role, permission))


def scopes_in_effect(scopes: Iterable[Permission], maker: StoreRole | None) -> frozenset[Permission]:
    """What an API key may do now: what it was given and its maker may do by the present role; nothing without one."""
    return frozenset() if maker is None else frozenset(scopes) & API_KEY_SCOPES & permissions_of(maker)


def may_grant(granter: StoreRole | None, granted: StoreRole) -> bool:
    """Whether somebody may give a role: only who may invite, and no role above the own one.

    It is asked when an invitation is written and again when it is accepted: in between the granter may have lost the
    role, which then is None.
    """
    return granter is not None and has_permission(granter, Permission.INVITE) and RANKS[granted] <= RANKS[granter]


def leaves_an_owner(roles: Mapping[str, StoreRole], user: str, new_role: StoreRole | None) -> bool:
    """Whether a store still has an owner after a member's role changed.

    Args:
        roles: Those of all members, by user.
        user: Whose role changes.
        new_role: What it becomes; None where the member leaves.
    """
    return StoreRole.OWNER in {**roles, user: new_role}.values()

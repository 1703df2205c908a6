from __future__ import annotations

import itertools

import pytest

from marketplace.identity.roles import (
    API_KEY_SCOPES,
    RANKS,
    Permission,
    StoreRole,
    has_permission,
    leaves_an_owner,
    may_grant,
    permissions_of,
)

PAIRS = [pytest.param(a, b, id=f"{a}-{b}") for a, b in itertools.product(StoreRole, repeat=2)]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_higher_role_may_do_whatever_a_lower_one_may(one: StoreRole, other: StoreRole) -> None:
    if RANKS[one] >= RANKS[other]:
        assert permissions_of(one) >= permissions_of(other)


def test_an_owner_may_do_everything_and_each_lower_role_less() -> None:
    owner, manager, analyst = map(permissions_of, (StoreRole.OWNER, StoreRole.MANAGER, StoreRole.ANALYST))
    assert owner == frozenset(Permission)
    assert analyst < manager < owner


def test_an_analyst_reads_and_leaves_and_sees_no_key() -> None:
    assert permissions_of(StoreRole.ANALYST) == {
        Permission.READ_NUMBERS,
        Permission.READ_STORE,
        Permission.READ_MEMBERS,
        Permission.READ_CATALOG,
        Permission.READ_STOCK,
        Permission.LEAVE_STORE,
    }


@pytest.mark.parametrize(("granter", "granted"), PAIRS)
def test_nobody_grants_a_role_above_the_own_one(granter: StoreRole, granted: StoreRole) -> None:
    if RANKS[granted] > RANKS[granter] or not has_permission(granter, Permission.INVITE):
        assert not may_grant(granter, granted)
    else:
        assert may_grant(granter, granted)


@pytest.mark.parametrize("granted", StoreRole)
def test_who_has_left_the_store_grants_nothing(granted: StoreRole) -> None:
    assert not may_grant(None, granted)


def test_no_api_key_can_grant_roles_read_keys_or_delete_a_store() -> None:
    assert API_KEY_SCOPES.isdisjoint(
        {
            Permission.INVITE,
            Permission.MANAGE_MEMBERS,
            Permission.READ_KEYS,
            Permission.ROTATE_KEYS,
            Permission.MANAGE_API_KEYS,
            Permission.LEAVE_STORE,
            Permission.DELETE_STORE,
        }
    )


@pytest.mark.parametrize("new_role", [None, StoreRole.ANALYST, StoreRole.MANAGER])
def test_the_last_owner_cannot_leave_and_one_of_two_can(new_role: StoreRole | None) -> None:
    assert not leaves_an_owner({"ann": StoreRole.OWNER, "bob": StoreRole.MANAGER}, "ann", new_role)
    assert leaves_an_owner({"ann": StoreRole.OWNER, "bob": StoreRole.OWNER}, "ann", new_role)
    assert leaves_an_owner({"ann": StoreRole.OWNER, "bob": StoreRole.MANAGER}, "bob", new_role)

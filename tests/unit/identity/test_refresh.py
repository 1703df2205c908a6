from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from marketplace.identity.refresh import (
    GRACE_SECONDS,
    LIFETIME_SECONDS,
    Family,
    Presented,
    hash_of,
    present,
    successor_of,
)

FIRST = "first-token"


@dataclass
class Client:
    """A family, and every token of it from the first to the current one."""

    now: float = 1_000.0
    tokens: list[str] = field(default_factory=lambda: [FIRST])
    family: Family = field(default_factory=lambda: Family(hash_of(FIRST), 1_000.0 + LIFETIME_SECONDS))
    salts: int = 0

    def present(self, token: str) -> Presented:
        self.salts += 1
        found, self.family = present(self.family, token, f"salt-{self.salts}", self.now)
        if found is Presented.CURRENT:
            self.tokens.append(successor_of(token, self.family.salt))
        return found


def test_a_token_is_replaced_by_a_successor_that_is_then_the_current_one() -> None:
    client = Client()
    assert [client.present(client.tokens[-1]) for _ in range(3)] == [Presented.CURRENT] * 3
    assert len(set(client.tokens)) == 4


@given(st.integers(1, 20))
def test_however_often_a_token_is_presented_at_one_time_it_has_one_successor(times: int) -> None:
    client = Client()
    found = [client.present(FIRST) for _ in range(times)]
    assert found == [Presented.CURRENT] + [Presented.PREVIOUS] * (times - 1)
    assert successor_of(FIRST, client.family.salt) == client.tokens[-1]
    assert client.present(client.tokens[-1]) is Presented.CURRENT


@given(st.integers(2, 6), st.data())
def test_a_token_older_than_the_previous_one_ends_the_family_for_good(rotations: int, data: st.DataObject) -> None:
    client = Client()
    for _ in range(rotations):
        client.present(client.tokens[-1])
    assert client.present(data.draw(st.sampled_from(client.tokens[:-2]))) is Presented.REUSED
    assert [client.present(token) for token in client.tokens] == [Presented.ENDED] * len(client.tokens)


def test_the_previous_token_is_a_stolen_one_once_the_grace_is_over() -> None:
    client = Client()
    client.present(FIRST)
    client.now += GRACE_SECONDS - 0.001
    assert client.present(FIRST) is Presented.PREVIOUS
    client.now += 0.001
    assert client.present(FIRST) is Presented.REUSED
    assert client.present(client.tokens[-1]) is Presented.ENDED


def test_a_family_lives_for_seven_days_after_its_last_rotation() -> None:
    client = Client()
    client.now += LIFETIME_SECONDS - 1
    assert client.present(FIRST) is Presented.CURRENT
    client.now += LIFETIME_SECONDS - 1
    assert client.present(client.tokens[-1]) is Presented.CURRENT
    client.now += LIFETIME_SECONDS
    assert client.present(client.tokens[-1]) is Presented.ENDED


@given(st.text())
def test_a_token_that_was_never_given_out_ends_the_family_and_before_the_first_rotation_too(token: str) -> None:
    client = Client()
    if token != FIRST:
        assert client.present(token) is Presented.REUSED
        assert client.family.revoked


def test_what_is_stored_does_not_let_anybody_make_a_token() -> None:
    client = Client()
    client.present(FIRST)
    stored = (client.family.current_hash, client.family.previous_hash, client.family.salt)
    assert client.tokens[-1] not in stored
    assert all(successor_of(text, salt) != client.tokens[-1] for text in stored for salt in stored)

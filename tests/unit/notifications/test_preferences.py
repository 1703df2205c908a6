"""Links in mails that change what comes by mail."""

from __future__ import annotations

import pytest

from marketplace.notifications.preferences import is_token_of, unsubscribe_token, user_of_token

SECRET = b"s" * 32


def test_a_link_is_good_for_its_account_and_its_secret_alone() -> None:
    token = unsubscribe_token("bea", SECRET)
    assert user_of_token(token) == "bea"
    assert is_token_of(token, "bea", SECRET)
    assert not is_token_of(token, "ann", SECRET)
    assert not is_token_of(token, "bea", b"t" * 32)
    assert not is_token_of(token.replace("bea", "ann"), "ann", SECRET)
    for at in range(len(token)):
        forged = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert not is_token_of(forged, "bea", SECRET)


@pytest.mark.parametrize("text", ["", ".", "bea", "bea.", "bea.short", f"b ea.{'x' * 32}", f"{'x' * 65}.{'x' * 32}",
                                  f"bea.{'x' * 33}", "bea." + "\u00e9" * 32, f"bea.{'x' * 32}\n"])  # fmt: skip
def test_what_is_no_link_names_nobody(text: str) -> None:
    assert user_of_token(text) == ""

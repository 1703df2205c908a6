"""The one table of payment providers: a line here is all that a further one needs to be chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from connectors.payments import sandbox
from connectors.payments.provider import PaymentProvider
from connectors.payments.secrets import KnownSecrets

Open = Callable[[str, KnownSecrets, str, bool], PaymentProvider]
"""Makes a client, given the URL, the secrets, our account, and whether it is real money."""

PROVIDERS: Final[Mapping[str, Open]] = {
    sandbox.NAME: lambda url, secrets, account, live: sandbox.SandboxProvider(url, secrets, account, live=live),
}
"""By their names, as in settings and in addresses of webhooks."""


def provider_of(name: str, url: str, account: str, secrets: KnownSecrets, *, live: bool) -> PaymentProvider:
    """A client of a provider; the caller closes it.

    Args:
        name: One of :data:`PROVIDERS`.
        url: Where it is; empty for one that is only to read webhooks.
        account: Ours there.
        secrets: Between us and the provider.
        live: Whether it is real money.
    """
    return PROVIDERS[name](url, secrets, account, live)

"""Where the demo's orders go."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ops.demo.traffic.shops import LOCAL_HOSTS


@dataclass(frozen=True)
class Places:
    """URLs.

    Attributes:
        api: The API's.
        provider: The payment provider's.
        provider_key: What the provider knows the marketplace by; empty for whoever asks it for tokens only.
    """

    api: str
    provider: str
    provider_key: str = field(default="", repr=False)

    @property
    def storefront(self) -> str:
        """The storefront's as browsers know it, without a slash at the end.

        Within a deployment the API has a name that no browser knows. The demo's stores take this machine for their own.
        """
        return f"{self.api if urlsplit(self.api).hostname in LOCAL_HOSTS else 'https://localhost'}/shop"

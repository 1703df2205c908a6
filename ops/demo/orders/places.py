"""Where the demo's orders go."""

from __future__ import annotations

from dataclasses import dataclass, field


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
        """The storefront's, without a slash at the end."""
        return f"{self.api}/shop"

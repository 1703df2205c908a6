"""Which requests of the logs are imported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from marketplace.access_logs.requests import LoggedRequest, host_of_target
from marketplace.access_logs.views import ASSET, COLLECTOR, OTHER_HOST, VIEW, kind_of
from marketplace.enrichments.referral_links import is_internal
from marketplace.enrichments.store_rules import read_rules
from marketplace.networks import Network

OUT_OF_RANGE: Final = "out of range"
"""The kind of a request before ``--from``, or not before ``--until``."""


@dataclass(frozen=True)
class Selection:
    """Which requests of the logs are imported, and as whose.

    Attributes:
        host: The shop's host, for requests whose log does not name one.
        own_hosts: Requests to other hosts than these and their subdomains are left out; empty for none.
        trusted_proxies: Networks of proxies whose lists of addresses are trusted.
        include_assets: Import requests for assets too.
        all_requests: Import every request but the collector's own.
        from_ms: The first moment that is imported; None for the log's first.
        until_ms: The first moment that is not imported any more; None where there is none.
    """

    host: str
    own_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    include_assets: bool = False
    all_requests: bool = False
    from_ms: int | None = None
    until_ms: int | None = None

    def kind_of(self, request: LoggedRequest) -> str:
        """What a request is for this import: a page view, or why it is none that is wanted."""
        at = request.occurred_at_ms
        if (self.from_ms is not None and at < self.from_ms) or (self.until_ms is not None and at >= self.until_ms):
            return OUT_OF_RANGE
        kind = kind_of(request)
        return OTHER_HOST if self._own and kind != COLLECTOR and not self._is_own(request) else kind

    def takes(self, kind: str) -> bool:
        """Whether requests of a kind are imported."""
        if self.all_requests:
            return kind not in (COLLECTOR, OTHER_HOST, OUT_OF_RANGE)
        return kind == VIEW or (kind == ASSET and self.include_assets)

    @cached_property
    def _own(self) -> tuple[str, ...]:
        return read_rules(",".join(self.own_hosts)).domains

    def _is_own(self, request: LoggedRequest) -> bool:
        # An absolute URL that names another site was for a proxy, or tries to find one.
        host = request.host or (host_of_target(request.target) if request.target[:1] != "/" else "")
        return not host or is_internal(host, "", self._own)

"""Where to look at a running demo and as whom, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ops.demo.services.demo_accounts import DemoAccount

TITLES = {
    "dashboard": "dashboard",
    "api_docs": "API docs",
    "storefront": "storefront",
    "collector": "collector",
    "kafka": "Kafka",
    "clickhouse": "ClickHouse",
    "mongo": "MongoDB",
    "redis": "Redis",
}


def url_lines(urls: Mapping[str, str]) -> Iterator[str]:
    """One line for each URL that a person looks at."""
    width = max(map(len, TITLES.values()))
    for name, title in TITLES.items():
        if name in urls:
            yield f"  {title:{width}}  {urls[name]}"


def account_lines(accounts: Sequence[DemoAccount]) -> Iterator[str]:
    """One line for each account: who it is, the address, the password, and which stores it sees."""
    widths = [max(len(text) for text in column) for column in zip(*map(_columns, accounts), strict=True)]
    for account in accounts:
        line = "  ".join(text.ljust(width) for text, width in zip(_columns(account), widths, strict=True))
        yield f"  {line.rstrip()}"


def _columns(account: DemoAccount) -> tuple[str, ...]:
    first, *others = account.stores
    more = f" + {len(others)} more" if others else ""
    return account.who, account.email, account.password, f"{first}{more}"

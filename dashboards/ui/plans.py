"""What is said where a plan bounds what a page shows."""

from __future__ import annotations

from marketplace.entitlements import Tier


def how_to_lift(tier: Tier) -> str:
    """A sentence with a space before it for whoever runs the server; empty where there is no higher plan."""
    highest = list(Tier)[-1]
    if tier is highest:
        return ""
    return f" Whoever runs this server can lift it: `marketplace accounts grant EMAIL {highest}`."

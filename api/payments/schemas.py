"""What the route of webhooks gives, as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class WebhookTaken(BaseModel):
    """A message is kept, and need not be sent again."""

    taken: Literal[True]

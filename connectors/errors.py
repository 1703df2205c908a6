"""What a failure outside means for the message at hand."""

from __future__ import annotations


class Unavailable(Exception):
    """The other side is away or overloaded: pause, keep the place, try again. Nothing is known to be lost."""


class Refused(Exception):
    """The other side understood and said no: trying again would not help. Stop loudly."""


class Fenced(Exception):
    """A newer generation of this process has taken over: stop at once and write nothing more."""

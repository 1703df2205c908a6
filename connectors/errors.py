"""Errors of external systems, by what they mean for the current message.

A message handler may raise these as well as the decisions of :mod:`marketplace.errors`; a group consumer maps them:

- :class:`Unavailable` is a retry: the partition pauses, longer with each attempt, and the offset stays.
- :class:`Refused` stops the consumer with an error. Messages handled before are committed, this one is not.
- :class:`Fenced` stops the consumer at once, and nothing more is committed.
"""

from __future__ import annotations


class Unavailable(Exception):
    """The other side is down or overloaded: pause, keep the offset, try again. Nothing is known to be lost."""


class Refused(Exception):
    """The other side refused the request: trying again would not help. Stop with an error."""


class Fenced(Exception):
    """A newer generation of this process has taken over: stop at once and write nothing more."""

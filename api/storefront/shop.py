"""What pages ask, and whose cart it is about."""

from __future__ import annotations

from dataclasses import dataclass

from api.callers import Caller


class Refused(Exception):
    """What somebody wanted is not done.

    Args:
        message: Why, as a sentence for people.
        field: The field of the form that is wrong; empty for none.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message, self.field = message, field


class ChoiceNeeded(Refused):
    """A product has several variants, and none was chosen.

    Args:
        url: The path of the page where one can be.
    """

    def __init__(self, url: str) -> None:
        super().__init__("Choose a variant first.", "variant")
        self.url = url


def sentence(error: Exception) -> str:
    """What an error says, as a sentence for people."""
    text = f"{error}"
    return f"{text[:1].upper()}{text[1:]}."


@dataclass(frozen=True)
class CartOwner:
    """Whose cart it is.

    Attributes:
        caller: Who is signed in; None for a guest.
        guest: The secret of a guest's cart; empty where there is none yet.
    """

    caller: Caller | None = None
    guest: str = ""

    @property
    def nobody(self) -> bool:
        """Whether there can be no cart."""
        return self.caller is None and not self.guest

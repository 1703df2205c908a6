"""The one error of the embedded stack."""


class StackError(Exception):
    """The stack cannot do what was asked; the text is one line for the person who asked. Nothing is left running."""

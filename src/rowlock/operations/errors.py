"""What an operation can't do with what it was given. (A refusal by the state of things is an outcome instead.)"""

from __future__ import annotations


class Invalid(ValueError):  # noqa: N818
    """A value that can't be: `field` is the path of what to mend, `message` says how."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFound(LookupError):  # noqa: N818
    """There is no such thing; `what` names it, as in "show 7" or "seat Z-99"."""

    def __init__(self, what: str, field: str | None = None) -> None:
        super().__init__(f"There is no {what}.")
        self.what = what
        self.field = field


class ShowIdTaken(ValueError):  # noqa: N818
    """A show with the id that was asked for exists already."""

"""The one exception whose text is meant for the person at the keyboard."""


class UserError(Exception):
    """Something a person can put right: says what was expected, what was found, and what to do next.

    The command line prints it as one line and exits with code 2; a page shows it as a sentence; a run that meets it
    ends `failed` with it as the reason. `field` names the setting it belongs to, where there is one.
    """

    exit_code = 2

    def __init__(self, message: str, field: str | None = None):
        super().__init__(message)
        self.field = field


class Incomplete(UserError):
    """Part of what was asked for is done, and the rest failed by no mistake of a person: says what, and why."""

    exit_code = 1


class Cancelled(UserError):
    """A person stopped it; the text says what is kept."""

"""Errors that a person reads: one line that names the cause, one that names the remedy."""

EXIT_PASSED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_MACHINERY = 3


class GroundupError(Exception):
    """Base of every error the tool reports by itself.

    `message` is one line and names the cause; `remedy` is one line and says what to do, or is empty where there is
    nothing to do. `status` is the exit status of the tool.
    """

    status = EXIT_MACHINERY

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class UsageError(GroundupError):
    """The command line asks for something that does not exist or makes no sense."""

    status = EXIT_USAGE


class MachineryError(GroundupError):
    """The tool itself could not do its work. Never a verdict on a submission."""

"""Exceptions for user errors and interrupts."""


class UserError(ValueError):
    """Configuration, data or files that cannot be used; ends the program with exit code 2."""


class DivergedError(RuntimeError):
    """The training loss is no longer finite."""


class Interrupted(SystemExit):
    """A signal ended the program; its code is 130 for Ctrl-C and 143 for SIGTERM."""

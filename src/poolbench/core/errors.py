"""Ends that are no bugs: what the user can mend, and what the user or the machine broke off."""


class BadInput(ValueError):
    """Configuration, data or files that cannot be used; ends the program with exit code 2."""


class Interrupted(SystemExit):
    """A signal ended the program; its code is 130 for Ctrl-C and 143 for SIGTERM."""

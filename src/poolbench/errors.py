"""Errors that are the user's to mend: one line, what is wrong and what to do."""


class BadInput(ValueError):
    """Configuration, data or files that cannot be used; ends the program with exit code 2."""

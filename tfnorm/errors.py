"""The error that means: what was given can't be used, and here is what can."""


class InputError(ValueError):
    """Something given from outside can't be used.

    The message stands on its own in one line: it names what came, shows it and says what is accepted.
    The command line prints it and exits with status 2; the server answers with INVALID_ARGUMENT.
    """

"""Errors that a user can mend: each message names the thing that is wrong and the remedy.

The command line tools print these as one message and exit with status 1; a traceback is shown
only for errors that are not of this family, because those are ours to mend.
"""


class ShuffleNetDetError(Exception):
    """Base class of all errors that speak to the user."""


class ConfigError(ShuffleNetDetError, ValueError):
    """A config or an argument asks for something that cannot be."""


class DataError(ShuffleNetDetError):
    """A data set is missing, damaged, or does not fit the config."""

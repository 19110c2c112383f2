"""Errors that a user can mend: each message names the thing that is wrong and the remedy.

The command line tools print these as one message and exit with status 1; a traceback is shown
only for errors that are not of this family, because those are ours to mend.
"""
from collections.abc import Iterable


class UserError(Exception):
    """Base class of all errors that speak to the user."""


class ConfigError(UserError, ValueError):
    """A config or an argument asks for something that cannot be."""


class DataError(UserError):
    """A data set, an image or a file is missing, damaged, or does not fit."""


class EngineError(UserError):
    """An engine is missing, or cannot load or run a network."""


def shorten(names: Iterable, most: int = 8) -> str:
    """The first of some names for a message, and how many more there are."""
    names = list(map(str, names))
    return ', '.join(names[:most]) + (f' and {len(names) - most} more' if names[most:] else '')

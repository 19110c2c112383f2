"""Errors that a user can mend; see :mod:`shufflenet_runtime.errors`, which has them for both."""
from shufflenet_runtime.errors import ConfigError, DataError, shorten
from shufflenet_runtime.errors import UserError as ShuffleNetDetError

__all__ = ['ConfigError', 'DataError', 'ShuffleNetDetError', 'first_line', 'shorten']


def first_line(error: Exception) -> str:
    """Type and first line of an error of another package, cut where it is long."""
    text = str(error).strip().splitlines() or ['']
    return f'{type(error).__name__}: {text[0] or text[-1]}'[:400]

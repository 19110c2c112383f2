"""Errors that a user can mend; see :mod:`shufflenet_runtime.errors`, which has them for both."""
from shufflenet_runtime.errors import ConfigError, DataError, shorten
from shufflenet_runtime.errors import UserError as ShuffleNetDetError

__all__ = ['ConfigError', 'DataError', 'ShuffleNetDetError', 'shorten']

"""Errors of the export."""
from ..common.errors import ShuffleNetDetError


class ExportError(ShuffleNetDetError):
    """A network could not be exported, or what was exported does not agree with PyTorch."""

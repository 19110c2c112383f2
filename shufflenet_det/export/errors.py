"""Errors of the export."""
from collections.abc import Iterator
from contextlib import contextmanager

from ..common.errors import ShuffleNetDetError, first_line


class ExportError(ShuffleNetDetError):
    """A network could not be exported, or what was exported does not agree with PyTorch."""


@contextmanager
def tracing(form: str) -> Iterator[None]:
    """Where torch follows the code of a network, which may be anybody's, to write it in a form.

    Raises:
        ExportError: names what torch did not know, whatever error it raised.
        OSError, MemoryError: as they are, because they are not about the network.
    """
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ExportError(
            f'torch cannot write this network as {form}: {first_line(error)} '
            f'What has no counterpart there, for example CARAFE, must leave the config; or test '
            f'the detector with PyTorch.'
        ) from error

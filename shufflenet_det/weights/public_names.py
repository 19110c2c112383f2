"""Names of public weights: ``shufflenet://authors-0.5x-g3``."""
from pathlib import Path

from ..common.config import suggest
from ..compat.checkpoint import CheckpointNotFoundError
from .public_files import PublicFile, public_files
from .refused import refusal

SCHEME = 'shufflenet://'


def find_public(source: str) -> PublicFile | None:
    """The public file that a ``shufflenet://`` name or an address means, None where it means none.

    Raises:
        CheckpointNotFoundError: a ``shufflenet://`` name of no public file, with the nearest
            names or the reason why it is none; or a name without the scheme, and no such file.
    """
    files = public_files()
    name = source.removeprefix(SCHEME)
    named = next((file for file in files if name in (file.name, file.published_as)), None)
    if source.startswith(SCHEME):
        if named is not None:
            return named
        known = [file.name for file in files] + [file.published_as for file in files]
        raise CheckpointNotFoundError(
            f'{source} cannot be loaded: {reason}'
            if (reason := refusal(name))
            else f'{source} is no public file.{suggest(name, known)} `python '
            f'tools/convert_weights.py --list` names them.'
        )
    if named is not None and source == named.name and not Path(source).exists():
        raise CheckpointNotFoundError(
            f'there is no file {source}. The public file of this name is {SCHEME}{source}.'
        )
    return next((file for file in files if file.url == source), None)

"""Public weights of ShuffleNet v1 by name: ``shufflenet://authors-0.5x-g3``."""
from pathlib import Path

from mmengine.runner.checkpoint import CheckpointLoader

from ..common.config import suggest
from ..compat.checkpoint import CheckpointError, CheckpointNotFoundError, read_checkpoint
from ..compat.checkpoint_reading import MapLocation, settled
from .download import content_of
from .public_files import PublicFile, public_files
from .record import RECORD_KEY
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


def load_public(filename: str, map_location: MapLocation = None) -> dict:
    """Load a public file by name, as in ``shufflenet://authors-0.5x-g3``.

    Args:
        filename: the name.
        map_location: as for :func:`torch.load`; the CPU by default.

    Returns:
        A checkpoint in our layout, with the record of what its weights need.

    Raises:
        CheckpointNotFoundError: there is no such name.
        CheckpointError: the file cannot be fetched or kept, or is not what was published.
    """
    # the description of a name needs this module
    from .convert import convert

    file = find_public(filename)
    name = SCHEME + file.name
    # the authors' tensors say that they belong on a GPU
    content = read_checkpoint(content_of(file), map_location or 'cpu', name=name + _suffix(file))
    converted = convert(content, name)
    if converted.record.variant != file.needs.variant:
        raise CheckpointError(
            f'{name} holds {converted.record.variant}, where {file.needs.variant} was published.'
        )
    meta = {RECORD_KEY: file.needs.to_json()}
    return settled(dict(meta=meta, state_dict=converted.tensors), name)


def _suffix(file: PublicFile) -> str:
    # by which the format of a file in memory is told
    return '.safetensors' if file.filename.endswith('.safetensors') else ''


def install() -> None:
    """Let ``shufflenet://`` names stand wherever mmengine takes a checkpoint."""
    CheckpointLoader.register_scheme(SCHEME, load_public, force=True)

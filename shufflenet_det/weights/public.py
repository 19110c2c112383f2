"""Public weights of ShuffleNet v1 by name: ``shufflenet://authors-0.5x-g3``."""
from mmengine.runner.checkpoint import CheckpointLoader

from ..compat.checkpoint import CheckpointError, read_checkpoint
from ..compat.checkpoint_reading import MapLocation, settled
from .convert import convert
from .download import content_of
from .public_files import PublicFile
from .public_names import SCHEME, find_public
from .record import RECORD_KEY


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

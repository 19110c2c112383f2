"""Writing a checkpoint as a whole or not at all."""
import io
import os
from pathlib import Path

import mmengine.runner
import mmengine.runner.checkpoint as mmengine_checkpoint
import mmengine.runner.runner as mmengine_runner
import torch

from .checkpoint_errors import CheckpointError

PARTIAL = '.partial'
"""End of the name under which a checkpoint is written, before it gets its own."""

_mmengines = mmengine_checkpoint.save_checkpoint


def save_checkpoint(checkpoint: dict, filename: str | os.PathLike, file_client_args=None,
                    backend_args=None) -> None:
    """``mmengine.runner.save_checkpoint`` that writes local files atomically.

    A file of this name is replaced when the new one is complete on the disk: whatever ends the
    process before, it stays as it was.

    Raises:
        CheckpointError: The file can not be written, as on a full disk.
    """
    if file_client_args or backend_args or '://' in str(filename):
        _mmengines(checkpoint, filename, file_client_args, backend_args)
        return
    path = Path(filename)
    partial = path.with_name(f'.{path.name}{PARTIAL}')
    with io.BytesIO() as content:
        torch.save(checkpoint, content)
        size = content.tell()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(partial, 'wb') as file:
                file.write(content.getbuffer())
                file.flush()
                # a network's disk may tell that it is full no earlier
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise CheckpointError(f'checkpoint {path} ({size / 1e6:.0f} MB) can not be written: '
                                  f'{error.strerror or error}.') from None


def remove_partial(folder: str | os.PathLike) -> None:
    """Remove what a process left in a folder that was killed while it wrote a checkpoint."""
    for path in Path(folder).glob(f'.*{PARTIAL}'):
        path.unlink(missing_ok=True)


def needed() -> bool:
    """MMEngine writes into the file that is there."""
    return True


def install() -> None:
    """Have mmengine's runner and hooks write with :func:`save_checkpoint`."""
    for module in (mmengine.runner, mmengine_checkpoint, mmengine_runner):
        module.save_checkpoint = save_checkpoint

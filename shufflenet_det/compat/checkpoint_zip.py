"""A checkpoint that its publisher has put into a zip archive, as pytorchcv does."""
import io
import os
import zipfile
import zlib
from typing import BinaryIO

from .checkpoint_errors import CheckpointError

# weights hardly shrink: what grows more than this when it is unpacked is no file of them
_MOST_GROWTH = 20


def unpacked(archive: BinaryIO, name: str) -> BinaryIO:
    """The one file in a zip archive, unpacked in memory.

    Args:
        archive: a file in zip format that is not of ``torch.save`` itself.
        name: of the archive, for messages.

    Raises:
        CheckpointError: there is not exactly one file in it, or it cannot be unpacked.
    """
    size = archive.seek(0, os.SEEK_END)
    try:
        with zipfile.ZipFile(archive) as content:
            members = [member for member in content.infolist() if not member.is_dir()]
            if len(members) != 1:
                names = ', '.join(member.filename for member in members[:5])
                raise CheckpointError(
                    f'{name} is a zip archive, but not one of torch.save, with {len(members)} '
                    f'files in it ({names or "none"}) where one is expected. If the checkpoint is '
                    f'inside, unpack it first.'
                )
            (member,) = members
            if member.file_size > _MOST_GROWTH * size:
                raise CheckpointError(
                    f'{name} is refused: {member.filename} in it has {member.file_size} bytes and '
                    f'the archive {size}, so it holds no weights.'
                )
            return io.BytesIO(content.read(member))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f'{name} is a damaged zip archive ({error}). Download it again.'
        ) from error

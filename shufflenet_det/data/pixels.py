"""Decoded pixels of a data set of small images, kept in one memory-mapped file."""
import fcntl
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..common.errors import DataError


class DecodedPixels:
    """Images of one size, decoded once, in a file that processes share through the page cache.

    The file is named by what it was made of: paths, sizes and times of the images. If one changes,
    another file is made, and the older one is removed. It appears when it is complete; where
    several processes want it, one decodes and the others wait.

    Args:
        folder: where the file is kept; on a RAM disk such as ``/dev/shm`` it is memory.
        name: start of the name of the file.
        paths: image files.
        decode: from the path of an image to its pixels (3, H, W), uint8.

    Raises:
        DataError: an image cannot be decoded or has another size than the first, or the file
            cannot be written.
    """

    def __init__(
        self, folder: str | Path, name: str, paths: Sequence[str], decode: Callable[[str], Tensor]
    ) -> None:
        folder = Path(folder)
        prefix = f'{name or "images"}-{len(paths)}-'
        self.path = folder / f'{prefix}{_fingerprint(paths)}.npy'
        self._array: np.ndarray | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / f'.{prefix}lock', 'w') as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not self.path.is_file():
                    _write(self.path, paths, decode)
                    for other in folder.glob(f'{prefix}*.npy'):
                        if other != self.path:
                            other.unlink()
        except OSError as error:
            raise DataError(
                f'cannot keep decoded images in {folder}: {error.strerror or error}. They take '
                'width x height x 3 bytes each. Choose another folder with `cache` of the data '
                'set, or None to decode them each time.'
            ) from None

    def __getitem__(self, index: int) -> Tensor:
        """Pixels (3, H, W) of uint8; to change them does not change the file."""
        if self._array is None:
            try:
                self._array = np.asarray(np.load(self.path, mmap_mode='c'))
            except (OSError, ValueError) as error:
                raise DataError(f'cannot read {self.path}: {error}. Delete it.') from None
        return torch.from_numpy(self._array[index]).permute(2, 0, 1)

    def __getstate__(self) -> dict:
        # a process that is started opens the file, rather than being sent its content
        return {**self.__dict__, '_array': None}


def _fingerprint(paths: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            raise DataError(f'cannot read image {path}: {error.strerror}.') from None
        digest.update(f'{os.path.abspath(path)}\n{status.st_size} {status.st_mtime_ns}\n'.encode())
    return digest.hexdigest()[:16]


def _write(target: Path, paths: Sequence[str], decode: Callable[[str], Tensor]) -> None:
    """Write an array (N, H, W, 3), and give it its name when it is complete."""
    shape = None
    partial = target.with_suffix('.partial')
    try:
        # not through a memory map, which ends the process where the disk is full
        with open(partial, 'wb') as file:
            for path in paths:
                pixels = np.ascontiguousarray(decode(path).permute(1, 2, 0).numpy())
                if shape is None:
                    shape = pixels.shape
                    header = dict(descr='|u1', fortran_order=False, shape=(len(paths), *shape))
                    np.lib.format.write_array_header_1_0(file, header)
                if pixels.shape != shape:
                    raise DataError(
                        f'image {path} has {pixels.shape[1]}x{pixels.shape[0]} pixels and '
                        f'{paths[0]} {shape[1]}x{shape[0]}: `cache` is for images of one size.'
                    )
                file.write(pixels)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)

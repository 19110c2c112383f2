"""``deploy.json``: all that a runtime must know of an exported network, without torch.

The keys, of format 2:

- ``format``: 2. ``name``, ``kind`` (``detector``, ``classifier`` or ``backbone``), ``date``.
- ``labels``: names by label, or null where the checkpoint does not tell them.
- ``input``: ``name``, ``dtype`` (``uint8``), ``layout`` (``NCHW``), ``channels`` (``rgb`` or
  ``bgr``, the order in which the network wants them), ``batch``, ``height`` and ``width`` (null
  where any number will do).
- ``outputs``: their names. A detector has ``boxes`` (N, 4) of float32, x1, y1, x2, y2 in pixels of
  its input, ``scores`` (N,) of float32 and ``labels`` (N,) of int64, best first; a classifier has
  ``logits`` (batch, classes); a backbone has ``level0`` and so on (batch, channels, h, w), in
  the order of the config's ``out_indices``.
- ``resize``: what happens to an image before it is the input, see :mod:`.resizing`.
- ``preprocessing``: ``mean``, ``std``, ``pad_divisor`` and ``pad_value``, for information: it is
  done inside the network.
- ``thresholds``: of a detector, for information: ``score``, ``iou``, ``max_per_image``.
- ``engines``: by name, the ``model`` file to load, all of its ``files``, its ``format``, its
  ``precision`` (of :data:`.precision.PRECISIONS`; ``fp32`` where it is missing), what
  ``validation`` found, and of other precisions than ``fp32`` the ``loss``: which ``figure`` on how
  many ``images``, its ``expected`` value by PyTorch and the one ``found``. What a detector does
  between its two networks in ncnn is in a file of its own, whose keys :mod:`.two_stage` lists.
- ``files``: SHA-256 of each file.
- ``source``: config and checkpoint that it was made from. ``versions``: of all libraries involved.
"""
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .description_check import check_description
from .errors import ConfigError, DataError
from .hashing import sha256

FORMAT = 2
FILE = 'deploy.json'


def is_exported(path: str | Path) -> bool:
    """Whether a path is a folder that holds an exported network."""
    return (Path(path) / FILE).is_file()


def write_description(folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``deploy.json``, with the hashes of the files of its engines, which are beside it."""
    files = (name for engine in content['engines'].values() for name in engine['files'])
    hashes = {name: sha256(folder / name) for name in files}
    text = json.dumps({'format': FORMAT, **content, 'files': hashes}, indent=2)
    (folder / FILE).write_text(text + '\n', encoding='utf-8')


def read_description(folder: str | Path) -> dict[str, Any]:
    """Read ``deploy.json``.

    Raises:
        DataError: there is none, or it is damaged or of another format.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise DataError(f'{folder} is no exported network: it has no {FILE}.')
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
        version = content['format']
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f'cannot read {path}: {type(error).__name__}: {error}. Copy the folder anew, or export '
            f'the network anew.'
        ) from None
    if version != FORMAT:
        raise DataError(
            f'{path} is of format {version}, this version of the package reads format {FORMAT}: '
            f'export the network anew.'
        )
    try:
        check_description(content)
    except DataError as error:
        raise DataError(
            f'{path} is damaged, or not of tools/export.py: {error}. Copy the folder anew, or '
            f'export the network anew.'
        ) from None
    return content


def check_files(
    folder: str | Path, about: Mapping[str, Any], engine: str, needed: Sequence[str] = ()
) -> None:
    """Compare the files of an engine with their hashes.

    Args:
        needed: files that the engine reads.

    Raises:
        DataError: one is missing, or is not the one that was exported.
        ConfigError: there is no network for this engine.
    """
    engines = about['engines']
    if engine not in engines:
        raise ConfigError(
            f'{folder} has no network for {engine}: name what it has one for, '
            f'{" or ".join(engines)}, or export it for {engine}.'
        )
    for name in dict.fromkeys([*needed, *engines[engine]['files']]):
        path = Path(folder) / name
        if not path.is_file():
            raise DataError(f'{path} is missing: copy the folder anew, or export the network anew.')
        if sha256(path) != about['files'].get(name):
            raise DataError(
                f'{path} is not the file that was exported: its checksum differs. Copy the folder '
                f'anew, or export the network anew.'
            )

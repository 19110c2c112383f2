"""Safe loading of checkpoints through mmengine.

After :func:`install`, everything of mmengine that loads a checkpoint (``Runner``, ``--resume``,
``init_detector``, inferencers, ``init_cfg=dict(type='Pretrained')``) is weights-only on every
version of torch and reads what mmengine writes. ``torch.load`` itself is left alone.
"""
import os
from collections.abc import Callable
from contextlib import redirect_stdout
from http.client import HTTPException
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlparse

import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.fileio import get_file_backend
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch.hub import download_url_to_file, get_dir

from .checkpoint_errors import CheckpointError, CheckpointNotFoundError, UnsafeCheckpointError
from .checkpoint_keys import KeyReport, after_load, compare_keys, foreign_hint
from .checkpoint_reading import MapLocation, check_path, read_checkpoint
from .checkpoint_unpickling import allow_stand_ins

__all__ = [
    'CheckpointError', 'CheckpointNotFoundError', 'KeyReport', 'UnsafeCheckpointError',
    'after_load', 'compare_keys', 'install', 'load_from_http', 'read_checkpoint', 'require_present'
]


def require_present(filename: str) -> None:
    """Look whether a checkpoint that is a path is there, before anything long begins.

    URLs and names of weights are not looked for: they are fetched when they are loaded.

    Raises:
        CheckpointNotFoundError: There is no such file; similar names beside it are listed.
        CheckpointError: It is a folder, or an exported network.
    """
    if CheckpointLoader._get_checkpoint_loader(filename) is CheckpointLoader._schemes['']:
        check_path(Path(filename).expanduser(), filename)


def load_from_local(filename: str, map_location: MapLocation = None) -> dict:
    """Load a checkpoint from a path; see :func:`read_checkpoint`."""
    return read_checkpoint(filename, map_location)


def load_from_http(filename: str, map_location: MapLocation = None,
                   model_dir: str | None = None, progress: bool = os.isatty(0)) -> dict:
    """Download a checkpoint once and load it.

    torch.hub loads what it downloaded with ``weights_only=False`` by default, and unpacks zip
    archives first; here torch.hub only downloads, to the place where it would.

    Args:
        filename: ``http://`` or ``https://`` address.
        map_location: As for :func:`torch.load`.
        model_dir: Folder to keep the file in. Default: that of torch.hub.
        progress: Whether to show a progress bar.

    Raises:
        CheckpointError: The file can not be fetched, or is no safe checkpoint.
    """
    folder = Path(model_dir or Path(get_dir(), 'checkpoints'))
    path = folder / os.path.basename(urlparse(filename).path)
    if get_dist_info()[0] == 0:
        try:
            _download(filename, path, progress)
        finally:
            # without it the other processes would wait for one that has failed
            barrier()
    else:
        barrier()
        # processes on another machine share no disk with the first
        _download(filename, path, progress)
    try:
        return read_checkpoint(path, map_location, name=filename)
    except CheckpointError as error:
        raise type(error)(f'{error}\nThe download is kept as {path}: delete it to fetch the file '
                          'again.') from error


def _download(url: str, path: Path, progress: bool) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    print_log(f'Downloading {url} to {path}', logger='current')
    try:
        download_url_to_file(url, str(path), progress=progress)
    except (OSError, HTTPException) as error:
        raise CheckpointError(f'checkpoint {url} can not be downloaded ({error}). Check the '
                              f'address, or put the file at {path}. Where a config names it as '
                              'init_cfg of the backbone, --cfg-options '
                              'model.backbone.init_cfg=None trains without it.') from error


def load_from_pavi(filename: str, map_location: MapLocation = None) -> dict:
    """Load a checkpoint from ``pavi://``."""
    try:
        from pavi import modelcloud
    except ImportError as error:
        raise CheckpointError(f'{filename} needs the package pavi') from error
    model = modelcloud.get(filename.removeprefix('pavi://'))
    with TemporaryDirectory() as folder:
        path = Path(folder, model.name)
        model.download(str(path))
        return read_checkpoint(path, map_location, name=filename)


def load_from_ceph(filename: str, map_location: MapLocation = None,
                   backend: str = 'petrel') -> dict:
    """Load a checkpoint from ``s3://`` or ``petrel://``."""
    file_backend = get_file_backend(filename, backend_args={'backend': backend})
    return read_checkpoint(bytes(file_backend.get(filename)), map_location, name=filename)


def load_from_torchvision(filename: str, map_location: MapLocation = None) -> dict:
    """Load weights of torchvision by name, as in ``torchvision://resnet50``."""
    return load_from_http(_address(filename, mmengine_checkpoint.get_torchvision_models()),
                          map_location)


def load_from_openmmlab(filename: str, map_location: MapLocation = None) -> dict:
    """Load weights of OpenMMLab by name, as in ``open-mmlab://detectron2/resnet50_caffe``."""
    scheme, _, name = filename.partition('://')
    name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    address = _address(f'{scheme}://{name}', mmengine_checkpoint.get_external_models())
    if address.startswith(('http://', 'https://')):
        return load_from_http(address, map_location)
    return read_checkpoint(Path(mmengine_checkpoint._get_mmengine_home(), address), map_location)


def load_from_mmcls(filename: str, map_location: MapLocation = None) -> dict:
    """Load the backbone of a classifier by name, as in ``mmcls://mobilenet_v2``."""
    address = _address(filename, mmengine_checkpoint.get_mmcls_models())
    return mmengine_checkpoint._process_mmcls_checkpoint(load_from_http(address, map_location))


def _address(filename: str, addresses: dict[str, str]) -> str:
    name = filename.partition('://')[2]
    if name not in addresses:
        raise CheckpointNotFoundError(f'checkpoint {filename} can not be found: mmengine knows no '
                                      f'weights named {name!r}')
    return addresses[name]


def load_checkpoint_with_prefix(prefix: str, filename: str,
                                map_location: MapLocation = None) -> dict[str, torch.Tensor]:
    """The part of a checkpoint whose names start with a prefix, without the prefix.

    Raises:
        CheckpointError: No name in the file starts with the prefix.
    """
    checkpoint = CheckpointLoader.load_checkpoint(filename, map_location)
    state_dict = checkpoint.get('state_dict', checkpoint)
    prefix = prefix.rstrip('.') + '.'
    part = {k[len(prefix):]: v for k, v in state_dict.items() if k.startswith(prefix)}
    if not part:
        starts = dict.fromkeys(k.partition('.')[0] + '.' for k in state_dict)
        hint = next((s for s in starts if any(k.startswith(s + prefix) for k in state_dict)), '')
        remedy = foreign_hint(state_dict) or (
            f"Use prefix='{hint}{prefix}'." if hint else
            'Use one of these as the prefix, or no prefix if the file holds this part alone.')
        raise CheckpointError(
            f"no name in {filename} starts with the prefix '{prefix}', but with: "
            f'{", ".join(map(repr, list(starts)[:8])) or "nothing, for it is empty"}. {remedy}')
    return part


_SCHEMES = {
    load_from_local: ('', ),
    load_from_http: ('http://', 'https://'),
    load_from_pavi: ('pavi://', ),
    load_from_ceph: (r'(\S+\:)?s3://', r'(\S+\:)?petrel://'),
    load_from_torchvision: ('modelzoo://', 'torchvision://'),
    load_from_openmmlab: ('open-mmlab://', 'openmmlab://'),
    load_from_mmcls: ('mmcls://', ),
}


def needed() -> bool:
    """Whether mmengine refuses a checkpoint of its own, or calls what a file names.

    Asked of its loader with two files of a few hundred bytes.
    """
    load = CheckpointLoader._schemes.get('')
    if load is None or _is_ours(load):
        return True
    # OneDL's mmengine prints ten lines when it falls back to running what a file names
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        path = str(Path(folder, 'probe.pth'))
        try:
            torch.save({'history': HistoryBuffer([1.0], [1])}, path)
            load(path, 'cpu')
        except Exception:  # any failure is the answer
            return True
        try:
            torch.save({'called': _Call()}, path)
            load(path, 'cpu')
        except Exception:
            return False
        return True


class _Call:
    """What a file can ask for: a call of a function that is on nobody's list."""

    def __reduce__(self) -> tuple:
        return os.path.basename, ('probe', )


def _is_ours(function: Callable) -> bool:
    return function.__module__.partition('.')[0] == __name__.partition('.')[0]


def install() -> None:
    """Make mmengine load checkpoints safely. Calling it again changes nothing."""
    allow_stand_ins()
    for loader, schemes in _SCHEMES.items():
        for scheme in schemes:
            present = CheckpointLoader._schemes.get(scheme)
            # a loader that the user has registered is the user's business
            if (present is None or present.__module__ == mmengine_checkpoint.__name__
                    or _is_ours(present)):
                CheckpointLoader.register_scheme(scheme, loader, force=True)
        setattr(mmengine_checkpoint, loader.__name__, loader)
    mmengine_checkpoint._load_checkpoint_with_prefix = load_checkpoint_with_prefix

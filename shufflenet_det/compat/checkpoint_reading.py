"""Reading one checkpoint file: weights only, and with an error that says what is wrong with it."""
import difflib
import io
import itertools
import json
import os
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from shufflenet_runtime.description import is_exported, read_description

import torch
from mmengine.logging import print_log
from torch.utils.weak import WeakTensorKeyDictionary

from .checkpoint_errors import CheckpointError, CheckpointNotFoundError, UnsafeCheckpointError
from .checkpoint_unpickling import allow_stand_ins
from .checkpoint_zip import unpacked

MapLocation = Callable | torch.device | str | dict | None

AGAIN = 'Download or save it again.'
_RESAVE = (
    "python -c \"import sys, torch; c = torch.load(sys.argv[1], map_location='cpu', "
    "weights_only=False); torch.save({'state_dict': c.state_dict() if hasattr(c, 'state_dict') "
    "else c.get('state_dict', c)}, sys.argv[2])\" in.pth weights.pth")

# What torch's unpickler says when it refuses something, with the refused thing as group 1
_REFUSALS = [re.compile(pattern) for pattern in (
    r'GLOBAL (\S+) was not an allowed global',
    r'GLOBAL `?([\w.]+)`? (?:whose module|instruction)',
    r'Trying to call reduce for unrecognized function (.+)',
    r'Can only create new object for .* but got (.+)',
    r'Trying to instantiate unsupported class (.+)',
    r'Can only build .* but got (.+)',
    r'Can only (?:append|SETITEMS?) .* but got (.+)',
    r'Only persistent_load of storage is allowed, but got (.+)',
    r'(Unsupported operand \d+)',
)]


class Origin(NamedTuple):
    """Where a tensor came from.

    Attributes:
        name: The file or URL.
        meta: What the file says of itself.
    """

    name: str
    meta: dict


# Which file each loaded tensor came from, so that what follows a load can name the file and read
# what it says: mmengine passes only the tensors on. Entries vanish with their tensors.
_origins = WeakTensorKeyDictionary()


def origin_of(state_dict: Mapping[str, Any]) -> Origin | None:
    """The file or URL that the tensors of a state dict were read from, if known."""
    nested = [part.values() for part in state_dict.values() if isinstance(part, Mapping)]
    for value in itertools.chain(state_dict.values(), *nested):
        if isinstance(value, torch.Tensor) and value in _origins:
            return _origins[value]
    return None


def read_checkpoint(source: str | os.PathLike | bytes, map_location: MapLocation = None,
                    name: str | None = None) -> dict:
    """Read a checkpoint under weights-only loading, on every version of torch.

    Args:
        source: Path of a file of ``torch.save`` or of safetensors, or the content of one. A zip
            archive with one such file of ``torch.save`` in it will do, too.
        map_location: As for :func:`torch.load`.
        name: What to call the file in messages, for example its URL. Default: the path.

    Returns:
        What the file holds: for mmengine a dict with ``state_dict``, ``meta`` and so on. The
        metadata in the header of a safetensors file are its ``meta``.

    Raises:
        CheckpointNotFoundError: There is no such file; similar names beside it are listed.
        UnsafeCheckpointError: The file asks for anything that could run code.
        CheckpointError: The file is empty, cut short, damaged, or no checkpoint.
    """
    if isinstance(source, bytes):
        name = name or 'checkpoint'
        content = _read(io.BytesIO(source), name, map_location)
    else:
        path = Path(source).expanduser()
        name = name or str(path)
        check_path(path, name)
        try:
            with open(path, 'rb') as file:
                content = _read(file, name, map_location)
        except OSError as error:
            raise CheckpointError(f'{name} can not be read: {error.strerror}') from error
    if not isinstance(content, dict):
        raise CheckpointError(f'{name} holds a {type(content).__name__}, not a checkpoint, which '
                              'is a dict of tensors or a dict with a state_dict')
    return settled(content, name)


def check_path(path: Path, name: str) -> None:
    """Raise CheckpointError unless there is a file at a path that could be a checkpoint."""
    _refuse_exported(path, name)
    if path.is_dir():
        files = ', '.join(sorted(p.name for p in path.glob('*.pth'))[:5])
        raise CheckpointError(f'{name} is a folder, not a checkpoint. '
                              + (f'It holds: {files}' if files else 'It holds no .pth file.'))
    if path.is_file():
        return
    folder = path.parent
    if not folder.is_dir():
        raise CheckpointNotFoundError(
            f'checkpoint {name} can not be found: there is no folder {folder}')
    names = sorted(p.name for p in folder.iterdir()
                   if p.suffix in ('.pth', '.pt', '.pkl', '.safetensors'))
    similar = difflib.get_close_matches(path.name, names, n=3) or names[:3]
    raise CheckpointNotFoundError(
        f'checkpoint {name} can not be found. '
        + (f'In that folder there is: {", ".join(similar)}' if similar
           else 'There is no checkpoint in that folder.'))


def _refuse_exported(path: Path, name: str) -> None:
    """Refuse an exported network, a folder or a file of it: its weights are other ones."""
    folder = path if path.is_dir() else path.parent
    if not is_exported(folder):
        return
    about = read_description(folder)
    files = {file for engine in about['engines'].values() for file in engine['files']}
    if path != folder and path.name not in files:
        return
    kinds = sorted({engine.get('precision', 'fp32') for engine in about['engines'].values()})
    made_of = about.get('source', {}).get('checkpoint', 'that it was made of')
    raise CheckpointError(
        f'{name} is an exported network ({", ".join(kinds)}), which cannot be trained or loaded '
        f'into a model: take the checkpoint that it was made of, {made_of}.')


def _read(file: BinaryIO, name: str, map_location: MapLocation) -> Any:
    if getattr(file, 'name', name).endswith('.safetensors'):
        return _read_safetensors(file, name, map_location)
    if not _check_format(file, name):
        file = unpacked(file, name)
        if not _check_format(file, name):
            raise CheckpointError(f'{name} is a zip archive in a zip archive: unpack it first.')
    allow_stand_ins()
    try:
        return torch.load(file, map_location=map_location, weights_only=True)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # a crafted or cut file makes an unpickler raise nearly anything
        raise _translate(error, name) from error


def _read_safetensors(file: BinaryIO, name: str, map_location: MapLocation) -> dict:
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise CheckpointError(f'{name} needs the package safetensors: '
                              'pip install safetensors') from error
    try:
        content = file.read()
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f'{name} is damaged or no safetensors file ({error}). '
                              f'{AGAIN}') from error
    if isinstance(map_location, str | torch.device):
        tensors = {key: tensor.to(map_location) for key, tensor in tensors.items()}
    # the library reads metadata from files with a path only; it has checked this header
    header = json.loads(content[8:8 + int.from_bytes(content[:8], 'little')])
    return {'state_dict': tensors, 'meta': header.get('__metadata__') or {}}


def _check_format(file: BinaryIO, name: str) -> bool:
    """Refuse what is no file of ``torch.save``; False for another zip archive.

    torch 2.4 and 2.5 would run code from a TorchScript archive or a legacy tar file even under
    weights-only loading (CVE-2025-32434), so these are refused here and not left to torch.
    """
    head = file.read(512)
    file.seek(0)
    if not head:
        raise CheckpointError(f'{name} is empty. {AGAIN}')
    packed = False
    if head.startswith(b'PK\x03\x04'):
        packed = not _is_of_torch(file, name)
        if not packed:
            _check_sums(file, name)
    elif head.lstrip().lower().startswith((b'<!doctype', b'<html', b'<?xml')):
        raise CheckpointError(f'{name} is no checkpoint: it looks like an HTML page, as a server '
                              f'sends for an error or a login. Delete it; check the address.')
    elif head.startswith(b'version https://git-lfs'):
        raise CheckpointError(f'{name} is a Git LFS pointer, not the checkpoint itself. '
                              'Fetch it with `git lfs pull`.')
    elif tarfile.is_tarfile(file):
        raise UnsafeCheckpointError(
            f'{name} is refused: it is a tar archive, the format of torch before 0.2, which can '
            'not be read without running code from it.')
    elif not head.startswith(b'\x80'):
        kind = 'a text file' if _is_text(head) else 'of an unknown format'
        raise CheckpointError(f'{name} is no checkpoint of torch.save: it is {kind}. {AGAIN}')
    file.seek(0)
    return not packed


def _is_of_torch(file: BinaryIO, name: str) -> bool:
    """Whether a zip archive is one of ``torch.save``."""
    # torch's own reader: another one might see other members in a crafted archive
    try:
        members = torch._C.PyTorchFileReader(file).get_all_records()
    except (RuntimeError, OSError) as error:  # OSError: it seeks to before a short file's start
        if not zipfile.is_zipfile(file):
            raise CheckpointError(f'{name} is cut short or damaged ({file.seek(0, os.SEEK_END)} '
                                  f'bytes). {AGAIN}') from error
        members = []
    if 'constants.pkl' in members:
        raise UnsafeCheckpointError(
            f'{name} is refused: it is a TorchScript archive, which holds a program. Load it with '
            'torch.jit.load if you trust its author, and save the state_dict() of that.')
    return 'data.pkl' in members


def _check_sums(file: BinaryIO, name: str) -> None:
    """Compare the contents with their check sums, which torch writes but does not read: a flipped
    bit would be a wrong weight in silence."""
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                # torch compresses nothing, and writes 0 where it was told not to make a sum
                if member.CRC and member.compress_type == zipfile.ZIP_STORED:
                    with archive.open(member) as content:
                        while content.read(2**20):
                            pass
    except Exception as error:  # of a damaged archive zipfile says nearly anything
        raise CheckpointError(f'{name} is damaged ({error}). {AGAIN}') from error


def _is_text(head: bytes) -> bool:
    return all(byte in b'\t\n\r' or 32 <= byte < 127 for byte in head)


def _translate(error: Exception, name: str) -> CheckpointError:
    """Say what an exception of ``torch.load`` means for the user."""
    # torch 2.4 and 2.5 wrap the refusal of a stand-in into an error of their own
    for cause in (error, error.__context__):
        if isinstance(cause, UnsafeCheckpointError):
            return _refused(str(cause), name)
    text = str(error)
    if isinstance(error, pickle.UnpicklingError):
        for pattern in _REFUSALS:
            if match := pattern.search(text):
                return _refused(f'`{match[1].rstrip(".")}`', name)
    first_line = text.strip().splitlines()[0] if text.strip() else ''
    if 'deserialize object on' in text:
        return CheckpointError(f'{name} can not be loaded on this machine: {first_line} '
                               "Pass map_location='cpu'.")
    return CheckpointError(
        f'{name} is damaged, cut short, or no checkpoint of torch.save '
        f'({type(error).__name__}: {first_line}). {AGAIN}')


def _refused(what: str, name: str) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(
        f'{name} is refused: besides weights and plain values it asks for {what}, and loading that '
        'could run code from the file. Nothing of it was run. If you trust its author, save '
        'the weights alone, which does run that code, so do it in a sandbox:\n    ' + _RESAVE)


def settled(checkpoint: dict, name: str) -> dict:
    """Check the layout of a checkpoint, note where its tensors came from, disarm its config."""
    state_dict = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state_dict, dict):
        raise CheckpointError(f"the 'state_dict' of {name} is a {type(state_dict).__name__}, "
                              'not a dict of tensors')
    if not all(isinstance(key, str) for key in state_dict):
        raise CheckpointError(f'{name} is no checkpoint of a model: its state dict has keys that '
                              'are not names')
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    origin = Origin(name, meta)
    for part in (checkpoint, *checkpoint.values()):
        for value in part.values() if isinstance(part, dict) else ():
            if isinstance(value, torch.Tensor):
                _origins[value] = origin
    if 'config' in meta:
        # Runner.resume executes this text as Python to look for `gpu_ids`. mmengine never writes
        # it (its own is `meta.cfg`), but a crafted file can.
        meta['config_text'] = meta.pop('config')
        print_log(f"{name}: meta['config'] is renamed to 'config_text', since mmengine would "
                  'execute it on resume', logger='current')
    return checkpoint

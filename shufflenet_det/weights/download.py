"""Public files on this machine: fetched once, gone on with after a break, checked before use."""
import hashlib
import io
import os
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, build_opener

import torch
from filelock import FileLock
from mmengine.dist import barrier, get_dist_info
from mmengine.logging import print_log
from tqdm import tqdm

from ..compat.checkpoint import CheckpointError
from ..compat.checkpoint_zip import unpacked
from .public_files import PACKAGED, Digest, PublicFile

_ATTEMPTS = 3
_CHUNK = 2**17
_SILENCE = 30
"""Seconds after which a server that sends nothing is given up."""


def place_of(file: PublicFile) -> Path:
    """Where a public file is kept: in the cache of torch.hub, which ``TORCH_HOME`` moves."""
    if file.url is None:
        return PACKAGED / file.filename
    return Path(torch.hub.get_dir(), 'checkpoints', file.filename)


def content_of(file: PublicFile) -> bytes:
    """The content of a public file, of a zip archive that of the file inside.

    It is downloaded if it is not kept yet. Of several processes that train together the first
    downloads, and the first on each other machine.

    Raises:
        CheckpointError: it cannot be downloaded or kept, or is not what was published.
    """
    path = place_of(file)
    if file.url is not None:
        if get_dist_info()[0] == 0:
            try:
                _download(file, path)
            finally:
                # without it the other processes would wait for one that has failed
                barrier()
        else:
            barrier()
            _download(file, path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read ({error.strerror}).') from error
    return _checked(file, content, f'delete {path} to fetch it again')


def _checked(file: PublicFile, content: bytes, remedy: str) -> bytes:
    if content.startswith(b'PK') and file.filename.endswith('.zip'):
        content = unpacked(io.BytesIO(content), file.name).read()
    if file.digest is not None:
        found = _digits(content, file.digest.kind)
        if not _agrees(found, file.digest):
            raise CheckpointError(
                f'what was kept as {file.filename} is not what {file.collection} published: its '
                f'{file.digest.kind} hash is {found}, where {file.digest.digits} is expected; '
                f'{remedy}.'
            )
    return content


def _digits(content: bytes, kind: str) -> str:
    if kind == 'git':
        kind, content = 'sha1', b'blob %d\0' % len(content) + content
    return hashlib.new(kind, content, usedforsecurity=False).hexdigest()


def _agrees(found: str, digest: Digest) -> bool:
    # ZCls has the last digits of the MD5 in its names, others the first of what they take
    published = digest.digits.lower()
    return found.endswith(published) if digest.kind == 'md5' else found.startswith(published)


class _NoAnswerError(Exception):
    """A server cannot be reached, refuses, or stops before the end."""


def _download(file: PublicFile, path: Path) -> None:
    """Put a file into its place, whole and checked, or not at all."""
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # processes that were started apart must not write into each other's file
        with FileLock(path.with_name(f'.{path.name}.lock')):
            if not path.exists():
                _fetch(file, path)
    except _NoAnswerError as error:
        raise CheckpointError(
            f'{file.name} cannot be downloaded from {file.url} ({error}). Without a network, '
            f'fetch the file elsewhere and put it at {path}. Proxies are those of the environment '
            f'(https_proxy, no_proxy); TORCH_HOME names another cache.'
        ) from error
    except OSError as error:
        raise CheckpointError(
            f'{file.name} cannot be kept at {path} ({error.strerror or error}). Set TORCH_HOME to '
            f'a folder that can be written.'
        ) from error


def _fetch(file: PublicFile, path: Path) -> None:
    partial = path.with_name(f'{path.name}.partial')
    print_log(f'Downloading {file.url} to {path}', logger='current')
    # what an earlier run has left is gone on with; if that was of another file, from the start
    for goes_on in [True] * partial.exists() + [False]:
        _receive(file, partial)
        try:
            _checked(file, partial.read_bytes(), 'nothing was kept, try again')
        except CheckpointError:
            partial.unlink()
            if not goes_on:
                raise
        else:
            os.replace(partial, path)
            return


def _receive(file: PublicFile, partial: Path) -> None:
    """Append what is missing to a partial file, over more than one connection if one breaks."""
    for attempt in range(1, _ATTEMPTS + 1):
        before = partial.stat().st_size if partial.exists() else 0
        try:
            return _append(file, partial, before)
        except _NoAnswerError:
            received = partial.exists() and partial.stat().st_size > before
            if attempt == _ATTEMPTS or not received:
                raise


def _append(file: PublicFile, partial: Path, size: int) -> None:
    headers = {'User-Agent': 'shufflenet_det'} | ({'Range': f'bytes={size}-'} if size else {})
    try:
        # a new one reads the proxies of the environment, that of urlopen those of its first call
        response = build_opener().open(Request(file.url, headers=headers), timeout=_SILENCE)
    except HTTPError as error:
        if size and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            # nothing is missing
            return
        raise _NoAnswerError(f'HTTP {error.code} {error.reason}') from error
    except (OSError, HTTPException) as error:
        raise _NoAnswerError(getattr(error, 'reason', None) or error) from error
    with response:
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            # from the start, whatever was asked for
            size = 0
        length = response.headers.get('Content-Length', '')
        total = size + int(length) if length.isdigit() else None
        bar = tqdm(desc=file.name, initial=size, total=total, unit='B', unit_scale=True,
                   disable=None)  # fmt: skip
        with bar, open(partial, 'ab' if size else 'wb') as out:
            for chunk in _chunks(response):
                out.write(chunk)
                bar.update(len(chunk))
                size += len(chunk)
    if total is not None and size < total:
        raise _NoAnswerError(f'the connection ended after {size} of {total} bytes')


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (OSError, HTTPException) as error:
            raise _NoAnswerError(error) from error
        if not chunk:
            return
        yield chunk

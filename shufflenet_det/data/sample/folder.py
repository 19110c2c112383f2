"""Data sets as folders that are there completely or not at all, with a manifest that says which."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ...common.errors import ConfigError, DataError

MANIFEST = 'sample.json'
SPLITS = ('train', 'val')
_GENERATOR = 'shufflenet_det.data.sample'

_Job, _Made = TypeVar('_Job'), TypeVar('_Made')


def digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files of a data set but its manifest."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob('*')):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            total.update(f'{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n'.encode())
    return total.hexdigest()


def _read_manifest(folder: Path) -> dict | None:
    """The manifest of a folder, or None if it has none of this generator."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    ours = isinstance(manifest, dict) and manifest.get('generator') == _GENERATOR
    return manifest if ours else None


def make_all(
    make: Callable[[_Job], _Made], jobs: Iterable[_Job], total: int, split: str, pool: Executor
) -> Iterator[_Made]:
    """Makes the pictures of a split in parallel; progress goes to stderr.

    Args:
        make: makes one picture.
        jobs: what to make, in order.
        total: number of jobs.
        split: name of the split, for the progress.
        pool: where to run.

    Yields:
        What `make` returns, in the order of the jobs.
    """
    started = time.monotonic()
    every = max(50, total // 20)
    for done, made in enumerate(pool.map(make, jobs), start=1):
        yield made
        if done % every == 0 or done == total:
            left = (time.monotonic() - started) / done * (total - done)
            print(f'{split}: {done}/{total} pictures, about {left:.0f} s left', file=sys.stderr)


def _is_there(out: Path, wanted: dict, force: bool) -> bool:
    """Whether the wanted data set exists already.

    Raises:
        DataError: if something else is there which must not, or may not yet, be replaced.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    manifest = _read_manifest(out)
    if manifest is None:
        raise DataError(
            f'{out} is not empty and has no {MANIFEST} of this tool: it is left alone, '
            'with --force too; choose another folder or remove it yourself'
        )
    if force:
        return False
    if {key: value for key, value in manifest.items() if key != 'digest'} != wanted:
        raise DataError(
            f'{out} holds another sample data set ({json.dumps(manifest)}); --force replaces it'
        )
    if manifest.get('digest') != digest(out):
        raise DataError(f'files of the data set in {out} were changed; --force makes it anew')
    return True


def _move_into_place(made: Path, out: Path, force: bool) -> None:
    old = made.with_name(f'{made.name}.old')
    if out.exists():
        if force:
            out.rename(old)
        else:
            # Fails if another process filled the folder meanwhile: that one was first.
            out.rmdir()
    try:
        made.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _make(
    place: Path, wanted: dict, fill: Callable[[Path, Executor], None], workers: int, force: bool
) -> None:
    """Builds the data set beside its place and moves it there when it is complete."""
    place.parent.mkdir(parents=True, exist_ok=True)
    building = place.with_name(f'.{place.name}.partial-{os.getpid()}')
    building.mkdir()
    # Threads, not processes: NumPy and OpenCV release the interpreter lock for what takes long, and
    # a fork of a process in which OpenCV or PyTorch has threads of its own can hang.
    pool = ThreadPoolExecutor(workers)
    try:
        fill(building, pool)
        manifest = json.dumps(wanted | {'digest': digest(building)}, indent=2)
        (building / MANIFEST).write_text(manifest + '\n', encoding='utf-8')
        _move_into_place(building, place, force)
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(building, ignore_errors=True)


def make_folder(
    out: Path,
    wanted: dict,
    fill: Callable[[Path, Executor], None],
    *,
    workers: int | None,
    force: bool,
) -> Path:
    """Makes a data set under its name when it is complete, unless it is there already.

    Args:
        out: folder to make; its parents are made too.
        wanted: what tells this data set from others: its version, seed and numbers of pictures.
        fill: writes the data set into an empty folder, with the help of a pool of threads.
        workers: number of threads; as many as processors if None.
        force: replace an existing sample data set, complete or changed, but nothing else.

    Returns:
        The folder.

    Raises:
        ConfigError: for a negative seed, an empty split or no worker.
        DataError: if the folder holds anything else, or cannot be written.
    """
    workers = workers if workers is not None else os.cpu_count() or 1
    if wanted['seed'] < 0 or min(*(wanted[split] for split in SPLITS), workers) < 1:
        raise ConfigError(
            'the seed must be 0 or more, pictures of a split and workers must be 1 or more; got '
            f'seed {wanted["seed"]}, train {wanted["train"]}, val {wanted["val"]}, '
            f'workers {workers}'
        )
    wanted = {'generator': _GENERATOR, **wanted}
    place = Path(out).resolve()
    try:
        if _is_there(place, wanted, force):
            print(f'already there: {out}', file=sys.stderr)
        else:
            _make(place, wanted, fill, workers, force)
    except OSError as error:
        raise DataError(f'cannot make the sample data set in {out}: {error}') from error
    return Path(out)

"""Making the sample data set on disk: all pictures, in parallel, and never half of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ...errors import ConfigError, DataError
from .coco import dataset, scene_records
from .scenes import render_scene

# Raise it whenever the same seed gives other pictures or annotations than before.
GENERATOR_VERSION = '1.0'
MANIFEST = 'sample.json'
_GENERATOR = 'shufflenet_det.data.sample'
_SPLITS = ('train', 'val')


def _image_id(split: str, index: int) -> int:
    # Gaps as in COCO, and no id in both splits.
    return 139 + 74 * index + 2 * (index % 5) + _SPLITS.index(split)


def _make_image(folder: Path, seed: int, split: str, index: int) -> tuple[dict, list[dict]]:
    """Renders and stores one picture; depends on its arguments alone, not on any other picture."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, _SPLITS.index(split), index]))
    # Fixed places instead of chance: however small a split is, it has the rare kinds of pictures.
    scene = render_scene(rng, grey=index % 40 == 1, empty=index % 25 == 2, crowd=index % 12 == 3)
    image, annotations = scene_records(scene, _image_id(split, index))
    pixels = scene.image if scene.image.ndim == 2 else cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, scene.quality])
    if not encoded:
        raise RuntimeError(f'OpenCV could not encode {image["file_name"]} as JPEG')
    (folder / f'{split}2017' / image['file_name']).write_bytes(data.tobytes())
    return image, annotations


def _digest(folder: Path) -> str:
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


def _report(split: str, done: int, total: int, started: float) -> None:
    if done % 50 == 0 or done == total:
        left = (time.monotonic() - started) / done * (total - done)
        print(f'{split}: {done}/{total} pictures, about {left:.0f} s left', file=sys.stderr)


def _make_split(folder: Path, seed: int, split: str, count: int, pool: Executor) -> None:
    (folder / f'{split}2017').mkdir()
    images, annotations = [], []
    started = time.monotonic()
    for image, of_image in pool.map(partial(_make_image, folder, seed, split), range(count)):
        images.append(image)
        annotations.extend(of_image)
        _report(split, len(images), count, started)
    content = json.dumps(dataset(images, annotations, GENERATOR_VERSION))
    (folder / 'annotations' / f'instances_{split}2017.json').write_text(content, encoding='utf-8')


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
    if any(manifest.get(key) != value for key, value in wanted.items()):
        raise DataError(
            f'{out} holds another sample data set ({json.dumps(manifest)}); --force replaces it'
        )
    if manifest.get('digest') != _digest(out):
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


def _make(place: Path, wanted: dict, workers: int, force: bool) -> None:
    """Builds the data set beside its place and moves it there when it is complete."""
    place.parent.mkdir(parents=True, exist_ok=True)
    building = place.with_name(f'.{place.name}.partial-{os.getpid()}')
    building.mkdir()
    # Threads, not processes: NumPy and OpenCV release the interpreter lock for what takes long, and
    # a fork of a process in which OpenCV or PyTorch has threads of its own can hang.
    pool = ThreadPoolExecutor(workers)
    try:
        (building / 'annotations').mkdir()
        for split in _SPLITS:
            _make_split(building, wanted['seed'], split, wanted[split], pool)
        manifest = json.dumps(wanted | {'digest': _digest(building)}, indent=2)
        (building / MANIFEST).write_text(manifest + '\n', encoding='utf-8')
        _move_into_place(building, place, force)
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(building, ignore_errors=True)


def make_sample(
    out: Path,
    *,
    seed: int = 0,
    train: int = 600,
    val: int = 150,
    workers: int | None = None,
    force: bool = False,
) -> Path:
    """Makes the sample data set in the layout of COCO 2017.

    The same seed and counts give the same bytes on the same versions of NumPy and OpenCV, whatever
    the number of workers. The data set appears under its name when it is complete, not before.
    Progress goes to stderr.

    Args:
        out: folder to make; its parents are made too. If it holds this very data set, it is kept.
        seed: seed of all randomness, not negative.
        train, val: number of pictures of the two splits, 1 or more; from 4 on, a split has all rare
            kinds of pictures (grey, without objects, with a crowd).
        workers: number of threads; as many as processors if None.
        force: replace an existing sample data set, complete or changed, but nothing else.

    Returns:
        The folder.

    Raises:
        ConfigError: for a negative seed, an empty split or no worker.
        DataError: if the folder holds anything else, or cannot be written.
    """
    workers = workers if workers is not None else os.cpu_count() or 1
    if seed < 0 or min(train, val, workers) < 1:
        raise ConfigError(
            'the seed must be 0 or more, pictures of a split and workers must be 1 or more; '
            f'got seed {seed}, train {train}, val {val}, workers {workers}'
        )
    wanted = {
        'generator': _GENERATOR,
        'version': GENERATOR_VERSION,
        'seed': seed,
        'train': train,
        'val': val,
    }
    place = Path(out).resolve()
    try:
        if _is_there(place, wanted, force):
            print(f'already there: {out}', file=sys.stderr)
        else:
            _make(place, wanted, workers, force)
    except OSError as error:
        raise DataError(f'cannot make the sample data set in {out}: {error}') from error
    return Path(out)

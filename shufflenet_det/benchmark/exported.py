"""Exported folders beside each other: how fast, how large, how good."""
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from shufflenet_runtime.description import read_description
from shufflenet_runtime.engines import ENGINES
from shufflenet_runtime.network import open_network

import numpy as np

from ..common.errors import ConfigError
from ..common.tables import Column, Table
from ..export.pictures import from_files
from .engine_networks import random_image
from .speed import Setting, Size
from .timing import take_turns, timed

_KINDS = ('detector', 'classifier', 'backbone')


def measure_exported(
    folders: Sequence[str],
    sizes: Sequence[Size],
    images: Sequence[str],
    threads: int,
    rounds: int,
    warmup: int,
) -> list[dict]:
    """Time the networks of exported folders, in turns of one run, in each of their engines.

    Args:
        folders: exported folders.
        sizes: height and width of their input, which is noise then.
        images: the first of these, resized as each folder has it, in the place of noise.
        threads: of each inference.
        rounds, warmup: as of :func:`.timing.take_turns`.

    Returns:
        A row for each size, folder and engine. ``speedup`` is over the fastest network in fp32 of
        the size.

    Raises:
        ConfigError: there is nothing to run them on.
        DataError, EngineError: a folder is damaged, or an engine is missing.
    """
    if not sizes and not images:
        raise ConfigError('name --size or --images: a network is timed on something.')
    abouts = {folder: read_description(folder) for folder in dict.fromkeys(folders)}
    networks = {
        (folder, name): open_network(folder, _KINDS, name, threads)
        for folder, about in abouts.items()
        for name in about['engines']
        if name in ENGINES
    }
    rows = []
    for size in sizes or [None]:
        inputs = {
            folder: random_image(size) if size else _first(images, about)
            for folder, about in abouts.items()
        }
        runs = {key: partial(n.run, inputs[key[0]]) for key, n in networks.items()}
        times = take_turns(runs, rounds, warmup)
        plain = [times[key] for key, n in networks.items() if n.precision == 'fp32']
        best = min(plain, key=np.median) if plain else None
        for (folder, name), own in times.items():
            ratios = dict(speedup=best) if best else {}
            shape = inputs[folder].shape[2:]
            setting = Setting(1, shape, threads, networks[folder, name].precision, 'cpu').row()
            row = dict(name=Path(folder).name, engine=name) | setting | timed(own, **ratios)
            rows.append(row | _about(folder, abouts[folder]['engines'][name]))
    return rows


def _first(images: Sequence[str], about: dict) -> np.ndarray:
    return next(from_files(images, about['resize'], about['input']['channels'])).images


def _about(folder: str, engine: dict) -> dict:
    size = sum(Path(folder, name).stat().st_size for name in engine['files'])
    loss = engine.get('loss') or {}
    return dict(megabytes=size / 1e6, figure=loss.get('found'), loss=loss.get('loss'))


def exported_tables(rows: Sequence[dict]) -> list[Table]:
    """A table for each size."""
    columns = (
        Column('name', 'exported'),
        Column('engine', 'engine'),
        Column('dtype', 'precision'),
        Column('median', 'ms', '.2f', scale=1e3),
        Column('speedup', 'over fp32', '.2f'),
        Column('megabytes', 'MB', '.1f'),
        Column('figure', 'mAP or top-1', '.4f'),
        Column('loss', 'loss', '+.4f'),
    )
    threads = rows[0]['threads']
    how = f'{threads} thread{"s" if threads > 1 else ""}, batch 1'
    return [
        Table(f'Exported networks: {size}, {how}', columns, [r for r in rows if r['size'] == size])
        for size in dict.fromkeys(row['size'] for row in rows)
    ]

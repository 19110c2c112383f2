"""Exported folders beside each other: how fast, how large, how good."""
import json
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

from shufflenet_runtime.description import read_description
from shufflenet_runtime.engines import ENGINES
from shufflenet_runtime.network import open_network

import numpy as np

from ..common.errors import ConfigError, DataError
from ..common.tables import Column, Table
from ..export.pictures import from_files
from .engine_networks import ENGINES_OF_PEER, PEER, peer_run, random_image
from .speed import Setting, Size
from .timing import Call, take_turns, timed

# no grey or black, which are the engines'
_COLOURS = [f'C{i}' for i in (0, 1, 2, 3, 4, 5, 6, 8, 9)]
_MARKS = dict(openvino='o', onnxruntime='s', ncnn='^')
_KINDS = ('detector', 'classifier', 'backbone')


def measure_exported(
    folders: Sequence[str],
    sizes: Sequence[Size],
    images: Sequence[str],
    threads: int,
    rounds: int,
    warmup: int,
    metrics: Sequence[Path] = (),
    peer: bool = False,
) -> list[dict]:
    """Time the networks of exported folders, in turns of one run, in each of their engines.

    Args:
        folders: exported folders.
        sizes: height and width of their input, which is noise then.
        images: the first of these, resized as each folder has it, in the place of noise.
        threads: of each inference.
        rounds, warmup: as of :func:`.timing.take_turns`.
        metrics: files of ``tools/test.py`` on these folders, for those that do not say in
            ``deploy.json`` how good they are.
        peer: time torchvision's smallest Faster R-CNN, too, with random weights, on an image of as
            many pixels as the first folder gets.

    Returns:
        A row for each size, folder and engine. ``speedup`` is over the fastest network in fp32 of
        the same checkpoint.

    Raises:
        ConfigError: there is nothing to run them on.
        DataError, EngineError: a folder is damaged, or an engine is missing.
    """
    if not sizes and not images:
        raise ConfigError('name --size or --images: a network is timed on something.')
    abouts = {folder: read_description(folder) for folder in dict.fromkeys(folders)}
    figures = _figures(metrics)
    rows = []
    for size in sizes or [None]:
        inputs = {
            folder: random_image(size) if size else _first(images, about)
            for folder, about in abouts.items()
        }
        networks = {
            (folder, name): open_network(
                folder, _KINDS, name, threads, size=inputs[folder].shape[2:]
            )
            for folder, about in abouts.items()
            for name in about['engines']
            if name in ENGINES
        }
        runs = {key: partial(n.run, inputs[key[0]]) for key, n in networks.items()}
        shape = inputs[folders[0]].shape[2:]
        on = dict(on='x'.join(map(str, size)) if size else 'an image')
        with tempfile.TemporaryDirectory() as place:
            engines = [name for _, name in networks] if peer else []
            peers = _peers(shape, engines, Path(place), threads)
            runs |= {(PEER, engine): run for engine, (run, _) in peers.items()}
            times = take_turns(runs, rounds, warmup)
        for (folder, name), network in networks.items():
            checkpoint = _checkpoint(abouts[folder])
            plain = [
                times[key]
                for key, n in networks.items()
                if n.precision == 'fp32' and _checkpoint(abouts[key[0]]) == checkpoint
            ]
            ratios = dict(speedup=min(plain, key=np.median)) if plain else {}
            setting = Setting(1, inputs[folder].shape[2:], threads, network.precision, 'cpu').row()
            row = dict(name=Path(folder).name, engine=name) | setting | on
            row |= timed(times[folder, name], **ratios)
            figure = figures.get((Path(folder).resolve(), name))
            rows.append(row | _about(folder, abouts[folder]['engines'][name], figure))
        for name, (_, megabytes) in peers.items():
            setting = Setting(1, shape, threads, 'fp32', 'cpu').row()
            row = dict(name=PEER, engine=name) | setting | on | timed(times[PEER, name])
            rows.append(row | dict(megabytes=megabytes, figure=None, loss=None))
    return rows


def _peers(
    shape: Size, engines: Sequence[str], place: Path, threads: int
) -> dict[str, tuple[Call, float]]:
    """torchvision's detector in those of the engines that have it: what runs it, its megabytes."""
    found = {}
    for engine in dict.fromkeys(engines):
        if engine in ENGINES_OF_PEER:
            folder = place / engine
            folder.mkdir()
            run = peer_run(shape, engine, folder, threads)
            found[engine] = run, sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    return found


def _checkpoint(about: Mapping) -> str | None:
    return (about.get('source') or {}).get('checkpoint_sha256')


def _figures(paths: Sequence[Path]) -> dict[tuple[Path, str], float]:
    """The figure of each file of ``tools/test.py``, by exported folder and engine."""
    found = {}
    for path in paths:
        try:
            about = json.loads(path.read_text())
            metrics = about['metrics']
            if 'error/top1' in metrics:
                figure = 1 - metrics['error/top1'] / 100
            else:
                figure = metrics['coco/bbox_mAP']
            found[Path(about['checkpoint']).resolve(), about['engine']] = figure
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f'--metrics {path} is no metrics.json that tools/test.py wrote of an exported '
                f'folder ({type(error).__name__}: {error}).'
            ) from None
    return found


def _first(images: Sequence[str], about: dict) -> np.ndarray:
    return next(from_files(images, about['resize'], about['input']['channels'])).images


def _about(folder: str, engine: dict, figure: float | None) -> dict:
    size = sum(Path(folder, name).stat().st_size for name in engine['files'])
    loss = engine.get('loss') or {}
    return dict(megabytes=size / 1e6, figure=loss.get('found', figure), loss=loss.get('loss'))


def exported_tables(rows: Sequence[dict]) -> list[Table]:
    """A table for each size; the picture of an image, which each resizes as it must, is one."""
    columns = (
        Column('name', 'exported'),
        Column('size', 'pixels'),
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
        Table(f'Exported networks: {on}, {how}', columns, [r for r in rows if r['on'] == on])
        for on in dict.fromkeys(row['on'] for row in rows)
    ]


def plot(rows: Sequence[Mapping], path: Path) -> None:
    """mAP or accuracy against milliseconds: a colour for each folder, a mark for each engine.

    Raises:
        ConfigError: no row says how good it is.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    rows = [row for row in rows if row['figure'] is not None]
    if not rows:
        raise ConfigError(
            '--plot: it is not known how good these networks are. Test them by tools/test.py, and '
            'name the metrics.json with --metrics.'
        )
    figure = Figure(figsize=(7.5, 5), layout='constrained')
    axes = figure.subplots()
    names = dict.fromkeys(row['name'] for row in rows)
    colours = dict(zip(names, cycle(_COLOURS), strict=False))
    for row in rows:
        axes.plot(
            1e3 * row['median'], row['figure'], _MARKS[row['engine']], color=colours[row['name']],
            markersize=9, alpha=0.8,
        )  # fmt: skip
    for name, colour in colours.items():
        axes.plot([], [], 'o', color=colour, label=name)
    for engine, mark in _MARKS.items():
        axes.plot([], [], mark, color='black', fillstyle='none', label=engine)
    threads = rows[0]['threads']
    axes.set(
        xscale='log', ylabel='mAP or top-1 accuracy',
        xlabel=f'milliseconds an image, {threads} thread{"s" if threads > 1 else ""}',
    )  # fmt: skip
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    figure.legend(loc='outside right upper', fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)

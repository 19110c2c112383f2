"""Table 8 on this machine: networks and detectors in the engines that run exported ones."""
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from shufflenet_runtime.engines import ENGINES

import numpy as np

from ..common.tables import Column, Table
from ..export.rewrites import Rewrite
from ..export.writers import REWRITES, WRITERS
from ..paper.figures import DETECTOR_SHAPES, TIMED_SHAPES
from .detector_parts import Size
from .engine_networks import (
    PEER,
    PYTORCH,
    REFERENCE,
    TABLE_8,
    build_classifier,
    detector_runs,
    engine_run,
)
from .machine import threads as torch_threads
from .timing import Run, Spread, speedup, spread, take_turns

Key = tuple[str, str]
"""Network and engine."""


def measure_classifiers(
    names: Sequence[str],
    sizes: Sequence[Size],
    engines: Sequence[str],
    threads: int,
    rounds: int,
    warmup: int,
) -> list[dict]:
    """Time classifiers with AlexNet, all of one size in turns of one run.

    Args:
        names: of :data:`.engine_networks.TABLE_8`; AlexNet is added.
        sizes: heights and widths of the image in pixels.
        engines: of :data:`.engine_networks.SIDES`.
        threads: of one inference.
        rounds, warmup: see :func:`.timing.take_turns`.

    Returns:
        A row for each size, network and engine.

    Raises:
        EngineError: an engine is not installed.
        ConfigError: a network cannot run at a size.
    """
    _require(engines)
    rows = []
    for size in sizes:
        chosen = dict.fromkeys([*names, REFERENCE])
        networks = {name: build_classifier(name, size) for name in chosen}
        with _place(threads) as place:
            runs = {
                (name, engine): engine_run(
                    network.source, engine, network.images(), place(), threads
                )
                for name, network in networks.items()
                for engine in engines
            }
            times = take_turns(runs, rounds, warmup)
        best = min(engines, key=lambda engine: float(np.median(times[REFERENCE, engine])))
        for (name, engine), own in times.items():
            row = _row(name, engine, size, threads, own)
            macs = networks[name].macs
            if name != REFERENCE:
                row |= _ratio('speedup', speedup(own, times[REFERENCE, engine]))
                row |= _ratio('over_best', speedup(own, times[REFERENCE, best]))
                row |= dict(theory=networks[REFERENCE].macs / macs)
            rows.append(row | dict(macs=macs) | _of_paper(name, size))
    return rows


def measure_rewrites(
    name: str, size: Size, engines: Sequence[str], threads: int, rounds: int, warmup: int
) -> list[dict]:
    """Time a classifier without the rewrites of its engine, and with one after another.

    Arguments are as in :func:`measure_classifiers`. Returns a row for each engine and number of
    rewrites, beginning with none.
    """
    _require(engines)
    network, reference = (build_classifier(chosen, size) for chosen in (name, REFERENCE))
    with _place(threads) as place:
        runs: dict[Key, Run] = {}
        for engine in engines:
            format = ENGINES[engine].format if engine in ENGINES else None
            rewrites = REWRITES.get(format, ())
            if not rewrites:
                continue
            sides = {REFERENCE: (reference, WRITERS[format])}
            for n in range(1 + len(rewrites)):
                write = partial(WRITERS[format], rewrites=rewrites[:n])
                sides[_label(rewrites[:n])] = network, write
            for label, (source, write) in sides.items():
                runs[label, engine] = engine_run(
                    source.source, engine, source.images(), place(), threads, write
                )
        times = take_turns(runs, rounds, warmup)
    rows = []
    for (label, engine), own in times.items():
        if label != REFERENCE:
            row = _row(name, engine, size, threads, own) | dict(rewrites=label)
            row |= _ratio('over_none', speedup(own, times[_label(()), engine]))
            rows.append(row | _ratio('speedup', speedup(own, times[REFERENCE, engine])))
    return rows


def _label(rewrites: Sequence[Rewrite]) -> str:
    return f'+ {rewrites[-1].name}' if rewrites else 'none'


def measure_detectors(
    resolutions: Sequence[int], engines: Sequence[str], threads: int, rounds: int, warmup: int
) -> list[dict]:
    """Time detectors from end to end, all of one resolution in turns of one run.

    Resolutions are of :data:`.figures.DETECTOR_SHAPES`, all else is as in
    :func:`measure_classifiers`; PyTorch is added. Returns a row for each resolution, detector and
    engine.
    """
    _require(engines)
    engines = list(dict.fromkeys([PYTORCH, *engines]))
    rows = []
    for short in resolutions:
        size = DETECTOR_SHAPES[short]
        with _place(threads) as place:
            runs = detector_runs(short, size, engines, place(), threads)
            times = take_turns(runs, rounds, warmup)
        for (name, engine), own in times.items():
            row = _row(name, engine, size, threads, own)
            if engine != PYTORCH:
                row |= _ratio('over_pytorch', speedup(own, times[name, PYTORCH]))
            if name != PEER and (PEER, engine) in times:
                row |= _ratio('over_peer', speedup(own, times[PEER, engine]))
            rows.append(row)
    return rows


@contextmanager
def _place(threads: int) -> Iterator[Callable[[], Path]]:
    """Makes empty folders for exported files, as long as this runs on this many threads."""
    with tempfile.TemporaryDirectory() as folder, torch_threads(threads):
        yield lambda: Path(tempfile.mkdtemp(dir=folder))


def _require(engines: Sequence[str]) -> None:
    """Miss an engine before minutes have passed."""
    for engine in engines:
        if engine in ENGINES:
            ENGINES[engine].require()


def _row(name: str, engine: str, size: Size, threads: int, times: Sequence[float]) -> dict:
    own = spread(times)
    about = dict(name=name, engine=engine, size=f'{size[0]}x{size[1]}', threads=threads)
    about |= dict(batch=1, dtype='fp32', device='cpu')
    return about | dict(median=own.median, low=own.low, high=own.high, seconds=list(times))


def _ratio(key: str, ratio: Spread) -> dict:
    return {key: ratio.median, f'{key}_low': ratio.low, f'{key}_high': ratio.high}


def _of_paper(name: str, size: Size) -> dict:
    """The paper's milliseconds at a size, and its speed-up over AlexNet."""
    times, reference = TABLE_8[name].times, TABLE_8[REFERENCE].times
    if size not in TIMED_SHAPES or not times:
        return {}
    index = TIMED_SHAPES.index(size)
    row = dict(paper_ms=times[index])
    return row if name == REFERENCE else row | dict(paper_speedup=reference[index] / times[index])


def classifier_tables(rows: Sequence[Mapping]) -> list[Table]:
    """A table for each size."""
    columns = (
        Column('model', 'network'),
        Column('engine', 'engine'),
        Column('median', 'ms', '.2f', scale=1e3),
        Column('speedup', 'over AlexNet', '.1f'),
        Column('theory', 'in theory', '.1f'),
        Column('over_best', 'over the fastest AlexNet', '.1f'),
        Column('paper_ms', "paper's ms", '.1f'),
        Column('paper_speedup', "paper's speed-up", '.1f'),
    )
    named = [dict(row, model=TABLE_8[row['name']].model) for row in rows]
    return _tables_by_size('Table 8 here', columns, named)


def rewrite_table(rows: Sequence[Mapping]) -> Table:
    """What one rewrite after another brings."""
    columns = (
        Column('engine', 'engine'),
        Column('rewrites', 'rewrites'),
        Column('median', 'ms', '.3f', scale=1e3),
        Column('over_none', 'over none', '.2f'),
        Column('speedup', 'over AlexNet', '.1f'),
    )
    model = TABLE_8[rows[0]['name']].model
    (table,) = _tables_by_size(model, columns, rows)
    return table


def detector_tables(rows: Sequence[Mapping]) -> list[Table]:
    """A table for each resolution."""
    columns = (
        Column('name', 'detector'),
        Column('engine', 'engine'),
        Column('median', 'ms', '.1f', scale=1e3),
        Column('over_pytorch', 'over PyTorch', '.2f'),
        Column('over_peer', "over torchvision's", '.2f'),
    )
    return _tables_by_size('Detectors from end to end', columns, rows)


def _tables_by_size(
    what: str, columns: tuple[Column, ...], rows: Sequence[Mapping]
) -> list[Table]:
    threads = rows[0]['threads']
    how = f'{threads} thread{"s" if threads > 1 else ""}, batch 1, fp32'
    return [
        Table(f'{what}: {size}, {how}', columns, [row for row in rows if row['size'] == size])
        for size in dict.fromkeys(row['size'] for row in rows)
    ]

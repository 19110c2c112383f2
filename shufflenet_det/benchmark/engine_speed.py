"""Table 8 on this machine: networks and detectors in the engines that run exported ones."""
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from shufflenet_runtime.engines import ENGINES

import numpy as np

from ..common.tables import Column, Table
from ..export.writers import REWRITES
from ..paper.figures import DETECTOR_SHAPES, TIMED_SHAPES
from .engine_networks import (
    PEER,
    PYTORCH,
    REFERENCE,
    TABLE_8,
    build_classifier,
    detector_runs,
    engine_run,
    random_image,
)
from .machine import threads as torch_threads
from .speed import Setting, Size
from .timing import Call, take_turns, timed


def measure_classifiers(
    names: Sequence[str],
    sizes: Sequence[Size],
    engines: Sequence[str],
    threads: int,
    rounds: int,
    warmup: int,
) -> list[dict]:
    """Time classifiers with AlexNet, all of one size in turns of one run.

    Names are of :data:`.engine_networks.TABLE_8`, engines of :data:`.engine_networks.SIDES`, each
    inference has this many threads; rounds and warm-up are those of :func:`.timing.take_turns`.

    Returns:
        A row for each size, network and engine.

    Raises:
        EngineError: an engine is not installed.
        ConfigError: a network cannot run at a size.
    """
    rows = []
    for size in sizes:
        with _place(engines, threads) as place:
            networks = {n: build_classifier(n, size) for n in dict.fromkeys([*names, REFERENCE])}
            image = random_image(size)
            runs = {
                (name, engine): engine_run(source, engine, image, place(), threads)
                for name, (source, _) in networks.items()
                for engine in engines
            }
            times = take_turns(runs, rounds, warmup)
        best = min((times[REFERENCE, engine] for engine in engines), key=np.median)
        for (name, engine), own in times.items():
            ratios, theory = {}, {}
            _, macs = networks[name]
            if name != REFERENCE:
                ratios = dict(speedup=times[REFERENCE, engine], over_best=best)
                theory = dict(theory=networks[REFERENCE][1] / macs)
            row = _row(name, engine, size, threads, own, **ratios)
            rows.append(row | theory | dict(macs=macs) | _of_paper(name, size))
    return rows


def measure_rewrites(
    name: str, size: Size, engines: Sequence[str], threads: int, rounds: int, warmup: int
) -> list[dict]:
    """Time a classifier without the rewrites of its engine, and with one after another.

    Arguments are as in :func:`measure_classifiers`. Returns a row for each engine and number of
    rewrites, beginning with none.
    """
    runs: dict[tuple[str, str], Call] = {}
    with _place(engines, threads) as place:
        (network, _), (reference, _) = (build_classifier(n, size) for n in (name, REFERENCE))
        image = random_image(size)
        for engine in engines:
            rewrites = REWRITES.get(ENGINES[engine].format, ()) if engine in ENGINES else ()
            if rewrites:
                runs[REFERENCE, engine] = engine_run(reference, engine, image, place(), threads)
                for n, label in enumerate(['none', *(f'+ {rewrite.name}' for rewrite in rewrites)]):
                    runs[label, engine] = engine_run(
                        network, engine, image, place(), threads, rewrites[:n]
                    )
        times = take_turns(runs, rounds, warmup)
    rows = []
    for (label, engine), own in times.items():
        if label != REFERENCE:
            ratios = dict(over_none=times['none', engine], speedup=times[REFERENCE, engine])
            rows.append(_row(name, engine, size, threads, own, **ratios) | dict(rewrites=label))
    return rows


def measure_detectors(
    resolutions: Sequence[int], engines: Sequence[str], threads: int, rounds: int, warmup: int
) -> list[dict]:
    """Time detectors from end to end, all of one resolution in turns of one run.

    Resolutions are of :data:`.figures.DETECTOR_SHAPES`, all else is as in
    :func:`measure_classifiers`; PyTorch is added. Returns a row for each resolution, detector and
    engine.
    """
    engines = list(dict.fromkeys([PYTORCH, *engines]))
    rows = []
    for short in resolutions:
        size = DETECTOR_SHAPES[short]
        with _place(engines, threads) as place:
            runs = detector_runs(short, size, engines, place, threads)
            times = take_turns(runs, rounds, warmup)
        for (name, engine), own in times.items():
            ratios = dict(over_pytorch=times[name, PYTORCH], over_peer=times.get((PEER, engine)))
            rows.append(_row(name, engine, size, threads, own, **ratios))
    return rows


@contextmanager
def _place(engines: Sequence[str], threads: int) -> Iterator[Callable[[], Path]]:
    """Makes empty folders for exported files, as long as this runs on this many threads.

    An engine that is missing is missed here, before minutes have passed.
    """
    for engine in engines:
        if engine in ENGINES:
            ENGINES[engine].require()
    with tempfile.TemporaryDirectory() as folder, torch_threads(threads):
        yield lambda: Path(tempfile.mkdtemp(dir=folder))


def _row(name: str, engine: str, size: Size, threads: int, times: list, **baselines: list) -> dict:
    setting = Setting(1, size, threads, 'fp32', 'cpu').row()
    return dict(name=name, engine=engine) | setting | timed(times, **baselines)


def _of_paper(name: str, size: Size) -> dict:
    """The paper's milliseconds at a size, and its speed-up over AlexNet."""
    times, reference = TABLE_8[name].times, TABLE_8[REFERENCE].times
    if size not in TIMED_SHAPES or not times:
        return {}
    index = TIMED_SHAPES.index(size)
    row = dict(paper_ms=times[index])
    return row if name == REFERENCE else row | dict(paper_speedup=reference[index] / times[index])


def _tables(what: str, rows: Sequence[Mapping], milliseconds: str) -> list[Table]:
    """A table for each size, with times in this format."""
    columns = (
        Column('model', 'network'),
        Column('detector', 'detector'),
        Column('engine', 'engine'),
        Column('rewrites', 'rewrites'),
        Column('median', 'ms', milliseconds, scale=1e3),
        Column('over_none', 'over none', '.2f'),
        Column('over_pytorch', 'over PyTorch', '.2f'),
        Column('over_peer', "over torchvision's", '.2f'),
        Column('speedup', 'over AlexNet', '.1f'),
        Column('theory', 'in theory', '.1f'),
        Column('over_best', 'over the fastest AlexNet', '.1f'),
        Column('paper_ms', "paper's ms", '.1f'),
        Column('paper_speedup', "paper's speed-up", '.1f'),
    )
    threads = rows[0]['threads']
    how = f'{threads} thread{"s" if threads > 1 else ""}, batch 1, fp32'
    return [
        Table(f'{what}: {size}, {how}', columns, [row for row in rows if row['size'] == size])
        for size in dict.fromkeys(row['size'] for row in rows)
    ]


def classifier_tables(rows: Sequence[Mapping]) -> list[Table]:
    named = [dict(row, model=TABLE_8[row['name']].model) for row in rows]
    return _tables('Table 8 here', named, '.2f')


def rewrite_tables(rows: Sequence[Mapping]) -> list[Table]:
    return _tables(TABLE_8[rows[0]['name']].model, rows, '.3f')


def detector_tables(rows: Sequence[Mapping]) -> list[Table]:
    named = [dict(row, detector=row['name']) for row in rows]
    return _tables('Detectors from end to end', named, '.1f')

"""What a work folder tells of a run: its figures, its log, its detections, and how far it is."""
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from ..common.errors import ConfigError, DataError

STILL_GOING_SECONDS = 300
"""A log that grew less long ago than this is that of a training that goes on."""
MEAN_AP, TOP1_ERROR = 'coco/bbox_mAP', 'error/top1'


@dataclass
class History:
    """The log of a training.

    Attributes:
        train: for each logged step its figures; ``step`` counts iterations from 1.
        validation: for each validation its figures, with the ``step`` that it followed.
        progress: how far it is, such as ``'epoch 3 of 8, iteration 110'``.
        done: whether its last checkpoint is the last of the schedule.
        config: text of the config that was trained.
        age: seconds since the log grew.
    """

    train: list[dict] = field(default_factory=list)
    validation: list[dict] = field(default_factory=list)
    progress: str = ''
    done: bool = True
    config: str = ''
    age: float = 0.0

    @property
    def status(self) -> str:
        """One sentence on how far the training is."""
        if self.done:
            return f'Training is done ({self.progress}).'
        if self.age < STILL_GOING_SECONDS:
            return (
                f'Training is still going: {self.progress}, logged {self.age:.0f} s before this '
                f'page was written. Write it again later.'
            )
        return (
            f'Training stopped: {self.progress}, {self.age / 3600:.1f} h before this page was '
            f'written. `tools/train.py CONFIG --resume` goes on.'
        )


@dataclass
class ReportRun:
    """One run of the page.

    Attributes:
        name: short, and different from that of every other run of the page.
        folder: work folder.
        metrics: content of ``metrics.json``; empty where the run was not tested.
        results: detections of a COCO result file, or the best classes of a classifier's images;
            None where they were not kept.
        history: the training's log.
        notes: what the reader must know.
        engines: contents of ``metrics.json`` of the tests of exported networks in this folder.
    """

    name: str
    folder: Path
    metrics: dict
    results: list[dict] | None
    history: History
    notes: list[str] = field(default_factory=list)
    engines: list[dict] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, float]:
        """Figures of the test by name."""
        return self.metrics.get('metrics') or {}

    @property
    def is_classifier(self) -> bool:
        """Whether the run is of a classifier."""
        names = {*self.figures, *(k for v in self.history.validation for k in v)}
        return any(name.startswith('error/') for name in names)


def read_runs(folders: list[Path]) -> list[ReportRun]:
    """The runs of the folders, in their order.

    Raises:
        ConfigError: a folder is missing, is named twice or holds no run; detectors are mixed with
            classifiers.
        DataError: a file of a run is damaged.
    """
    doubles = {str(f) for f in folders if [g.resolve() for g in folders].count(f.resolve()) > 1}
    if doubles:
        raise ConfigError(f'{min(doubles)} is given more than once: name each work folder once.')
    runs = [_read_run(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    if len({run.is_classifier for run in runs}) > 1:
        kinds = (f'{r.folder} ({"classifier" if r.is_classifier else "detector"})' for r in runs)
        raise ConfigError(
            f'classifiers and detectors have no figure in common: write a page for each. Given '
            f'were {", ".join(kinds)}.'
        )
    return runs


def _names(folders: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ['/'.join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def _read_run(folder: Path, name: str) -> ReportRun:
    if not folder.is_dir():
        raise ConfigError(f'no such work folder: {folder}. tools/train.py and tools/test.py write '
                          f'to work_dirs/<config name>, or where --work-dir says.')  # fmt: skip
    metrics = _read_metrics(folder / 'metrics.json')
    history = read_history(folder)
    if not metrics and not history.train:
        inner = sorted({str(p.parent) for p in folder.glob('*/metrics.json')})
        raise ConfigError(
            f'{folder} holds no run: neither metrics.json of tools/test.py nor a log of '
            f'tools/train.py.' + (f' Did you mean {", ".join(inner)}?' if inner else '')
        )
    run = ReportRun(name, folder, metrics, None, history)
    run.engines = [
        {**content, 'folder': path.parent.name}
        for path in sorted(folder.rglob('metrics.json'))
        if (content := _read_metrics(path)).get('engine')
    ]
    if not history.train:
        run.notes.append('No log of a training is in this folder: there are no curves.')
    elif not history.validation:
        run.notes.append('It was trained without validation: there is no curve of its figures.')
    if history.train and not history.done:
        run.notes.append(history.status)
    if not metrics:
        run.notes.append(
            'It was not tested: `tools/test.py CONFIG CHECKPOINT --report` adds the figures, the '
            'errors and the images.'
        )
    else:
        _read_results(run)
    return run


def _read_metrics(path: Path) -> dict:
    if not path.is_file():
        return {}
    content = _load(path)
    # another program may use this name
    return content if isinstance(content, dict) and {'config', 'metrics'} <= set(content) else {}


def _load(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(
            f'{path} is damaged ({error}): test the model again with tools/test.py --report.'
        ) from None


def _read_results(run: ReportRun) -> None:
    """The detections that the test kept, wherever the folder has moved since."""
    kept = run.metrics.get('results')
    candidates = [Path(kept), run.folder / Path(kept).name] if kept else []
    path = next((p for p in candidates if p.is_file() and p.suffix == '.json'), None)
    if path is None:
        missing = f'its results are no longer in {kept}' if kept else 'its results were not kept'
        run.notes.append(
            f'Errors and images are not shown, because {missing}: test it again with '
            f'`tools/test.py CONFIG CHECKPOINT --report`.'
        )
        return
    results = _load(path)
    if not isinstance(results, list):
        raise DataError(f'{path} is no result file of tools/test.py: it holds no list.')
    run.results = results


def read_history(folder: Path) -> History:
    """The log of the training in a work folder, those of its resumed parts put together."""
    logs = [p for p in sorted(folder.glob('*/vis_data/scalars.json')) if '"loss"' in p.read_text()]
    history = History()
    for path in logs:
        train, validation = _read_scalars(path)
        if not train:
            continue
        begin = train[0]['step']
        history.train = [row for row in history.train if row['step'] < begin] + train
        history.validation = [row for row in history.validation if row['step'] < begin] + validation
        config = path.parent / 'config.py'
        history.config = config.read_text() if config.is_file() else ''
        history.age = max(0.0, time.time() - path.stat().st_mtime)
    if history.train:
        _judge_progress(history, folder)
    return history


def _read_scalars(path: Path) -> tuple[list[dict], list[dict]]:
    train, validation = [], []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError:
            # the last line of a training that goes on may be half written
            if number < len(path.read_text().splitlines()):
                raise DataError(f'{path}, line {number} is damaged: delete the line.') from None
            continue
        if 'loss' in row:
            train.append(row)
        else:
            # by epoch, MMEngine numbers validations in epochs; the place in the file tells the step
            validation.append({**row, 'step': train[-1]['step'] if train else 0})
    return train, validation


def _judge_progress(history: History, folder: Path) -> None:
    """Whether the training reached its end, by its schedule and its last checkpoint."""
    # the dumped config is one flat file, read here as text: it need not be run for two numbers
    goals = {
        unit: int(found[1])
        for unit in ('max_epochs', 'max_iters')
        if (found := re.search(rf'\b{unit}=(\d+)', history.config))
    }
    pointer = folder / 'last_checkpoint'
    checkpoint = Path(pointer.read_text().strip()).name if pointer.is_file() else ''
    last = history.train[-1]
    history.progress = f'iteration {last["step"]}'
    if 'max_iters' in goals:
        history.progress += f' of {goals["max_iters"]}'
        history.done = checkpoint == f'iter_{goals["max_iters"]}.pth'
    elif 'max_epochs' in goals:
        history.progress = f'epoch {last.get("epoch")} of {goals["max_epochs"]}, {history.progress}'
        history.done = checkpoint == f'epoch_{goals["max_epochs"]}.pth'

"""Measured figures: the ``metrics.json`` files that tools/test.py leaves in work folders."""
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..common.errors import ConfigError, DataError

TOP1_ERROR, TOP5_ERROR = 'error/top1', 'error/top5'
MEAN_AP = 'coco/bbox_mAP'
ALIASES = {'faster_rcnn_shufflenet': 'faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-600'}
"""Configs that are another one under a short name: what is measured is that one's."""


@dataclass(frozen=True)
class DataSet:
    """What an evaluation must be of for its figures to be compared.

    Attributes:
        name: for messages.
        classes, images: their numbers, images of validation.
    """

    name: str
    classes: int
    images: int


IMAGENET = DataSet('ImageNet', 1000, 50000)
TINY_IMAGENET = DataSet('tiny-imagenet-200', 200, 10000)
COCO = DataSet('COCO', 80, 5000)
# the paper's
_DATA = {TOP1_ERROR: IMAGENET, MEAN_AP: COCO}


@dataclass(frozen=True)
class Run:
    """One evaluation.

    Attributes:
        path: of the ``metrics.json``.
        config: name of the config file without ``.py``, an alias replaced.
        metrics: figures by name, such as ``error/top1`` in percent or ``coco/bbox_mAP`` in 0..1.
        date: of the evaluation, as text that sorts.
        classes, images: numbers of the data set; None where the file does not tell.
        resolution: long and short side in pixels to which images were resized, where it tells.
    """

    path: Path
    config: str
    metrics: Mapping[str, float]
    date: str
    classes: int | None
    images: int | None
    resolution: tuple[int, int] | None

    def objection(
        self, metric: str, short_side: int | None = None, data: DataSet | None = None
    ) -> str | None:
        """Why the figure must not stand in a table, or None if it may.

        Args:
            metric: name of the figure.
            short_side: short side of the images in pixels that the figure must be of.
            data: what it must be of; by default the data set of the paper.
        """
        if metric not in self.metrics:
            return f'has no {metric}'
        data = data or _DATA[metric]
        if self.classes is not None and self.classes != data.classes:
            return f'is of {self.classes} classes, not of the {data.classes} of {data.name}'
        if self.images is not None and self.images != data.images:
            return f'is of {self.images} images, not of the {data.images} of {data.name}'
        if short_side and self.resolution and min(self.resolution) != short_side:
            return f'is of {min(self.resolution)} pixels, not of {short_side}'
        if self.metrics[metric] < 0:
            return 'has nothing measured'
        return None


@dataclass
class Runs:
    """All evaluations found, and those left out of the tables with the reason."""

    found: list[Run] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)

    def latest(
        self,
        config: str,
        metric: str,
        short_side: int | None = None,
        data: DataSet | None = None,
    ) -> Run | None:
        """The latest evaluation of ``config`` to which there is no :meth:`Run.objection`."""
        fitting = []
        for run in self.found:
            if run.config != config:
                continue
            objection = run.objection(metric, short_side, data)
            if objection:
                self.left_out[run.path] = objection
            else:
                fitting.append(run)
        return max(fitting, key=lambda run: run.date, default=None)


def find_runs(work_dirs: Iterable[str | Path]) -> Runs:
    """All ``metrics.json`` of tools/test.py in ``work_dirs`` and the folders in them.

    Raises:
        ConfigError: a folder does not exist.
        DataError: a file of this name is damaged.
    """
    runs = Runs()
    for folder in map(Path, work_dirs):
        if not folder.is_dir():
            raise ConfigError(f'--work-dirs {folder}: no such folder.')
        for path in sorted(folder.rglob('metrics.json')):
            run = _read(path)
            if run is not None:
                runs.found.append(run)
    return runs


def _read(path: Path) -> Run | None:
    """The evaluation in a file, or None if another program's file has this name."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(
            f'{path} is damaged ({error}): test the model again with tools/test.py, or delete it.'
        ) from None
    if not isinstance(content, dict) or not {'config', 'metrics'} <= set(content):
        return None
    per_class = content.get('per_class') or {}
    config = Path(content['config']).stem
    return Run(
        path,
        ALIASES.get(config, config),
        content['metrics'],
        content.get('date', ''),
        content.get('classes') or len(per_class.get('bbox', per_class)) or None,
        content.get('images'),
        content.get('resolution') and tuple(content['resolution']),
    )

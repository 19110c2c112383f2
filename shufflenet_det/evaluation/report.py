"""The figures of an evaluation as a table to read and as ``metrics.json`` to use."""
import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from mmengine.config import Config
from terminaltables import AsciiTable

from ..engine.cli import write_atomically
from .coco_metric import FIGURES, CheckedCocoMetric

PACKAGES = ('shufflenet_det', 'torch', 'torchvision', 'mmdet', 'mmengine', 'numpy', 'pycocotools')
MMCV_PACKAGES = ('mmcv', 'mmcv-lite')


def figures_table(metrics: Mapping[str, float], evaluator: CheckedCocoMetric) -> str:
    """The twelve figures of the COCO API, and the average precision of each class, as text.

    Args:
        metrics: what the evaluation returned, such as ``{'coco/bbox_mAP': 0.31, ...}``.
        evaluator: the metric that computed them.
    """
    tables = []
    for metric, classes in evaluator.per_class.items():
        values = [
            next(v for k, v in metrics.items() if k.endswith(f'{metric}_{figure}'))
            for figure in FIGURES
        ]
        rows = [FIGURES[:6], _row(values[:6]), FIGURES[6:], _row(values[6:])]
        summary = AsciiTable(rows, f' {metric} ')
        summary.inner_row_border = True
        per_class = AsciiTable(
            [('class', *FIGURES[:6])]
            + [(name, *_row(list(figures.values()))) for name, figures in classes.items()],
            f' {metric} by class ',
        )
        tables += [summary.table, per_class.table]
    return '\n'.join(tables)


def _row(values: list[float]) -> tuple[str, ...]:
    # the COCO API's -1 means that there was nothing to measure
    return tuple('-' if value < 0 else f'{value:.3f}' for value in values)


def write_metrics(
    path: str | Path,
    cfg: Config,
    config_path: str,
    checkpoint: str,
    metrics: Mapping[str, float],
    evaluator: CheckedCocoMetric | None,
) -> dict:
    """Write ``metrics.json``: figures, with all that is needed to say what they are figures of.

    Returns:
        The content of the file.
    """
    content = dict(
        config=config_path,
        checkpoint=str(checkpoint),
        checkpoint_sha256=sha256_of(checkpoint),
        resolution=resolution_of(cfg),
        annotations=cfg.test_evaluator.get('ann_file')
        if isinstance(cfg.test_evaluator, Mapping)
        else None,
        metrics=dict(metrics),
        per_class=evaluator.per_class if evaluator else {},
        versions=versions(),
        date=datetime.now(UTC).isoformat(timespec='seconds'),
    )
    write_atomically(path, json.dumps(content, indent=2) + '\n')
    return content


def sha256_of(path: str | Path) -> str | None:
    """Hash of a local file; None for one that is elsewhere, such as behind a URL."""
    if not Path(path).is_file():
        return None
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def resolution_of(cfg: Config) -> list[int] | None:
    """(long side, short side) in pixels to which the test pipeline resizes images."""
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    for transform in dataset.get('pipeline', ()):
        if transform['type'] == 'Resize' and 'scale' in transform:
            return sorted(transform['scale'], reverse=True)
    return None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    found = {'python': platform.python_version()}
    for name in (*PACKAGES, *MMCV_PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # one of the two mmcv packages is always absent
            continue
    return found

"""The figures of an evaluation as ``metrics.json``, with what they are figures of."""
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from shufflenet_runtime.hashing import sha256

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ..common.cli import write_atomically
from ..common.config import innermost_dataset
from ..compat.stack import DISTRIBUTIONS, distributions
from .coco_metric import CheckedCocoMetric
from .top_k_error import TopKError

PACKAGES = ('shufflenet_det', 'torch', 'torchvision', 'numpy', 'pycocotools')


def write_metrics(
    path: str | Path,
    cfg: Config,
    config_path: str,
    checkpoint: str,
    metrics: Mapping[str, float],
    evaluator: CheckedCocoMetric | TopKError | None,
    dataset: BaseDataset,
    engine: str | None = None,
) -> dict:
    """Write ``metrics.json``: figures, with all that is needed to say what they are figures of.

    Args:
        path: file to write.
        cfg: config of the test, and ``config_path``, the file that it was read from.
        checkpoint: path or URL of the weights.
        metrics: figures by name.
        evaluator: the metric, where it is one of ours.
        dataset: the images that were evaluated.
        engine: what ran the network, where that was not PyTorch.

    Returns:
        The content of the file.
    """
    content = dict(
        config=config_path,
        checkpoint=str(checkpoint),
        checkpoint_sha256=sha256_of(checkpoint),
        **({'engine': engine} if engine else {}),
        resolution=resolution_of(cfg),
        annotations=cfg.test_evaluator.get('ann_file')
        if isinstance(cfg.test_evaluator, Mapping)
        else None,
        classes=len(dataset.metainfo.get('classes', ())),
        images=len(dataset),
        metrics=dict(metrics),
        per_class=evaluator.per_class if evaluator else {},
        versions=versions(),
        date=datetime.now(UTC).isoformat(timespec='seconds'),
    )
    write_atomically(path, json.dumps(content, indent=2) + '\n')
    return content


def sha256_of(path: str | Path) -> str | None:
    """Hash of a local file; None for one that is elsewhere, such as behind a URL."""
    return sha256(path) if Path(path).is_file() else None


def resolution_of(cfg: Config) -> list[int] | None:
    """(long side, short side) in pixels to which the test pipeline resizes images."""
    dataset = innermost_dataset(cfg.test_dataloader)
    for transform in dataset.get('pipeline', ()):
        if transform['type'] == 'Resize' and 'scale' in transform:
            return sorted(transform['scale'], reverse=True)
    return None


def versions(*others: str) -> dict[str, str]:
    """Versions of Python and of the packages that shape a result, ``others`` among them.

    MMDetection, MMEngine and mmcv are under the names of what really runs, OpenMMLab's or OneDL's.
    """
    found = {'python': platform.python_version()} | distributions(tuple(DISTRIBUTIONS))
    for name in (*PACKAGES, *others):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # others may be absent
            continue
    return found

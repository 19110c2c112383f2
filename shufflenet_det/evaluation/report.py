"""The figures of an evaluation as ``metrics.json``, with what they are figures of."""
import json
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from shufflenet_runtime.hashing import sha256

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset

from ..common.cli import write_atomically
from ..common.config import innermost_dataset, pretrained_of
from ..compat.stack import DISTRIBUTIONS, distributions
from .coco_metric import CheckedCocoMetric
from .top_k_error import TopKError

PACKAGES = ('shufflenet_det', 'torch', 'torchvision', 'numpy', 'pycocotools', 'hotcoco')


def write_metrics(
    path: str | Path,
    cfg: Config,
    config_path: str,
    checkpoint: str,
    metrics: Mapping[str, float],
    evaluator: CheckedCocoMetric | TopKError | None,
    dataset: BaseDataset,
    engine: str | None = None,
    results: str | Path | None = None,
    milliseconds: float | None = None,
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
        results: file of the detections (of a classifier, of its best classes), where it was kept.
        milliseconds: of an image in this test, post-processing included.

    Returns:
        The content of the file.
    """
    content = dict(
        config=config_path,
        checkpoint=str(checkpoint),
        checkpoint_sha256=sha256_of(checkpoint),
        **({'engine': engine} if engine else {}),
        resolution=resolution_of(cfg),
        annotations=annotations_of(cfg),
        # of COCO's metric, where these are not all images of the annotations
        **({'image_ids': tested} if (tested := getattr(evaluator, 'part', None)) else {}),
        images_folder=images_folder_of(dataset),
        **({'results': str(Path(results).absolute())} if results else {}),
        **({'milliseconds': milliseconds} if milliseconds else {}),
        **({'size_bytes': size} if (size := size_of(checkpoint)) else {}),
        pretrained=', '.join(pretrained_of(cfg.model)) or 'none',
        **({'evaluated_by': backend} if (backend := getattr(evaluator, 'backend', None)) else {}),
        command=shlex.join(sys.argv),
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


def size_of(path: str | Path) -> int | None:
    """Bytes of a checkpoint, or of the files of an exported network; None for what is elsewhere."""
    path = Path(path)
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
    return path.stat().st_size if path.is_file() else None


def annotations_of(cfg: Config) -> str | None:
    """The annotations that the test compares with; None where no evaluator names any."""
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        if isinstance(evaluator, Mapping) and evaluator.get('ann_file'):
            return evaluator['ann_file']
    return None


def images_folder_of(dataset: BaseDataset) -> str | None:
    """Where a data set's images are, where it has one folder for all."""
    prefix = getattr(dataset, 'data_prefix', None) or {}
    folder = prefix.get('img') or prefix.get('img_path')
    return str(Path(folder).absolute()) if folder and '://' not in folder else None


def resolution_of(cfg: Config) -> list[int] | None:
    """(long side, short side) in pixels to which the test pipeline resizes images."""
    resize = resize_in_testing(cfg)
    return sides_of(resize['scale']) if resize else None


def sides_of(scale: int | Sequence[int]) -> list[int]:
    """(long side, short side) of a scale of ``Resize``, whose number is a square."""
    return [scale, scale] if isinstance(scale, int) else sorted(scale, reverse=True)


def resize_in_testing(cfg: Config) -> ConfigDict | None:
    """The step of the test pipeline that resizes images."""
    dataset = innermost_dataset(cfg.test_dataloader)
    for transform in dataset.get('pipeline', ()):
        if transform['type'] == 'Resize' and 'scale' in transform:
            return transform
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

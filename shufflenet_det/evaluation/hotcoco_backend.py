"""hotcoco in the place of pycocotools: the same figures to the last bit, tens of times faster."""
import json
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..common.errors import ConfigError

BACKENDS = ('auto', 'pycocotools', 'hotcoco')


def choose_backend(name: str) -> str:
    """``'pycocotools'`` or ``'hotcoco'``; for ``'auto'`` the second where it is installed.

    Raises:
        ConfigError: there is no such backend, or it is not installed.
    """
    if name not in BACKENDS:
        raise ConfigError(f'backend must be one of {", ".join(BACKENDS)}, not {name!r}.')
    installed = find_spec('hotcoco') is not None
    if name == 'hotcoco' and not installed:
        raise ConfigError(
            "backend='hotcoco' and hotcoco is not installed: `pip install 'shufflenet_det[fast]'`, "
            "or backend='auto', which then takes pycocotools for the same figures."
        )
    return 'hotcoco' if installed and name != 'pycocotools' else 'pycocotools'


def describe_backend(name: str) -> str:
    """Name and version of a backend, for logs and files."""
    return f'{name} {metadata.version(name)}'


def evaluate_by_hotcoco(
    ground_truth: COCO,
    result_file: str | Path,
    metric: str,
    categories: Sequence[int],
    images: Sequence[int],
) -> COCOeval:
    """The detections of a COCO result file, matched and accumulated by hotcoco.

    Args:
        ground_truth: annotations; what was changed in ``dataset`` after reading counts.
        result_file: detections. As in :func:`.coco_metric.load_results`, there may be none, and for
            ``'segm'`` the size of a detection is that of its mask.
        metric: ``'bbox'`` or ``'segm'``.
        categories, images: ids to evaluate.

    Returns:
        The COCO API's own evaluation, accumulated and not summarised yet: its means are taken by
        numpy, because hotcoco adds in another order, and the last bit of a mean can tell.
    """
    import hotcoco

    truth = hotcoco.COCO(ground_truth.dataset)
    if metric == 'bbox':
        detections = truth.load_res(str(result_file))
    else:
        found = json.loads(Path(result_file).read_text())
        detections = truth.load_res([{k: v for k, v in d.items() if k != 'bbox'} for d in found])
    fast = hotcoco.COCOeval(truth, detections, metric)
    evaluation = COCOeval(iouType=metric)
    for params in (fast.params, evaluation.params):
        params.catIds = sorted(categories)
        params.imgIds = sorted(images)
    fast.evaluate()
    fast.accumulate()
    arrays = fast.eval
    evaluation.eval = {
        # contiguous, because numpy's order of adding depends on it
        **{key: np.ascontiguousarray(arrays[key]) for key in ('precision', 'recall', 'scores')},
        'params': evaluation.params,
        'counts': list(arrays['precision'].shape),
    }
    return evaluation

"""hotcoco in the place of pycocotools: the COCO API's figures to the last bit, tens of times faster."""
import json
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pycocotools.coco import COCO

from ..common.errors import ConfigError

if TYPE_CHECKING:
    import hotcoco

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


def load_hotcoco(
    ground_truth: COCO, result_file: str | Path, metric: str
) -> tuple['hotcoco.COCO', 'hotcoco.COCO']:
    """Ground truth and the detections of a COCO result file, as hotcoco's evaluation takes them.

    Args:
        ground_truth: annotations; what was changed in ``dataset`` after reading counts.
        result_file: detections. As in :func:`.coco_metric.load_results`, there may be none, and for
            ``'segm'`` the size of a detection is that of its mask.
        metric: ``'bbox'`` or ``'segm'``.
    """
    import hotcoco

    truth = hotcoco.COCO(ground_truth.dataset)
    if metric == 'bbox':
        return truth, truth.load_res(str(result_file))
    detections = json.loads(Path(result_file).read_text())
    for detection in detections:
        detection.pop('bbox', None)
    return truth, truth.load_res(detections)

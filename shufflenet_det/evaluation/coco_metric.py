"""COCO evaluation with the twelve figures of the COCO API itself."""
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from terminaltables import AsciiTable

from ..common.cli import write_atomically
from ..common.errors import ConfigError
from ..data.coco import CheckedCOCO
from .coverage import check_image, tested_ids, warn_of_figures
from .hotcoco_backend import choose_backend, describe_backend, evaluate_by_hotcoco

FIGURES = (
    'mAP',
    'mAP_50',
    'mAP_75',
    'mAP_s',
    'mAP_m',
    'mAP_l',
    'AR@1',
    'AR@10',
    'AR@100',
    'AR_s@100',
    'AR_m@100',
    'AR_l@100',
)
"""The COCO API's ``COCOeval.stats``, in its order, under MMDetection's names."""


@METRICS.register_module()
class CheckedCocoMetric(CocoMetric):
    """COCO metric whose figures are exactly those that pycocotools computes from the result file.

    MMDetection's ``CocoMetric`` rounds to three digits, replaces the COCO API's AR@1, 10 and 100
    by AR@100, 300 and 1000, and takes label ``i`` for the ``i``-th category of the annotation file
    rather than for the class of that name. This one does none of that. A figure with nothing to
    measure, such as mAP_s without small objects, is -1, as the COCO API has it.

    Args:
        ann_file: annotations in COCO format.
        metric: ``'bbox'``, ``'segm'`` or both.
        format_only: write the results for an evaluation server and compute nothing.
        outfile_prefix: keep the results as ``<prefix>.bbox.json`` (and ``.segm.json``).
        backend: what computes the figures: ``'pycocotools'``, the reference; ``'hotcoco'``, whose
            figures are the same; or ``'auto'``, hotcoco where it is installed.
        backend_args, collect_device, prefix: as in ``CocoMetric``.

    Attributes:
        per_class: after evaluation, the first six
            figures, as ``{metric: {class: {figure: value}}}``.
        backend: what computes the figures, ``'pycocotools'`` or ``'hotcoco'``.
        part: after evaluation, the ids of the images, where these are not all of the annotations.
    """

    def __init__(
        self,
        ann_file: str,
        metric: str | Sequence[str] = 'bbox',
        format_only: bool = False,
        outfile_prefix: str | None = None,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        backend: str = 'auto',
    ) -> None:
        metrics = [metric] if isinstance(metric, str) else list(metric)
        unknown = set(metrics) - {'bbox', 'segm'}
        if unknown:
            raise ConfigError(f"metric must be 'bbox', 'segm' or both, not {sorted(unknown)}.")
        super().__init__(
            metric=metrics,
            outfile_prefix=outfile_prefix,
            backend_args=backend_args,
            collect_device=collect_device,
            prefix=prefix,
        )
        # after the above, which would ask for a prefix that `keep_results` may make superfluous
        self.format_only = format_only
        with get_local_path(ann_file, backend_args=backend_args) as path:
            self._coco_api = CheckedCOCO(path)
        self.per_class: dict[str, dict[str, dict[str, float]]] = {}
        self.backend = choose_backend(backend)
        self.part: list | None = None
        self._out: Path | None = None

    def keep_results(self, path: str | Path) -> None:
        """Have the next evaluation write its boxes as a COCO result file."""
        self._out = Path(path)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take a batch of results.

        Raises:
            DataError: an image is not the one that the annotations have under its id.
            ConfigError: the results would be kept nowhere.
        """
        if self.format_only and self.outfile_prefix is None and self._out is None:
            raise ConfigError(
                'format_only=True computes nothing and nothing says where the results are to go: '
                'set outfile_prefix of the evaluator, or --out FILE.json of tools/test.py.'
            )
        for sample in data_samples:
            check_image(self._coco_api, sample)
        super().process(data_batch, data_samples)

    def table(self, metrics: Mapping[str, float]) -> str:
        """The twelve figures of the COCO API, and the average precision of each class, as text."""
        tables = []
        for metric, classes in self.per_class.items():
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

    def compute_metrics(self, results: list) -> dict[str, float]:
        """All figures of all metrics, unrounded, as ``{'bbox_mAP': 0.31, ...}``."""
        self.cat_ids = self._coco_api.get_cat_ids(cat_names=self.dataset_meta['classes'])
        self.img_ids = tested_ids(self._coco_api, [found['img_id'] for _, found in results])
        self.part = self.img_ids if len(self.img_ids) < len(self._coco_api.imgs) else None
        if not self.format_only:
            warn_of_figures(self._coco_api, self.img_ids, self.cat_ids)
        predictions = [prediction for _, prediction in results]
        figures = {}
        with tempfile.TemporaryDirectory() as scratch:
            prefix = self.outfile_prefix or f'{scratch}/results'
            Path(prefix).parent.mkdir(parents=True, exist_ok=True)
            files = self.results2json(predictions, prefix)
            if self._out is not None:
                # MMDetection's file name ends in `.bbox.json`; the user has chosen this one
                write_atomically(self._out, Path(files['bbox']).read_text())
            for metric in () if self.format_only else self.metrics:
                evaluation = self._evaluate(files[metric], metric)
                self.per_class[metric] = self._class_figures(evaluation)
                for name, value in zip(FIGURES, evaluation.stats.tolist(), strict=True):
                    figures[f'{metric}_{name}'] = value
        return figures

    def _evaluate(self, result_file: str, metric: str) -> COCOeval:
        print_log(f'{metric} is evaluated by {describe_backend(self.backend)}', 'current')
        if self.backend == 'hotcoco':
            evaluation = evaluate_by_hotcoco(
                self._coco_api, result_file, metric, self.cat_ids, self.img_ids
            )
        else:
            detections = load_results(self._coco_api, result_file, metric)
            evaluation = COCOeval(self._coco_api, detections, metric)
            evaluation.params.catIds = self.cat_ids
            evaluation.params.imgIds = self.img_ids
            evaluation.evaluate()
            evaluation.accumulate()
        evaluation.summarize()
        return evaluation

    def _class_figures(self, evaluation: COCOeval) -> dict[str, dict[str, float]]:
        # (IoU thresholds, recalls, classes, areas, maximum detections); the last maximum is 100
        precision = evaluation.eval['precision'][..., -1]
        slices = {
            'mAP': precision[:, :, :, 0],
            'mAP_50': precision[[0], :, :, 0],
            'mAP_75': precision[[5], :, :, 0],
            'mAP_s': precision[:, :, :, 1],
            'mAP_m': precision[:, :, :, 2],
            'mAP_l': precision[:, :, :, 3],
        }
        # COCOeval sorts the ids, whatever order it was given
        index = {cat_id: i for i, cat_id in enumerate(evaluation.params.catIds)}
        return {
            name: {
                # every entry of a class without ground truth is -1, and so is its mean
                figure: float(np.mean(values[:, :, index[cat_id]]))
                for figure, values in slices.items()
            }
            for name, cat_id in zip(self.dataset_meta['classes'], self.cat_ids, strict=True)
        }


def _row(values: list[float]) -> tuple[str, ...]:
    # the COCO API's -1 means that there was nothing to measure
    return tuple('-' if value < 0 else f'{value:.3f}' for value in values)


def load_results(ground_truth: COCO, result_file: str | Path, metric: str) -> COCO:
    """Detections of a COCO result file, indexed beside their ground truth.

    Unlike ``COCO.loadRes`` it takes a file without detections, and for ``'segm'`` it measures the
    size of a detection by its mask even where the file gives its box too.
    """
    detections = json.loads(Path(result_file).read_text())
    if not detections:
        empty = COCO()
        tables = {key: ground_truth.dataset[key] for key in ('images', 'categories')}
        empty.dataset = {**tables, 'annotations': []}
        empty.createIndex()
        return empty
    if metric == 'segm':
        for detection in detections:
            detection.pop('bbox', None)
    return ground_truth.loadRes(detections)

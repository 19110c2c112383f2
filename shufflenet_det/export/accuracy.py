"""What a precision costs: a network's own figure, beside PyTorch's in float32."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shufflenet_runtime.engine import Engine
from shufflenet_runtime.precision import FLOAT

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner

from ..common.errors import ConfigError
from ..common.tables import Column, Table, as_text
from ..evaluation import CheckedCocoMetric
from .errors import ExportError

MAX_LOSS = 0.01
"""Of mAP or top-1 accuracy, where nothing else is asked for."""


@dataclass(frozen=True)
class Precision:
    """What an export is to compute in.

    Attributes:
        name: of :data:`shufflenet_runtime.precision.PRECISIONS`.
        calibrate: images and folders of images for int8; by default the training set of the config.
        max_loss: of mAP or top-1 accuracy, in parts of 1.
        keep_anyway: keep what loses more, too.
    """

    name: str = FLOAT
    calibrate: Sequence[str | Path] = ()
    max_loss: float = MAX_LOSS
    keep_anyway: bool = False


@dataclass(frozen=True)
class Figure:
    """How good a network is on the validation set of its config.

    Attributes:
        name: ``'mAP'`` of a detector, ``'top-1'`` of a classifier.
        value: between 0 and 1.
        images: on how many.
        classes: the same by class; empty where it is not known, -1 where there is nothing to find.
    """

    name: str
    value: float
    images: int
    classes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Loss:
    """A network in an engine and a precision beside PyTorch's.

    Attributes:
        engine: name of the engine.
        precision: of the exported network.
        expected: PyTorch's figure.
        found: that of the engine.
    """

    engine: str
    precision: str
    expected: Figure
    found: Figure

    @property
    def loss(self) -> float:
        """How much worse it is; negative if it is better."""
        return self.expected.value - self.found.value

    def table(self) -> Table:
        """The figure by class, the class with the greatest loss first, and that of them all."""
        rows = [
            _row(name, value, self.found.classes[name])
            for name, value in self.expected.classes.items()
            if value >= 0
        ]
        rows.sort(key=lambda row: -row['loss'])
        rows.append(_row('all', self.expected.value, self.found.value))
        figure = self.expected.name
        columns = (
            Column('name', 'class'),
            Column('expected', f'{figure}, PyTorch', '.4f'),
            Column('found', f'{figure}, {self.precision}', '.4f'),
            Column('loss', 'loss', '+.4f'),
        )
        return Table(
            f'{self.engine} in {self.precision}: {self.found.images} validation images',
            columns, rows,
        )  # fmt: skip

    def record(self) -> dict[str, Any]:
        """For ``deploy.json``."""
        return dict(
            figure=self.expected.name,
            images=self.found.images,
            expected=round(self.expected.value, 6),
            found=round(self.found.value, 6),
            loss=round(self.loss, 6),
        )


def _row(name: str, expected: float, found: float) -> dict[str, Any]:
    return dict(name=name, expected=expected, found=found, loss=expected - found)


@torch.no_grad()
def measure(model: BaseModel, cfg: Config) -> Figure:
    """Test a model, PyTorch's or an exported one, on the validation set of its config.

    Raises:
        ConfigError: the config has no validation set, or its evaluator knows neither mAP nor top-1.
    """
    if not cfg.get('val_dataloader') or not cfg.get('val_evaluator'):
        raise ConfigError(
            'the config has no val_dataloader with a val_evaluator, on which the loss of another '
            'precision than fp32 is measured.'
        )
    loader = Runner.build_dataloader(cfg.val_dataloader)
    evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = loader.dataset.metainfo
    for batch in loader:
        evaluator.process(data_samples=model.test_step(batch), data_batch=batch)
    images = len(loader.dataset)
    metrics = evaluator.evaluate(images)
    own = next((m for m in evaluator.metrics if isinstance(m, CheckedCocoMetric)), None)
    for name, value in metrics.items():
        if name.endswith('bbox_mAP'):
            by_class = own.per_class.get('bbox', {}) if own is not None else {}
            return Figure('mAP', value, images, {c: v['mAP'] for c, v in by_class.items()})
        if name == 'error/top1':
            # of TopKError, in percent
            return Figure('top-1', 1 - value / 100, images)
    raise ConfigError(
        f'val_evaluator of the config gives neither bbox_mAP nor top1, which the loss of a '
        f'precision is measured in: it gives {", ".join(metrics)}.'
    )


def require_small(loss: Loss, engine: Engine, most: float) -> None:
    """Refuse a network that lost too much.

    Raises:
        ExportError: with the table by class.
    """
    # a comparison that NaN fails
    if loss.loss <= most:
        return
    raise ExportError(
        f'{engine.model} in {loss.precision} loses {loss.loss:.4f} of {loss.expected.name} in '
        f'{engine.name}, and at most {most} may be lost: it is not kept.\n'
        f'{as_text([loss.table()])}\n'
        f'Calibrate with other images (--calibrate), allow more (--max-loss), keep it in spite of '
        f'that (--keep-anyway), or take another --precision.'
    )

"""Top-1 and top-5 error of a classifier."""
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from terminaltables import AsciiTable

from ..common.cli import write_atomically


@METRICS.register_module()
class TopKError(BaseMetric):
    """Share of the images whose class is not among the k of the highest scores, in percent.

    Errors, not accuracies, because that is what the paper reports. A k that is not below the
    number of classes is left out: its error is 0 whatever the network says.

    Args:
        topk: the values of k.
        collect_device, prefix: as in mmengine's ``BaseMetric``.

    Attributes:
        per_class: after evaluation, the top-1 error in percent by class.
    """

    default_prefix = 'error'

    def __init__(
        self,
        topk: Sequence[int] = (1, 5),
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.topk = tuple(topk)
        self.per_class: dict[str, float] = {}
        self._readable: dict[str, str] = {}
        self._out: Path | None = None

    def keep_results(self, path: str | Path) -> None:
        """Have the next evaluation write its five best classes for each image to a JSON file."""
        self._out = Path(path)

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        logits = torch.stack([sample['logits'] for sample in data_samples])
        labels = torch.stack([sample['label'] for sample in data_samples])
        own = logits.gather(1, labels[:, None])
        # how many other classes do not score below the right one: a tie is an error, and so is a
        # score that is no number, or a dead network would be perfect
        higher = (~(logits < own)).sum(dim=1) - 1
        scores, classes = logits.float().softmax(1).topk(min(5, logits.shape[1]))
        rows = zip(
            (sample['path'] for sample in data_samples),
            *(tensor.tolist() for tensor in (labels, higher, classes, scores)),
            strict=True,
        )
        self.results.extend((logits.shape[1], *row) for row in rows)

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """``{'top1': percent, 'top5': percent}``."""
        num_classes = results[0][0]
        names = (self.dataset_meta or {}).get('classes') or range(num_classes)
        names = list(map(str, names))
        if self._out is not None:
            write_atomically(self._out, json.dumps(_as_records(results, names)) + '\n')
        # of wnids, with names for people
        people = (self.dataset_meta or {}).get('class_names', ())
        self._readable = {c: f'{c} {p}' for c, p in zip(names, people, strict=False)}
        labels = torch.tensor([result[2] for result in results])
        higher = torch.tensor([result[3] for result in results])
        self.per_class = {
            names[label]: _percent(higher[labels == label] > 0)
            for label in labels.unique().tolist()
        }
        return {f'top{k}': _percent(higher >= k) for k in self.topk if k < num_classes}

    def table(self, metrics: Mapping[str, float]) -> str:
        """The errors, and the classes with the highest of them, as text."""
        rows = [('error', 'percent'), *((k, f'{v:.2f}') for k, v in metrics.items())]
        worst = sorted(self.per_class.items(), key=lambda item: -item[1])[:8]
        classes = [
            ('class', 'top-1 error'),
            *((self._readable.get(name, name), f'{v:.1f}') for name, v in worst),
        ]
        title = f' the {len(worst)} hardest of {len(self.per_class)} classes '
        return AsciiTable(rows).table + '\n' + AsciiTable(classes, title).table


def _percent(wrong: torch.Tensor) -> float:
    return 100 * wrong.double().mean().item()


def _as_records(results: list[tuple], names: list[str]) -> list[dict]:
    return [
        dict(
            path=path,
            label=names[label],
            predictions={names[c]: score for c, score in zip(classes, scores, strict=True)},
        )
        for _, path, label, _, classes, scores in results
    ]

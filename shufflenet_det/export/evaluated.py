"""An exported network in the place of a model, so that MMEngine's Runner can test it."""
from typing import Any

from shufflenet_runtime.description import read_description
from shufflenet_runtime.network import open_network

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor

from ..common.errors import ConfigError, shorten
from ..engine.setup import is_classifier


@MODELS.register_module()
class ExportedModel(BaseModel):
    """An exported detector or classifier, run by its engine on CPU.

    Args:
        folder: the exported folder.
        engine: name of the engine; by default the first that is installed, of those that the
            folder has a network for.
        threads: of one inference; 0 for as many as torch uses.

    Attributes:
        engine: name of the engine.
        labels: names of the classes, or None.

    Raises:
        DataError: the folder is damaged.
        ConfigError: it has no network for the engine, or is a backbone alone.
        EngineError: the engine is not installed, or cannot load the network.
    """

    def __init__(self, folder: str, engine: str | None = None, threads: int = 0) -> None:
        super().__init__()
        self._network = open_network(
            folder, ('detector', 'classifier'), engine, threads or torch.get_num_threads()
        )
        self.engine, about = self._network.engine, self._network.about
        self.kind, self.labels = about['kind'], about['labels']
        self._channels = about['input']['channels']

    def forward(self, *args: Any, **kwargs: Any) -> None:
        """Not for this model: it has no tensors."""
        raise NotImplementedError('an exported network can only be tested.')

    def test_step(self, data: dict) -> list:
        """Images as a data loader delivers them to what the evaluators take."""
        return self._classify(data) if self.kind == 'classifier' else self._detect(data)

    def _detect(self, data: dict) -> list:
        for image, sample in zip(data['inputs'], data['data_samples'], strict=True):
            # MMDetection's pipelines load BGR
            found = self._network.run(_ordered(image[None], self._channels == 'bgr'))
            scale = np.float32(sample.scale_factor)
            sample.pred_instances = InstanceData(
                bboxes=torch.from_numpy(found['boxes'] / np.tile(scale, 2)),
                scores=torch.from_numpy(found['scores']),
                labels=torch.from_numpy(found['labels']),
            )
        return data['data_samples']

    def _classify(self, data: dict) -> list[dict]:
        # our data sets of images load RGB
        logits = self._network.run(_ordered(data['inputs'], self._channels == 'rgb'))['logits']
        rows = zip(torch.from_numpy(logits), data['labels'], data['paths'], strict=True)
        return [dict(logits=row, label=label, path=path) for row, label, path in rows]

    def check_classes(self, dataset: BaseDataset) -> None:
        """Compare the classes with those of a data set.

        Raises:
            ConfigError: they differ.
        """
        classes = dataset.metainfo.get('classes')
        if self.labels is None or classes is None or list(classes) == self.labels:
            return
        raise ConfigError(
            f'the exported network knows {len(self.labels)} classes ({shorten(self.labels)}), the '
            f'data set has {len(classes)} ({shorten(classes)}): test it with the config that it '
            f'was exported with.'
        )


def use_exported(cfg: Config, folder: str, engine: str | None) -> None:
    """Put an exported network into a config in place of its model.

    Raises:
        ConfigError: the config is of another kind of network.
    """
    kind, wanted = read_description(folder)['kind'], 'detector'
    if is_classifier(cfg):
        wanted = 'classifier'
    if kind != wanted:
        raise ConfigError(f'the config is that of a {wanted}, {folder} holds a {kind}.')
    cfg.model = dict(type='ExportedModel', folder=str(folder), engine=engine)
    # beside the model the Runner gives it to any
    cfg.pop('data_preprocessor', None)
    cfg.load_from = None


def _ordered(images: Tensor, same: bool) -> np.ndarray:
    """Images (N, 3, H, W) with channels in the network's order."""
    return np.ascontiguousarray((images if same else images.flip(1)).numpy())

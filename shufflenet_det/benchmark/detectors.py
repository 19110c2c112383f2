"""The detectors that ``tools/benchmark.py detector`` compares: any config of MMDetection's."""
import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union

import torch
from mmcv.transforms import Compose
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..common.config import load_config
from ..common.errors import ConfigError
from ..models import SharedRoIStage
from ..models.complexity import count_config
from ..swap.trial import build_model, pictures, without_weights
from .detector_parts import MMDET_PARTS, Part, Size, fixed_boxes
from .peers import TORCHVISION, TorchvisionDetector, check_peer, find_torchvision, peer_of
from .timing import Run

Detector = Union['MMDetDetector', TorchvisionDetector]
"""One side of a comparison; each model that it builds has the same weights."""


@dataclass(frozen=True)
class MMDetDetector:
    """A detector of a config.

    Args:
        name: of the side.
        cfg: its config.
        peer: put mmpretrain's ShuffleNetV1 in the place of ours, with the same weights.
        twin: name of the same detector with mmpretrain's backbone, if it is among the sides.
        parts: whose time is told apart.
    """

    name: str
    cfg: Config
    peer: bool = False
    twin: str | None = None
    parts: tuple[Part, ...] = MMDET_PARTS

    @property
    def ours(self) -> bool:
        return not self.peer

    @property
    def note(self) -> str | None:
        return "mmpretrain's ShuffleNetV1 with our weights" if self.peer else None

    def build(self, size: Size) -> nn.Module:
        """The model for images of this size."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build_model(without_weights(self.cfg.model), self.cfg.get('default_scope'))
            model.init_weights()
            if self.peer:
                _exchange(model, self.cfg.model)
        return model

    def fix_proposals(self, model: nn.Module, size: Size) -> None:
        """Let the second stage run on a fixed set of boxes after the RPN has done its work."""
        rpn_head = getattr(model, 'rpn_head', None)
        if not hasattr(rpn_head, 'predict_by_feat'):
            return
        find = rpn_head.predict_by_feat

        def predict_by_feat(*args: object, cfg: ConfigDict | None = None, **kwargs: object) -> list:
            results = find(*args, cfg=cfg, **kwargs)
            number = (cfg or rpn_head.test_cfg).max_per_img
            device = args[0][0].device
            return [
                InstanceData(
                    bboxes=fixed_boxes(number, size, device),
                    scores=torch.ones(number, device=device),
                    labels=torch.zeros(number, dtype=torch.long, device=device),
                )
                for _ in results
            ]

        rpn_head.predict_by_feat = predict_by_feat

    def batch(self, size: Size, count: int, device: str) -> dict:
        """Random images with objects, for :meth:`predict` and :meth:`loss`."""
        return pictures(self.cfg, size, count)

    def predict(self, model: nn.Module, batch: dict) -> int:
        """Predict, and return the number of detections."""
        return sum(len(result.pred_instances) for result in model.test_step(batch))

    def loss(self, model: nn.Module, batch: dict) -> Tensor:
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        return model.parse_losses(losses)[0]

    def proposals(self, training: bool) -> int | None:
        """RoIs of an image that the second stage is given; None for a network without."""
        model = self.cfg.model
        if 'rpn_head' not in model:
            return None
        stage = (model.get('train_cfg') or {}).get('rpn_proposal') if training else None
        stage = stage or (model.get('test_cfg') or {}).get('rpn')
        return stage.max_per_img if stage else model.rpn_head.get('num_proposals')

    def count(self, size: Size) -> int | None:
        """Multiply-adds of an image; None where they cannot be counted."""
        cfg = copy.deepcopy(self.cfg)
        cfg.model = without_weights(cfg.model)
        try:
            return count_config(cfg, size).macs
        except ConfigError:
            return None

    def data(self, photo: Path, size: Size) -> Run | None:
        """What reads and resizes one image, or None if the config does not tell."""
        dataset = (self.cfg.get('test_dataloader') or {}).get('dataset', {})
        while 'pipeline' not in dataset and 'dataset' in dataset:
            dataset = dataset.dataset
        steps = [
            dict(type='Resize', scale=size[::-1], keep_ratio=False)
            if step['type'].endswith('Resize')
            else step
            for step in dataset.get('pipeline') or ()
            if not step['type'].endswith('LoadAnnotations')
        ]
        if not steps:
            return None
        with DefaultScope.overwrite_default_scope('mmdet'):
            pipeline = Compose(steps)
        return lambda: pipeline(dict(img_path=str(photo), img_id=0))


def _exchange(model: nn.Module, cfg: ConfigDict) -> None:
    """Put mmpretrain's network, with the same weights, in the place of ours; also where its last
    stage runs on RoIs."""
    model.backbone = peer_of(model.backbone)
    stage = getattr(getattr(model, 'roi_head', None), 'shared_head', None)
    if not isinstance(stage, SharedRoIStage):
        return
    level = cfg.roi_head.shared_head.get('stage', 3)
    donor = dict(cfg.roi_head.shared_head.backbone, out_indices=(level,), init_cfg=None)
    peer = peer_of(build_model(ConfigDict(donor))).layers[level - 1]
    peer.load_state_dict(stage.state_dict())
    model.roi_head.shared_head = peer


def find_detectors(
    names: list[str], peer_backbone: bool = False, proposals: int | None = None
) -> list[Detector]:
    """The detectors of some names.

    Args:
        names: configs, such as ``mmdet::retinanet/retinanet_r50_fpn_1x_coco.py``, and
            ``torchvision:<name>``.
        peer_backbone: also each config that has a ShuffleNetV1 with mmpretrain's in it.
        proposals: RoIs an image in prediction, instead of those that each detector states.

    Raises:
        ConfigError: there is no such config or detector, or no config has a ShuffleNetV1.
    """
    sides: list[Detector] = []
    stems = [Path(name.rpartition('::')[2]).stem for name in names]
    for name, stem in zip(names, stems, strict=True):
        if name.startswith(TORCHVISION):
            sides.append(find_torchvision(name, proposals))
            continue
        cfg = load_config(name)
        if proposals and (cfg.model.get('test_cfg') or {}).get('rpn'):
            cfg.model.test_cfg.rpn.max_per_img = proposals
        side = MMDetDetector(stem if stems.count(stem) == 1 else name, cfg)
        if peer_backbone and cfg.model.get('backbone', {}).get('type') == 'ShuffleNetV1':
            check_peer(cfg.model.backbone)
            peer = replace(side, name=f'{side.name} + mmpretrain', peer=True)
            sides += [replace(side, twin=peer.name), peer]
        else:
            sides.append(side)
    if peer_backbone and not any(side.twin for side in sides):
        raise ConfigError('--peer-backbone mmpretrain: no config has a ShuffleNetV1 backbone.')
    return sides

"""The detectors that ``tools/benchmark.py detector`` compares: any config of MMDetection's."""
import copy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from mmcv.transforms import Compose
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..common.config import innermost_dataset, load_config
from ..common.errors import ConfigError
from ..models import SharedRoIStage
from ..models.complexity import count_config
from ..swap.trial import build_model, pictures, without_weights
from .detector_parts import DetectorSide, fixed_boxes
from .peers import TORCHVISION, check_peer, find_torchvision, peer_of
from .speed import Size
from .timing import Call


@dataclass(frozen=True)
class MMDetDetector(DetectorSide):
    """A detector of a config, unless ``ours`` with mmpretrain's ShuffleNetV1 for that of ours."""

    name: str
    cfg: Config
    ours: bool = True
    twin: str | None = None
    note: str | None = None

    def build(self, size: Size) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build_model(without_weights(self.cfg.model), self.cfg.get('default_scope'))
            model.init_weights()
            if not self.ours:
                _exchange(model, self.cfg.model)
        return model

    def finish(self, model: nn.Module, size: Size) -> nn.Module:
        rpn_head = getattr(model, 'rpn_head', None)
        if not hasattr(rpn_head, 'predict_by_feat'):
            return model
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
        return model

    def batch(self, size: Size, count: int, device: str) -> dict:
        return pictures(self.cfg, size, count)

    def predict(self, model: nn.Module, batch: dict) -> int:
        return sum(len(result.pred_instances) for result in model.test_step(batch))

    def loss(self, model: nn.Module, batch: dict) -> Tensor:
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        return model.parse_losses(losses)[0]

    def proposals(self, training: bool) -> int | None:
        model = self.cfg.model
        if 'rpn_head' not in model:
            return None
        stage = (model.get('train_cfg') or {}).get('rpn_proposal') if training else None
        stage = stage or (model.get('test_cfg') or {}).get('rpn')
        return stage.max_per_img if stage else model.rpn_head.get('num_proposals')

    def count(self, size: Size) -> int | None:
        cfg = copy.deepcopy(self.cfg)
        cfg.model = without_weights(cfg.model)
        try:
            return count_config(cfg, size).macs
        except ConfigError:
            return None

    def data(self, photo: Path, size: Size) -> Call | None:
        steps = [
            dict(type='Resize', scale=size[::-1], keep_ratio=False)
            if step['type'].endswith('Resize')
            else step
            for step in innermost_dataset(self.cfg.get('test_dataloader')).get('pipeline') or ()
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
) -> list[DetectorSide]:
    """The detectors of some names.

    Args:
        names: configs, such as ``mmdet::retinanet/retinanet_r50_fpn_1x_coco.py``, and
            ``torchvision:<name>``.
        peer_backbone: also each config that has a ShuffleNetV1 with mmpretrain's in it.
        proposals: RoIs an image in prediction, instead of those that each detector states.

    Raises:
        ConfigError: there is no such config or detector, or no config has a ShuffleNetV1.
    """
    sides: list[DetectorSide] = []
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
            note = "mmpretrain's ShuffleNetV1 with our weights"
            peer = replace(side, name=f'{side.name} + mmpretrain', ours=False, note=note)
            sides += [replace(side, twin=peer.name), peer]
        else:
            sides.append(side)
    if peer_backbone and not any(side.twin for side in sides):
        raise ConfigError('--peer-backbone mmpretrain: no config has a ShuffleNetV1 backbone.')
    return sides

"""A region proposal network that is depthwise separable, and quick at choosing proposals."""
from collections.abc import Sequence

import torch
from mmcv.cnn import DepthwiseSeparableConvModule
from mmdet.models import RPNHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..common.errors import ConfigError

INIT = [
    dict(
        type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu',
        override=[dict(type='Normal', name=name, std=0.01) for name in ('rpn_cls', 'rpn_reg')],
    )
]  # fmt: skip


@MODELS.register_module()
class LightRPNHead(RPNHead):
    """``RPNHead`` with a depthwise and a pointwise convolution for its dense one.

    Proposals are those of ``RPNHead``, except for the order of equal scores: anchors are made and
    deltas gathered for the ``nms_pre`` best of each level alone, and these are selected, not
    sorted out of all.

    Args:
        args, kwargs: of ``RPNHead``.
        kernel_size: of the depthwise convolution; 5 sees as far as two of 3.

    Raises:
        ConfigError: a loss without sigmoid; its scores cannot be compared before activation.
    """

    def __init__(
        self, *args, kernel_size: int = 5, init_cfg: dict | list[dict] | None = None, **kwargs
    ) -> None:
        self.kernel_size = kernel_size
        super().__init__(*args, init_cfg=init_cfg or INIT, **kwargs)
        if not self.use_sigmoid_cls:
            raise ConfigError(f'{type(self).__name__} needs loss_cls.use_sigmoid=True.')

    def _init_layers(self) -> None:
        self.rpn_conv = DepthwiseSeparableConvModule(
            self.in_channels,
            self.feat_channels,
            self.kernel_size,
            padding=self.kernel_size // 2,
            dw_act_cfg=None,
        )
        anchors = self.num_base_priors
        self.rpn_cls = nn.Conv2d(self.feat_channels, anchors * self.cls_out_channels, 1)
        self.rpn_reg = nn.Conv2d(self.feat_channels, anchors * self.bbox_coder.encode_size, 1)

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, C, H, W) to scores (N, A, H, W) and deltas (N, A * 4, H, W)."""
        x = self.rpn_conv(x)
        return self.rpn_cls(x), self.rpn_reg(x)

    def predict_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        score_factors: None = None,
        batch_img_metas: Sequence[dict] = (),
        cfg: ConfigDict | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Proposals of each image, best first.

        Args:
            cls_scores: of each level (N, A, H, W), before the sigmoid.
            bbox_preds: of each level (N, A * 4, H, W).
            score_factors: not used by an RPN.
            batch_img_metas: meta information of N images.
            cfg: ``nms_pre``, ``nms``, ``min_bbox_size`` and ``max_per_img``; by default
                ``test_cfg``.
            rescale: whether boxes are for the image before resizing.
            with_nms: must be True.

        Returns:
            For each image ``bboxes`` (P, 4), ``scores`` (P,) and ``labels`` (P,), all 0, with
            P at most ``max_per_img``.
        """
        cfg = self.test_cfg if cfg is None else cfg
        proposals = []
        for index, img_meta in enumerate(batch_img_metas):
            levels = [
                self._best(number, scores[index].detach(), deltas[index].detach(), cfg)
                for number, (scores, deltas) in enumerate(zip(cls_scores, bbox_preds, strict=True))
            ]
            anchors, deltas, scores, numbers = map(torch.cat, zip(*levels, strict=True))
            boxes = self.bbox_coder.decode(anchors, deltas, max_shape=img_meta['img_shape'])
            results = InstanceData(bboxes=boxes, scores=scores.sigmoid(), level_ids=numbers)
            proposals.append(
                self._bbox_post_process(results, cfg, rescale, with_nms, img_meta=img_meta)
            )
        return proposals

    def _best(self, level: int, scores: Tensor, deltas: Tensor, cfg: ConfigDict) -> tuple:
        """Anchors (K, 4), deltas (K, 4), scores (K,) and level (K,) of the best of one level."""
        anchors = self.num_base_priors
        size = scores.shape[-2:]
        scores = scores.permute(1, 2, 0).flatten()
        limit = cfg.get('nms_pre', -1)
        count = min(limit, len(scores)) if limit > 0 else len(scores)
        scores, best = scores.topk(count)
        position = best.div(anchors, rounding_mode='floor')
        deltas = deltas.reshape(anchors, -1, size.numel())[best % anchors, :, position]
        priors = self.prior_generator.sparse_priors(best, size, level, deltas.dtype, deltas.device)
        return priors, deltas, scores, torch.full_like(best, level)

"""ShuffleNet v1 as an MMDetection backbone."""
from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import ConfigError
from .norm import eval_batch_norms
from .shuffle_unit import SHUFFLES, ShuffleUnit
from .widths import SHALLOW_STAGE_BLOCKS, STAGE_BLOCKS, check_widths, shufflenet_v1_widths

DEFAULT_INIT = [
    # fan_in counts the channels of one group, so that grouped and depthwise filters start at the
    # scale of dense ones
    dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu'),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]


@MODELS.register_module()
class ShuffleNetV1(BaseModule):
    """ShuffleNet v1 (arXiv 1707.01083, section 3).

    State-dict keys are those of mmpretrain's ``ShuffleNetV1``; its public checkpoint loads with
    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')``.

    Args:
        groups: groups of the pointwise convolutions: 1, 2, 3, 4 or 8.
        widen_factor: factor on the channels of Table 1; rounded as docs/backbone.md lists.
        out_indices: levels to return: 0 is the stem after pooling (stride 4), 1 to 3 are stages
            2 to 4 (strides 8, 16, 32). Stages after the last one named are not built.
        frozen_stages: -1 freezes nothing; k freezes the stem and the levels 1 to k: parameters
            without gradient, normalisation in evaluation mode, statistics unchanged.
        stem_channels: channels of the stem, instead of the width table's.
        stage_channels: channels of stages 2, 3 and 4, instead of the width table's.
        shuffle: ``'standard'``, ``'transposed'`` (the authors' released weights) or ``'none'``.
        with_se: squeeze-and-excitation in every unit (Table 5).
        shallow: half the units, wider stages (Table 5).
        conv_cfg, norm_cfg, act_cfg: layers, as everywhere in MMDetection.
        norm_eval: keep the statistics of all batch norms as they are while training.
        with_cp: recompute units in the backward pass to save memory.
        init_cfg: initialisation; Kaiming by default.

    Attributes:
        out_channels: channels of each returned level, known without a forward pass.
        out_strides: stride of each returned level relative to the image.

    Raises:
        ConfigError: groups, widths, indices or variants that cannot be.
    """

    def __init__(
        self,
        groups: int = 3,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        stem_channels: int | None = None,
        stage_channels: Sequence[int] | None = None,
        shuffle: str = 'standard',
        with_se: bool = False,
        shallow: bool = False,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or DEFAULT_INIT)
        if shuffle not in SHUFFLES:
            raise ConfigError(f'shuffle must be one of {SHUFFLES}, not {shuffle!r}.')
        if stem_channels is None or stage_channels is None:
            stem, stages = shufflenet_v1_widths(groups, widen_factor, shallow)
            stem_channels = stem if stem_channels is None else stem_channels
            stage_channels = stages if stage_channels is None else stage_channels
        check_widths(stem_channels, stage_channels, groups)
        self.out_indices = _checked_indices(out_indices, len(STAGE_BLOCKS))
        if frozen_stages not in range(-1, max(self.out_indices) + 1):
            raise ConfigError(
                f'frozen_stages={frozen_stages!r} must lie between -1 (none) and '
                f'{max(self.out_indices)}, the last level in out_indices.'
            )
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        channels = (stem_channels, *stage_channels)
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.out_strides = tuple(4 * 2**i for i in self.out_indices)

        layers = dict(
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg or dict(type='BN'),
            act_cfg=act_cfg or dict(type='ReLU'),
        )
        self.conv1 = ConvModule(3, stem_channels, 3, stride=2, padding=1, **layers)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        blocks = SHALLOW_STAGE_BLOCKS if shallow else STAGE_BLOCKS
        self.layers = nn.ModuleList()
        for stage in range(max(self.out_indices)):
            units = [
                ShuffleUnit(
                    channels[stage] if first else channels[stage + 1],
                    channels[stage + 1],
                    groups=groups,
                    stride=2 if first else 1,
                    # 24 input channels are too few to group (section 3.3)
                    first_groups=1 if first and stage == 0 else groups,
                    shuffle=shuffle,
                    with_se=with_se,
                    with_cp=with_cp,
                    **layers,
                )
                for first in [True] + [False] * (blocks[stage] - 1)
            ]
            self.layers.append(nn.Sequential(*units))
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to features of ``out_channels`` at ``out_strides``."""
        x = self.maxpool(self.conv1(x))
        outs = [x] if 0 in self.out_indices else []
        for level, layer in enumerate(self.layers, start=1):
            x = layer(x)
            if level in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        for module in (self.conv1, *self.layers[: self.frozen_stages]):
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'ShuffleNetV1':
        """Switch to training mode, in which frozen stages and, with ``norm_eval``, all batch norms
        stay in evaluation mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            eval_batch_norms(self)
        return self


def _checked_indices(out_indices: Sequence[int], last: int) -> tuple[int, ...]:
    """``out_indices`` as an increasing tuple of levels 0 to ``last``, or a :class:`ConfigError`."""
    indices = (out_indices,) if isinstance(out_indices, int) else tuple(out_indices)
    if not indices or any(i not in range(last + 1) for i in indices):
        raise ConfigError(
            f'out_indices={indices} must name levels between 0 (stem, stride 4) and {last} '
            f'(stage 4, stride 32).'
        )
    if list(indices) != sorted(set(indices)):
        raise ConfigError(f'out_indices={indices} must increase and name each level once.')
    return indices

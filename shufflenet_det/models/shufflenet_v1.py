"""ShuffleNet v1 as an MMDetection backbone."""
from collections.abc import Sequence

from mmdet.registry import MODELS

from ..common.errors import ConfigError
from .shuffle_unit import SHUFFLES, ShuffleUnit
from .skeleton import UnitNet
from .widths import SHALLOW_STAGE_BLOCKS, STAGE_BLOCKS, check_widths, shufflenet_v1_widths


@MODELS.register_module()
class ShuffleNetV1(UnitNet):
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
        variant: the arguments that fix the weights' shapes, with widths for ``widen_factor``.

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
        if shuffle not in SHUFFLES:
            raise ConfigError(f'shuffle must be one of {SHUFFLES}, not {shuffle!r}.')
        if stem_channels is None or stage_channels is None:
            stem, stages = shufflenet_v1_widths(groups, widen_factor, shallow)
            stem_channels = stem if stem_channels is None else stem_channels
            stage_channels = stages if stage_channels is None else stage_channels
        check_widths(stem_channels, stage_channels, groups)

        def make_unit(in_channels: int, out_channels: int, *, stage: int, stride: int, **layers):
            return ShuffleUnit(
                in_channels,
                out_channels,
                groups=groups,
                stride=stride,
                # 24 input channels are too few to group (section 3.3)
                first_groups=1 if (stage, stride) == (0, 2) else groups,
                shuffle=shuffle,
                with_se=with_se,
                with_cp=with_cp,
                **layers,
            )

        super().__init__(
            make_unit,
            stem_channels,
            stage_channels,
            blocks=SHALLOW_STAGE_BLOCKS if shallow else STAGE_BLOCKS,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )
        self.variant = dict(
            groups=groups,
            stem_channels=stem_channels,
            stage_channels=tuple(stage_channels),
            **({'shallow': True} if shallow else {}),
            **({'with_se': True} if with_se else {}),
        )

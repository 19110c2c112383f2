"""Other units in the skeleton of ShuffleNet, at equal complexity (section 4.2, Table 4).

The widths are not in the paper, only the budgets: 140, 38 and 13 million multiply-adds with the
classifier, at 224x224. Here the stem is ShuffleNet's at that budget. Stages double as in Table 1:
of all widths w of stage 4 the one whose complexity is nearest to the budget, with w / 4 and w / 2
before it, rounded half up, and all widths such that the bottleneck is a whole number.
"""
from collections.abc import Callable, Sequence
from functools import partial

from mmdet.registry import MODELS
from torch import nn

from ..common.errors import ConfigError
from .comparison_units import BottleneckUnit, VGGUnit
from .shuffle_unit import ShuffleUnit
from .skeleton import UnitNet
from .widths import check_positive_widths, check_widths, shufflenet_v1_widths

Widths = tuple[int, tuple[int, int, int]]


class ComparisonNet(UnitNet):
    """One kind of unit in the skeleton of Table 1.

    Args:
        mflops: complexity at 224x224 with a classifier of 1000 classes, in millions of
            multiply-adds: 140, 38 or 13. Sets the widths.
        stem_channels: channels of the stem, instead of those that ``mflops`` sets.
        stage_channels: channels of stages 2, 3 and 4, instead of those that ``mflops`` sets.
        with_cp: recompute units in the backward pass to save memory.
        kwargs: ``out_indices``, ``frozen_stages``, ``conv_cfg``, ``norm_cfg``, ``act_cfg``,
            ``norm_eval`` and ``init_cfg`` of :class:`UnitNet`.

    Raises:
        ConfigError: a budget without widths, widths or indices that cannot be.
    """

    unit: Callable[..., nn.Module]
    widths: dict[int, Widths]

    def __init__(
        self,
        mflops: int = 140,
        stem_channels: int | None = None,
        stage_channels: Sequence[int] | None = None,
        with_cp: bool = False,
        **kwargs,
    ) -> None:
        if mflops not in tuple(self.widths):
            raise ConfigError(
                f'{type(self).__name__} has widths for mflops={sorted(self.widths)}, not for '
                f'{mflops!r}: choose one of them and set stem_channels and stage_channels.'
            )
        stem, stages = self.widths[mflops]
        stem = stem if stem_channels is None else stem_channels
        stages = stages if stage_channels is None else stage_channels
        self._check_widths(stem, stages)
        super().__init__(partial(self._make_unit, with_cp), stem, stages, **kwargs)

    @staticmethod
    def _check_widths(stem: int, stages: Sequence[int]) -> None:
        check_positive_widths(stem, stages)

    @classmethod
    def _make_unit(cls, with_cp: bool, *channels: int, stage: int, **layers) -> nn.Module:
        return cls.unit(*channels, with_cp=with_cp, **layers)


@MODELS.register_module()
class VGGLike(ComparisonNet):
    """Two plain 3x3 convolutions a unit; the paper has 140 MFLOPs only."""

    unit = VGGUnit
    widths = {140: (24, (25, 49, 98)), 38: (12, (12, 25, 49)), 13: (12, (6, 13, 25))}


@MODELS.register_module()
class ResNetLike(ComparisonNet):
    """ResNet's bottleneck units with the ratio 1:4."""

    unit = BottleneckUnit
    widths = {140: (24, (96, 188, 376)), 38: (12, (48, 96, 192)), 13: (12, (24, 48, 96))}


@MODELS.register_module()
class ResNeXtLike(ComparisonNet):
    """ResNeXt's units with cardinality 16 and the bottleneck ratio 1:2."""

    unit = staticmethod(partial(BottleneckUnit, ratio=2, groups=16))
    widths = {140: (24, (88, 176, 350)), 38: (12, (46, 94, 186)), 13: (12, (24, 46, 92))}


@MODELS.register_module()
class XceptionLike(ComparisonNet):
    """ShuffleNet's units without groups and shuffle, the paper's "Xception-like" network.

    So this is ShuffleNet with g=1: Tables 2 and 4 report the same errors for both.
    """

    unit = staticmethod(partial(ShuffleUnit, groups=1))
    widths = {
        mflops: shufflenet_v1_widths(groups=1, widen_factor=factor)
        for mflops, factor in {140: 1.0, 38: 0.5, 13: 0.25}.items()
    }

    @staticmethod
    def _check_widths(stem: int, stages: Sequence[int]) -> None:
        check_widths(stem, stages, groups=1)

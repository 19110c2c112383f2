"""What all backbones of this package share: levels, freezing, batch norms that stay as they are."""
from collections.abc import Sequence
from typing import Self

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..common.errors import ConfigError
from .norm import eval_batch_norms

DEFAULT_INIT = [
    # fan_in counts the channels of one group, so that grouped and depthwise filters start at the
    # scale of dense ones
    dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu'),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]


class StagedBackbone(BaseModule):
    """A backbone of a stem and of stages, each with a level of features at its end.

    A subclass calls this constructor, registers its modules (the stem's, and ``layers``, the
    stages up to ``max(self.out_indices)``), and ends with :meth:`_freeze_stages`. Level 0 is the
    stem's output, level k that of ``layers[k - 1]``.

    Args:
        channels: channels of every level that the network has.
        strides: stride of every level relative to the image.
        out_indices: levels to return; stages after the last one named are not built.
        frozen_stages: -1 freezes nothing; k freezes the stem and the levels 1 to k: parameters
            without gradient, normalisation in evaluation mode, statistics unchanged.
        norm_eval: keep the statistics of all batch norms as they are while training.
        init_cfg: initialisation; Kaiming by default.

    Attributes:
        channels_last: whether channels come last in memory on CPU, where convolutions with few
            channels a group, batch norms and pooling are faster so. The levels that are returned
            have the usual order, which the ``view`` of some heads (CenterNet) relies on.
        layers: the stages, each an iterable of modules that follow one another.
        out_channels: channels of each returned level, known without a forward pass.
        out_strides: stride of each returned level relative to the image.

    Raises:
        ConfigError: levels that the network does not have.
    """

    channels_last: bool = True
    stem_names: tuple[str, ...] = ('stem',)
    layers: Sequence[Sequence[nn.Module]]

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        out_indices: Sequence[int],
        frozen_stages: int,
        norm_eval: bool,
        init_cfg: dict | list[dict] | None,
    ) -> None:
        super().__init__(init_cfg or DEFAULT_INIT)
        self.out_indices = _checked_indices(out_indices, strides)
        last = max(self.out_indices)
        if not _is_index(frozen_stages) or not -1 <= frozen_stages <= last:
            raise ConfigError(
                f'frozen_stages={frozen_stages!r} must lie between -1 (none) and {last}, the last '
                f'level in out_indices.'
            )
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.out_strides = tuple(strides[i] for i in self.out_indices)

    def levels(self) -> list[list[nn.Module]]:
        """The modules that lead from each level to the next, the stem's first."""
        stem = [self.get_submodule(name) for name in self.stem_names]
        return [stem, *([stage] for stage in self.layers)]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to features of ``out_channels`` at ``out_strides``."""
        if self.channels_last:
            x = with_channels_last(x)
        outs = []
        for level, modules in enumerate(self.levels()):
            for module in modules:
                x = module(x)
            if level in self.out_indices:
                outs.append(x.contiguous())
        return tuple(outs)

    def _freeze_stages(self) -> None:
        for modules in self.levels()[: self.frozen_stages + 1]:
            for module in modules:
                module.eval()
                module.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, in which frozen stages and, with ``norm_eval``, all batch norms
        stay in evaluation mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            eval_batch_norms(self)
        return self


def with_channels_last(x: Tensor) -> Tensor:
    """Images or maps (N, C, H, W) with their channels last in memory, on CPU, unless traced."""
    traced = torch.jit.is_tracing() or torch.compiler.is_compiling()
    if x.device.type == 'cpu' and x.dim() == 4 and not traced:
        return x.contiguous(memory_format=torch.channels_last)
    return x


def backbones() -> dict[str, type[StagedBackbone]]:
    """Every backbone of this kind in MMDetection's registry, by its ``type`` in a config."""
    return {
        name: kind
        for name, kind in sorted(MODELS.module_dict.items())
        if isinstance(kind, type) and issubclass(kind, StagedBackbone)
    }


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _checked_indices(out_indices: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """``out_indices`` as an increasing tuple of levels, or a :class:`ConfigError`."""
    indices = tuple(out_indices) if isinstance(out_indices, Sequence) else (out_indices,)
    last = len(strides) - 1
    if not indices or not all(_is_index(i) and 0 <= i <= last for i in indices):
        raise ConfigError(
            f'out_indices={indices} must name levels between 0 (stride {strides[0]}) and {last} '
            f'(stride {strides[-1]}).'
        )
    if list(indices) != sorted(set(indices)):
        raise ConfigError(f'out_indices={indices} must increase and name each level once.')
    return indices

"""What a network really returns: its levels, measured on an empty image instead of guessed."""
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..common.errors import ConfigError

# a multiple of every stride in use, those that necks add included
IMAGE_SIZE = 384
# of classifiers; where detectors go on, the levels are their own
_LAST_STRIDE = 32


class SwapError(ConfigError):
    """A backbone cannot be exchanged in this config; nothing was changed."""


@dataclass(frozen=True)
class Levels:
    """Feature maps of one image, from the finest to the coarsest as the network returns them.

    Attributes:
        maps: the maps, (1, C, H, W) each.
    """

    maps: tuple[Tensor, ...]

    @property
    def channels(self) -> list[int]:
        return [m.shape[1] for m in self.maps]

    @property
    def strides(self) -> list[int]:
        return [round(IMAGE_SIZE / m.shape[-1]) for m in self.maps]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [tuple(m.shape[2:]) for m in self.maps]


def build_without_weights(cfg: dict, what: str) -> nn.Module:
    """Build a part of a model as it is before any weights are loaded.

    Raises:
        SwapError: it cannot be built here; the message says why.
    """
    cfg = {k: v for k, v in cfg.items() if k not in ('init_cfg', 'pretrained')}
    try:
        module = MODELS.build(cfg)
    except Exception as error:
        # whatever the code of another package raises, the user learns what could not be built
        raise SwapError(
            f'cannot build {what} ({cfg.get("type")}): {_reason(error)}'
        ) from error
    # a statement of its own: `train` of MMDetection's backbones returns nothing
    module.eval()
    return module


@torch.no_grad()
def run(module: nn.Module, *inputs: object, what: str) -> Levels:
    """Run a part of a model and look at what it returns.

    Raises:
        SwapError: it fails, or returns something other than a sequence of maps.
    """
    try:
        output = module(*inputs)
    except Exception as error:
        raise SwapError(
            f'cannot run {what} ({type(module).__name__}): {_reason(error)}'
        ) from error
    maps = (output,) if isinstance(output, Tensor) else output
    if not isinstance(maps, Sequence) or not all(isinstance(m, Tensor) for m in maps):
        raise SwapError(
            f'{what} ({type(module).__name__}) returns no sequence of feature maps, which is what '
            f'a backbone of this package has to give in its place.'
        )
    return Levels(tuple(maps))


def empty_image() -> Tensor:
    """An image (1, 3, H, W) for :func:`run`."""
    return torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE)


def levels_at(cfg: dict, strides: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """``out_indices`` of a backbone of this package for levels at the given strides.

    Returns:
        The levels, and how many follow at strides from 64 on that the backbone ends before, each
        twice the one before it.

    Raises:
        SwapError: it has no level at one of the strides, or the strides are not those of a
            pyramid, each level coarser than the one before.
    """
    if list(strides) != sorted(set(strides)):
        raise SwapError(
            f'the levels of the old backbone have strides {_listed(strides)}: that is no pyramid '
            f'with a level a stride (a stack of hourglasses, say), so no other backbone can take '
            f'its place.'
        )
    backbone = build_without_weights(cfg, 'the new backbone')
    last = backbone.out_strides[-1]
    missing = [s for s in strides if s not in backbone.out_strides]
    extra = [last * 2**k for k in range(1, len(missing) + 1)]
    if missing and (missing != extra or last < _LAST_STRIDE or last not in strides):
        raise SwapError(
            f'{type(backbone).__name__} has levels at strides {_listed(backbone.out_strides)}, '
            f'none at {_listed(missing)}, which the neck or the heads of this config take.'
        )
    indices = (backbone.out_strides.index(s) for s in strides if s not in missing)
    return tuple(backbone.out_indices[i] for i in indices), len(missing)


def _listed(values: Sequence[int]) -> str:
    return ', '.join(map(str, values))


def _reason(error: Exception) -> str:
    """Kind and first line of an error; of one without a message, the code that raised it."""
    lines = str(error).strip().splitlines() or [
        f'{place.name} of {Path(place.filename).name}: {place.line}'
        for place in traceback.extract_tb(error.__traceback__)[-1:]
    ]
    return f'{type(error).__name__}: {lines[0][:300]}'

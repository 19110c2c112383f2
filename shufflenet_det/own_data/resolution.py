"""Another resolution for the whole of a detector's config, in training and in testing."""
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mmengine.config import Config

from ..common.errors import ConfigError
from ..evaluation.report import resize_in_testing, resolution_of, sides_of

# settings in pixels, by the type that has them
_IN_PIXELS = {
    'Resize': ('scale',),
    'FixScaleResize': ('scale',),
    'RandomResize': ('scale',),
    'RandomChoiceResize': ('scales',),
    'RandomCrop': ('crop_size',),
    'CenterCrop': ('crop_size',),
    'RandomCenterCropPad': ('crop_size', 'border'),
    'Mosaic': ('img_scale',),
    'CachedMosaic': ('img_scale',),
    'MixUp': ('img_scale',),
    'CachedMixUp': ('img_scale',),
    'RandomAffine': ('border',),
    'Pad': ('size',),
    'BatchFixedSizePad': ('size',),
    'BatchResize': ('scale',),
    'BatchSyncRandomResize': ('random_size_range',),
}
_STRIDE = 32


@dataclass(frozen=True)
class Resizing:
    """To what a config resizes images in testing: sides in pixels, at most that or just that."""

    long: int
    short: int
    keeps_proportions: bool

    @classmethod
    def of(cls, cfg: Config) -> 'Resizing | None':
        """That of a config; None if it leaves images as they are."""
        resize = resize_in_testing(cfg)
        if resize is None:
            return None
        long, short = sides_of(resize['scale'])
        return cls(long, short, resize.get('keep_ratio', False))

    def sides(self, size: tuple[int, int]) -> tuple[float, float]:
        """Long and short side of an image of this size afterwards, not rounded."""
        short, long = sorted(size)
        if not self.keeps_proportions:
            return self.long, self.short
        scale = min(self.long / long, self.short / short)
        return long * scale, short * scale

    def __str__(self) -> str:
        if self.keeps_proportions:
            return f'{self.short} (long side at most {self.long})'
        return f'{self.long}x{self.short}, whatever their proportions'


def walk(node: object) -> Iterator:
    """Every dict with a ``type`` in a part of a config, from the outside inwards."""
    if isinstance(node, Mapping):
        if 'type' in node:
            yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from walk(value)


def resize(cfg: Config, size: int, path: str) -> None:
    """Give a detector's config another resolution, in place.

    Everything in pixels, in training and in testing, changes by one factor: that from the short
    side to which the config resizes images in testing to ``size``. Where both sides are multiples
    of 32, as levels of features that are added up need them, all others stay multiples, too.
    Anchors stay as they are.

    Args:
        cfg: config of a detector.
        size: pixels of the short side.
        path: of the config, for messages.

    Raises:
        ConfigError: the config does not resize in testing, or was made for one size.
    """
    if size < _STRIDE:
        raise ConfigError(f'--size {size}: give {_STRIDE} pixels or more.')
    now = resolution_of(cfg)
    if now is None:
        raise ConfigError(f'{path} resizes no images in testing: it cannot have a --size.')
    if now[1] == size:
        return
    fixed = [part for part in walk(cfg.model) if part['type'] == 'SSDAnchorGenerator']
    if fixed:
        raise ConfigError(
            f'--size {size}: the levels and anchors of {path} are made for {now[1]}x{now[0]} '
            'pixels. Leave --size out, or name another config.'
        )
    in_grid = all(side % _STRIDE == 0 for side in now)
    if in_grid and now[0] == now[1] and size % _STRIDE:
        below = size // _STRIDE * _STRIDE
        raise ConfigError(
            f'--size {size}: {path} makes images square, now of {now[1]} pixels, and the side '
            f'must be a multiple of {_STRIDE}: give {below} or {below + _STRIDE}.'
        )
    factor = size / now[1]
    parts = [cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')]
    parts += [cfg.get(key) for key in ('custom_hooks', 'tta_pipeline')]
    parts.append((cfg.model.get('data_preprocessor') or {}).get('batch_augments'))
    seen: set[int] = set()
    for step in walk(parts):
        for key in _IN_PIXELS.get(str(step['type']).rsplit('.', 1)[-1], ()):
            # a step may stand in several pipelines
            if step.get(key) is not None and id(step) not in seen and _is_in_pixels(step):
                # the border of a mosaic is half of its size
                unit = _STRIDE // 2 if key == 'border' else _STRIDE
                step[key] = _scaled(step[key], factor, unit if in_grid else 1)
        seen.add(id(step))


def _is_in_pixels(step: Mapping) -> bool:
    """Not where a crop is a share of the image."""
    return 'relative' not in step.get('crop_type', 'absolute')


def _scaled(value: object, factor: float, unit: int) -> object:
    if isinstance(value, (list, tuple)):
        return type(value)(_scaled(item, factor, unit) for item in value)
    if value % unit:
        unit = 1
    # the half upwards, for borders, which are negative, away from zero
    rounded = int(abs(value) * factor / unit + 0.5) * unit
    return rounded if value >= 0 else -rounded

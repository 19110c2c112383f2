"""Channel numbers of ShuffleNet v1 and the complexity that follows from them.

The paper (Table 1) gives the widths of the 1x nets; every other net multiplies them by a width
factor. Many products do not divide by the number of groups, so they are rounded here, once, for
the whole package: to widths with which every group convolution divides, and among those to the
ones whose complexity is nearest to the paper's.
"""
from collections.abc import Sequence
from itertools import product

from ..common.errors import ConfigError

STAGE2_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Output channels of stage 2 by number of groups; stages 3 and 4 double them (Table 1)."""

STAGE_BLOCKS = (4, 8, 4)
SHALLOW_STAGE_BLOCKS = (2, 4, 2)
SHALLOW_WIDENING = 1.45
"""The shallow net of Table 5 has half the units and is wider; the paper states its complexity (40
MFLOPs) but not its widths: this factor on the stages meets the complexity."""

BOTTLENECK_RATIO = 4
SE_RATIO = 16
"""Reduction of squeeze-and-excitation: it takes 2x g=3 from 524 to 527 MFLOPs, as in Table 5."""

PAPER_MFLOPS = {
    **{(1.0, g): m for g, m in {1: 143, 2: 140, 3: 137, 4: 133, 8: 137}.items()},
    **{(0.5, g): 38 for g in STAGE2_CHANNELS},
    **{(0.25, g): 13 for g in STAGE2_CHANNELS},
    (1.5, 3): 292,
    (2.0, 3): 524,
}
"""Multiply-adds in millions at 224x224 that the paper reports, by (width factor, groups)."""
PAPER_SHALLOW_MFLOPS = {(0.5, 3): 40}


def count_mflops(
    stem: int | float,
    stages: Sequence[int | float],
    groups: int,
    blocks: Sequence[int] = STAGE_BLOCKS,
    resolution: int = 224,
    num_classes: int = 1000,
) -> float:
    """Multiply-adds in millions of convolutions and classifier, as the paper counts them.

    Args:
        stem: output channels of the stem.
        stages: output channels of stages 2, 3 and 4; need not be integers.
        groups: groups of the pointwise convolutions.
        blocks: units in each stage.
        resolution: height and width of the input in pixels; a multiple of 32.
        num_classes: outputs of the classifier; 0 counts the backbone alone.
    """
    size = resolution // 2
    macs = 3 * 9 * stem * size**2
    size //= 2
    in_channels = stem
    for stage, (out_channels, num_blocks) in enumerate(zip(stages, blocks, strict=True)):
        bottleneck = out_channels / BOTTLENECK_RATIO
        for block in range(num_blocks):
            first = block == 0
            compress_groups = 1 if first and stage == 0 else groups
            macs += in_channels * bottleneck / compress_groups * size**2
            if first:
                size //= 2
            expanded = out_channels - in_channels if first else out_channels
            macs += (9 * bottleneck + bottleneck * expanded / groups) * size**2
            in_channels = out_channels
    return (macs + in_channels * num_classes) / 1e6


def _multiples_around(value: float, divisor: int) -> list[int]:
    """The multiples of ``divisor`` just below and above ``value``, one where it is a multiple."""
    below = int(value / divisor + 1e-9) * divisor
    if abs(value - below) < 1e-6:
        return [below]
    return [m for m in (below, below + divisor) if m > 0]


def _stem_width(widen_factor: float) -> int:
    """Stem channels before rounding to the groups.

    The paper's figures tell them: 13 MFLOPs at 0.25x and 292 at 1.5x are met with stems of 12 and
    24 channels, not 6 and 36; the authors' release has 12, 24, 24 and 48 for 0.5x to 2x.
    """
    if widen_factor < 1:
        return 12
    return 24 if widen_factor < 2 else 48


def check_widen_factor(widen_factor: float) -> None:
    """Raise :class:`ConfigError` unless the factor on the widths is a sensible number."""
    if isinstance(widen_factor, bool) or not isinstance(widen_factor, (int, float)):
        raise ConfigError(f'widen_factor must be a number, not {widen_factor!r}.')
    if not 0 < widen_factor < 100:
        raise ConfigError(f'widen_factor={widen_factor!r} must lie between 0 and 100, such as 0.5.')


def shufflenet_v1_widths(
    groups: int, widen_factor: float, shallow: bool = False
) -> tuple[int, tuple[int, int, int]]:
    """Stem and stage channels of ShuffleNet v1.

    Args:
        groups: 1, 2, 3, 4 or 8, the columns of the paper's Table 1.
        widen_factor: factor on the widths of Table 1, above 0.
        shallow: the net of Table 5 with half the units and wider stages.

    Returns:
        Channels of the stem and of stages 2, 3, 4, such that every group convolution divides.

    Raises:
        ConfigError: the number of groups is not one of the paper's or the factor is not positive.
    """
    if groups not in STAGE2_CHANNELS:
        raise ConfigError(
            f'groups={groups!r} has no widths in the paper: choose one of '
            f'{sorted(STAGE2_CHANNELS)}, or give stem_channels and stage_channels yourself.'
        )
    check_widen_factor(widen_factor)
    key = (float(widen_factor), groups)
    stage2 = STAGE2_CHANNELS[groups] * widen_factor * (SHALLOW_WIDENING if shallow else 1)
    blocks = SHALLOW_STAGE_BLOCKS if shallow else STAGE_BLOCKS
    stem = _stem_width(widen_factor)
    ideal = (stage2, 2 * stage2, 4 * stage2)
    reported = PAPER_SHALLOW_MFLOPS if shallow else PAPER_MFLOPS
    target = reported.get(key) or count_mflops(stem, ideal, groups, blocks)
    candidates = product(
        _multiples_around(stem, groups),
        *(_multiples_around(width, BOTTLENECK_RATIO * groups) for width in ideal),
    )
    stem, *stages = min(
        (c for c in candidates if c[0] < c[1] < c[2] < c[3]),
        key=lambda c: abs(count_mflops(c[0], c[1:], groups, blocks) - target),
        default=(0,),
    )
    if not stages:
        raise ConfigError(
            f'widen_factor={widen_factor} leaves no room for {groups} groups: the widths round to '
            f'stages that do not grow. Use a larger factor or fewer groups.'
        )
    return stem, tuple(stages)


def check_positive_widths(stem: int, stages: Sequence[int]) -> None:
    """Raise :class:`ConfigError` unless stem and three stages have a width."""
    if not isinstance(stages, Sequence) or len(stages) != len(STAGE_BLOCKS):
        raise ConfigError(
            f'stage_channels must name stages 2, 3 and 4, three numbers; got {stages!r}.'
        )
    if not all(isinstance(c, int) and c > 0 for c in (stem, *stages)):
        raise ConfigError(
            f'stem_channels ({stem!r}) and stage_channels ({tuple(stages)!r}) must be positive '
            f'integers.'
        )


def check_widths(stem: int, stages: Sequence[int], groups: int) -> None:
    """Raise :class:`ConfigError` unless every group convolution divides with these widths."""
    check_positive_widths(stem, stages)
    if not isinstance(groups, int) or groups < 1:
        raise ConfigError(f'groups must be a positive integer, not {groups!r}.')
    previous, name = stem, 'stem_channels'
    for number, width in enumerate(stages, start=2):
        where = f'stage {number} with {width} channels and groups={groups}'
        if width <= previous:
            raise ConfigError(
                f'{where}: must be wider than what enters it ({previous} channels), because its '
                f'first unit concatenates its input to its output.'
            )
        if width % (BOTTLENECK_RATIO * groups):
            divisor = BOTTLENECK_RATIO * groups
            near = ' or '.join(str(m) for m in _multiples_around(width, divisor))
            raise ConfigError(
                f'{where}: the bottleneck has a quarter of the channels and must divide into '
                f'{groups} groups; use a multiple of {divisor}, such as {near}.'
            )
        if (width - previous) % groups:
            near = ' or '.join(str(m) for m in _multiples_around(previous, groups))
            raise ConfigError(
                f'{where}: the first unit makes {width} - {previous} channels, which must divide '
                f'into {groups} groups; use {name} of {near}.'
            )
        previous, name = width, f'stage {number} channels'


def widths_table() -> str:
    """Widths and complexity of all pairs of the paper, as Markdown."""
    lines = [
        '| width | groups | stem | stages 2, 3, 4 | MFLOPs | paper | deviation |',
        '|---|---|---|---|---|---|---|',
    ]
    for factor, groups in product((0.25, 0.5, 1.0, 1.5, 2.0), STAGE2_CHANNELS):
        stem, stages = shufflenet_v1_widths(groups, factor)
        complexity = count_mflops(stem, stages, groups)
        paper = PAPER_MFLOPS.get((factor, groups))
        deviation = f'{100 * (complexity / paper - 1):+.1f}%' if paper else ''
        lines.append(
            f'| {factor:g}x | {groups} | {stem} | {", ".join(map(str, stages))} '
            f'| {complexity:.1f} | {paper or ""} | {deviation} |'
        )
    return '\n'.join(lines)


if __name__ == '__main__':
    print(widths_table())

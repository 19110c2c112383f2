"""The public weights as a table to choose from."""
from ..common.tables import Column, Table
from ..models.widths import BOTTLENECK_RATIO, STAGE_BLOCKS
from .download import place_of
from .public_files import PublicFile, public_files
from .public_names import SCHEME
from .refused import REFUSED

_SOURCES = {
    'package': 'in this package',
    'authors': "the paper's authors, in the mirror github.com/DavidBlavid/ShufflenetDemo",
    'mmpretrain': 'OpenMMLab mmpretrain',
    'pytorchcv': 'pytorchcv, github.com/osmr/imgclsmob',
    'zcls': "ZCls, github.com/ZJCV/ZCls: the authors' weights, renamed",
}


def public_table() -> Table:
    """The public files; errors in percent, the source of each as a note."""
    columns = (
        Column('name', 'name'),
        Column('groups', 'groups', 'd'),
        Column('channels', 'stem; stages 2, 3, 4'),
        Column('top1_error', 'top-1 error', '.1f', '%'),
        Column('top5_error', 'top-5 error', '.1f', '%'),
        Column('megabytes', 'MB', '.1f'),
        Column('licence', 'licence'),
        Column('shuffle', 'shuffle'),
        Column('pixels', 'pixels'),
        Column('here', 'here'),
    )
    return Table('Public weights of ShuffleNet v1', columns, list(map(_row, public_files())))


def _row(file: PublicFile) -> dict:
    variant, pixels = file.needs.variant, file.needs.preprocessing
    stages = ', '.join(map(str, variant['stage_channels']))
    name = SCHEME + file.name
    plain = set(pixels.mean) == {0} and set(pixels.std) == {1}
    return dict(
        name=name,
        channels=f'{variant["stem_channels"]}; {stages}',
        groups=variant['groups'],
        top1_error=file.top1_error,
        top5_error=file.top5_error,
        megabytes=_megabytes(file),
        licence=file.licence,
        shuffle=file.needs.shuffle,
        pixels=f'{pixels.channel_order.upper()} {"0..255" if plain else "mean, std"}',
        needs=str(pixels),
        here='yes' if place_of(file).exists() else 'no',
        place=str(place_of(file)),
        where=file.url,
        source=file.collection,
        use=f'SHUFFLENET_PRETRAINED={name}',
        note=_SOURCES[file.collection] + (f'; {file.note}' if file.note else ''),
    )


def _megabytes(file: PublicFile) -> float:
    """Size of the file where it is here, else that of its numbers, 4 bytes each."""
    path = place_of(file)
    if path.exists():
        return path.stat().st_size / 1e6
    return 4 * count_numbers(classes=1000, **file.needs.variant) / 1e6


def count_numbers(
    groups: int, stem_channels: int, stage_channels: tuple[int, ...], classes: int
) -> int:
    """Weights and statistics of a classifier without a bias.

    Args:
        groups: groups of the pointwise convolutions.
        stem_channels: channels of the stem.
        stage_channels: channels of stages 2, 3 and 4.
        classes: outputs of the classifier.
    """
    norm = 4  # weight, bias, mean and variance for each channel
    count, inputs = (27 + norm) * stem_channels, stem_channels
    for stage, (outputs, blocks) in enumerate(zip(stage_channels, STAGE_BLOCKS, strict=True)):
        middle = outputs // BOTTLENECK_RATIO
        for block in range(blocks):
            made = outputs - inputs if block == 0 else outputs
            first_groups = 1 if (stage, block) == (0, 0) else groups
            count += middle * (inputs // first_groups + 9 + 2 * norm)
            count += made * (middle // groups + norm)
            inputs = outputs
    return count + inputs * classes


def refused_table() -> Table:
    """Public weights that cannot be loaded, each with the reason and what to use instead."""
    columns = (Column('name', 'not loadable'), Column('instead', 'instead'))
    rows = [
        dict(name=name, reason=refused.reason, instead=SCHEME + instead, note=refused.reason)
        for refused in REFUSED
        for name, instead in zip(refused.names, refused.instead, strict=True)
    ]
    return Table('Weights that no network here can be', columns, rows)

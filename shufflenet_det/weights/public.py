"""The public files of ShuffleNet v1: where they are, what they reach, and what they need."""
from dataclasses import dataclass
from pathlib import Path

from mmengine.runner.checkpoint import CheckpointLoader

from ..common.tables import Column, Table
from ..compat.checkpoint import CheckpointNotFoundError, load_from_http
from ..compat.checkpoint_reading import MapLocation
from ..models.widths import STAGE2_CHANNELS
from .preprocessing import IMAGENET, RAW_BGR
from .record import WeightsRecord

SCHEME = 'shufflenet://'
AUTHORS_FOLDER = 'https://1drv.ms/f/s!AgaP37NGYuEXhRfQxHRseR7eSxXo'
_MMPRETRAIN = (
    'https://download.openmmlab.com/mmclassification/v0/shufflenet_v1/'
    'shufflenet_v1_batch1024_imagenet_20200804-5d6cec73.pth'
)
# (groups, width factor): stem, top-1 and top-5 error in percent, from the README of
# https://github.com/megvii-model/ShuffleNet-Series/tree/master/ShuffleNetV1
_AUTHORS = {
    (3, 2.0): (48, 25.9, 8.6),
    (3, 1.5): (24, 28.4, 9.8),
    (3, 1.0): (24, 32.2, 12.3),
    (3, 0.5): (12, 42.7, 20.0),
    (8, 2.0): (48, 27.1, 9.2),
    (8, 1.5): (24, 29.0, 10.4),
    (8, 1.0): (24, 32.0, 13.6),
    (8, 0.5): (16, 41.2, 19.0),
}


@dataclass(frozen=True)
class PublicFile:
    """One public file of weights.

    Attributes:
        name: in this package.
        needs: what the weights need.
        top1_error: on ImageNet's validation set, percent, as its publisher reports.
        top5_error: the same for the five best classes.
        where: the file's URL, or where to get it by hand.
        is_url: whether ``where`` is the file itself.
    """

    name: str
    needs: WeightsRecord
    top1_error: float
    top5_error: float
    where: str
    is_url: bool


def _variant(groups: int, factor: float, stem: int) -> dict:
    stages = tuple(int(STAGE2_CHANNELS[groups] * factor) * 2**i for i in range(3))
    return dict(groups=groups, stem_channels=stem, stage_channels=stages)


PUBLIC_FILES = (
    PublicFile(
        'mmpretrain-1x-g3',
        WeightsRecord('ShuffleNetV1', _variant(3, 1.0, 24), 'standard', IMAGENET),
        31.87,
        12.19,
        _MMPRETRAIN,
        is_url=True,
    ),
    *(
        PublicFile(
            f'authors-{factor:g}x-g{groups}',
            WeightsRecord('ShuffleNetV1', _variant(groups, factor, stem), 'transposed', RAW_BGR),
            top1,
            top5,
            AUTHORS_FOLDER,
            is_url=False,
        )
        for (groups, factor), (stem, top1, top5) in _AUTHORS.items()
    ),
)


def public_table() -> Table:
    """The public files; errors in percent, where to get each as a note."""
    columns = (
        Column('name', 'name'),
        Column('groups', 'groups', 'd'),
        Column('channels', 'stem; stages 2, 3, 4'),
        Column('top1_error', 'top-1 error', '.1f', '%'),
        Column('top5_error', 'top-5 error', '.1f', '%'),
        Column('shuffle', 'shuffle'),
        Column('pixels', 'pixels'),
    )
    rows = []
    for file in PUBLIC_FILES:
        variant = file.needs.variant
        stages = ', '.join(map(str, variant['stage_channels']))
        rows.append(
            dict(
                name=SCHEME + file.name if file.is_url else file.name,
                channels=f'{variant["stem_channels"]}; {stages}',
                groups=variant['groups'],
                top1_error=file.top1_error,
                top5_error=file.top5_error,
                shuffle=file.needs.shuffle,
                pixels=str(file.needs.preprocessing),
                where=file.where,
                note=file.where + ('' if file.is_url else ', with a browser; then convert it'),
            )
        )
    return Table('Public weights of ShuffleNet v1', columns, rows)


def find_public(source: str) -> PublicFile | None:
    """The public file that a ``shufflenet://`` name or an address means, None where it means none.

    Raises:
        CheckpointNotFoundError: a ``shufflenet://`` name of no public file, or the name of one
            where it cannot stand: without the scheme, or of a file to be downloaded by hand.
    """
    if source.startswith(SCHEME):
        for file in PUBLIC_FILES:
            if file.name == source.removeprefix(SCHEME):
                return file
        raise CheckpointNotFoundError(
            f'{source} is no public file. `python tools/convert_weights.py --list` names them.'
        )
    named = next((file for file in PUBLIC_FILES if file.name == source), None)
    if named is not None and not Path(source).exists():
        raise CheckpointNotFoundError(
            f'there is no file {source}. The public file of this name is {SCHEME}{source}.'
            if named.is_url
            else _by_hand(named)
        )
    return next((file for file in PUBLIC_FILES if file.is_url and file.where == source), None)


def _by_hand(file: PublicFile) -> str:
    return (
        f'{file.name} has no address that a program can fetch. Download it with a browser from '
        f'{file.where}, then give its path: `python tools/convert_weights.py PATH OUT.safetensors` '
        f'makes of it a file that a config can load.'
    )


def load_public(filename: str, map_location: MapLocation = None) -> dict:
    """Load a public file by name, as in ``shufflenet://mmpretrain-1x-g3``.

    Raises:
        CheckpointNotFoundError: no such name, or a file that has to be downloaded by hand.
    """
    file = find_public(filename)
    if not file.is_url:
        raise CheckpointNotFoundError(_by_hand(file))
    return load_from_http(file.where, map_location)


def install() -> None:
    """Let ``shufflenet://`` names stand wherever mmengine takes a checkpoint."""
    CheckpointLoader.register_scheme(SCHEME, load_public, force=True)

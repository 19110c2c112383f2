"""Tables 1 to 8 of the paper: its figures, ours counted from the networks, and those measured."""
from dataclasses import asdict, dataclass
from functools import cache
from itertools import groupby

from ..common.config import CONFIGS, load_config
from ..common.errors import ConfigError
from ..common.tables import Column, Table
from ..models.complexity import Complexity, count_config
from .evaluations import MEAN_AP, TOP1_ERROR, Evaluations
from .figures import (
    CLASSIFIERS,
    DETECTOR_SHAPES,
    DETECTORS,
    GROUPS,
    TIMED_SHAPES,
    TITLES,
    DetectorRow,
    Row,
)

_COUNTED = (
    Column('mflops_paper', 'paper MFLOPs', 'g'),
    Column('mflops', 'counted', '.1f'),
    Column('deviation', 'deviation', '+z.1f', '%'),
    Column('params', 'parameters, M', '.2f', scale=1e-6),
)
_ERRORS = (
    Column('error_paper', 'paper error', '.1f'),
    Column('error', 'measured error', '.1f'),
)
_TIMED = tuple(
    column
    for height, width in TIMED_SHAPES
    for column in (
        Column(f'mflops_{height}x{width}', f'counted at {height}x{width}', '.1f'),
        Column(f'ms_paper_{height}x{width}', f'paper ms at {height}x{width}', '.1f'),
    )
)
_DETECTORS = (
    Column('resolution', 'short side', 'd'),
    Column('mean_ap_paper', 'paper mAP', '.1f'),
    Column('mean_ap', 'measured mAP', '.1f'),
    Column('mflops', 'counted MFLOPs', '.0f'),
    Column('mflops_backbone', 'backbone', '.0f'),
    Column('mflops_rpn', 'RPN', '.0f'),
    Column('mflops_rois', 'second stage', '.0f'),
    Column('proposals', 'RoIs', 'd'),
    Column('params', 'parameters, M', '.2f', scale=1e-6),
)


@cache
def count_network(
    config: str, shape: tuple[int, int] = (224, 224), folder: str = 'imagenet'
) -> Complexity:
    """Count a network of the paper by the name of its config, at height and width in pixels."""
    return count_config(load_config(str(CONFIGS / folder / f'{config}.py')), shape)


def paper_table(number: int, evaluations: Evaluations | None = None) -> Table:
    """One table of the paper, with what is measured where ``evaluations`` have it.

    Raises:
        ConfigError: the paper has no such table.
    """
    if number not in TITLES:
        raise ConfigError(f'--table {number}: the paper has Tables 1 to {max(TITLES)}.')
    evaluations = evaluations or Evaluations()
    if number == 7:
        rows = [_detector_row(row, evaluations) for row in DETECTORS]
        columns = _DETECTORS
    else:
        rows = [_classifier_row(row, evaluations) for row in CLASSIFIERS[number]]
        # counted at 224x224 is counted already
        columns = (*_COUNTED, *_ERRORS, *_TIMED[1:])
    return Table(f'Table {number}: {TITLES[number]}', (Column('model', 'model'), *columns), rows)


def _classifier_row(row: Row, evaluations: Evaluations) -> dict:
    counted = count_network(row.config)
    evaluation = evaluations.latest(row.config, TOP1_ERROR)
    mflops = counted.macs / 1e6
    figures = dict(
        model=row.model,
        config=row.config,
        mflops_paper=row.mflops,
        mflops=mflops,
        deviation=100 * (mflops / row.mflops - 1),
        params=counted.params,
        error_paper=row.error,
        error=evaluation and evaluation.metrics[TOP1_ERROR],
        run=evaluation and str(evaluation.path),
        note=row.note,
    )
    for (height, width), ms in zip(TIMED_SHAPES, row.times, strict=bool(row.times)):
        at_size = count_network(row.config, (height, width))
        figures[f'mflops_{height}x{width}'] = at_size.macs / 1e6
        figures[f'ms_paper_{height}x{width}'] = ms
    return figures


def _count_detector(row: DetectorRow) -> Complexity:
    return count_network(row.config, DETECTOR_SHAPES[row.resolution], 'faster_rcnn')


def _detector_row(row: DetectorRow, evaluations: Evaluations) -> dict:
    figures = dict(
        model=row.model,
        config=row.config,
        resolution=row.resolution,
        mean_ap_paper=row.mean_ap,
    )
    if row.config is None:
        return figures
    counted = _count_detector(row)
    evaluation = evaluations.latest(row.config, MEAN_AP, row.resolution)
    parts = {part.name: part.macs / 1e6 for part in counted.parts()}
    return dict(
        **figures,
        mean_ap=evaluation and 100 * evaluation.metrics[MEAN_AP],
        run=evaluation and str(evaluation.path),
        input_shape=counted.input_shape,
        proposals=counted.proposals,
        mflops=counted.macs / 1e6,
        mflops_backbone=parts['backbone'],
        mflops_rpn=parts['rpn_head'],
        mflops_rois=sum(macs for name, macs in parts.items() if name.startswith('roi_head.')),
        params=counted.params,
    )


def detail_tables(number: int) -> list[Table]:
    """The networks of a table layer by layer; of Table 1, the architecture as the paper has it."""
    if number == 1:
        return [architecture()]
    if number == 7:
        networks = {
            f'{row.model} at {row.resolution}': _count_detector(row)
            for row in DETECTORS
            if row.config
        }
    else:
        networks = {row.model: count_network(row.config) for row in CLASSIFIERS[number]}
    return [
        layer_table(f'Table {number}: {model}', counted) for model, counted in networks.items()
    ]


@dataclass(frozen=True)
class _Unit:
    """One line of Table 1 for one number of groups."""

    layer: str
    output_size: int
    stride: int
    repeat: int
    channels: int
    macs: int


def _units(counted: Complexity) -> list[_Unit]:
    """The lines of Table 1, read off the network as it ran."""
    modules = {layer.name: layer for layer in counted.layers}
    stages = [n for n in modules if n.startswith('backbone.layers.') and n.count('.') == 3]
    names = {'backbone.conv1': 'Conv1', 'backbone.maxpool': 'MaxPool'}
    names |= {name: f'Stage {int(name.split(".")[2]) + 2}' for name in stages}
    units, size = [], counted.input_shape[0]
    for name, layer in names.items():
        _, channels, height, _ = modules[name].output_shape
        inside = [m for m in counted.layers if f'{m.name}.'.startswith(f'{name}.')]
        macs = sum(module.macs for module in inside)
        units.append(_Unit(layer, height, size // height, 1, channels, macs))
        size = height
    fc = modules['head.fc']
    units.append(_Unit('FC', 1, 1, 1, fc.output_shape[1], fc.macs))
    lines = groupby(units, key=lambda u: (u.layer, u.output_size, u.stride, u.channels))
    return [
        _Unit(*key[:3], len(group), key[3], sum(unit.macs for unit in group))
        for key, group in ((key, list(group)) for key, group in lines)
    ]


def architecture() -> Table:
    """Table 1 line by line: what the networks of g = 1, 2, 3, 4, 8 do, and what each line costs."""
    networks = [_units(count_network(row.config)) for row in CLASSIFIERS[1]]
    rows = []
    for units in zip(*networks, strict=True):
        row = {k: v for k, v in asdict(units[0]).items() if k not in ('channels', 'macs')}
        for groups, unit in zip(GROUPS, units, strict=True):
            row[f'channels_{groups}'] = unit.channels
            row[f'macs_{groups}'] = unit.macs
        rows.append(row)
    columns = (
        Column('layer', 'layer'),
        Column('output_size', 'output size', 'd'),
        Column('stride', 'stride', 'd'),
        Column('repeat', 'repeat', 'd'),
        *(Column(f'channels_{groups}', f'channels g={groups}', 'd') for groups in GROUPS),
        *(Column(f'macs_{groups}', f'MFLOPs g={groups}', '.1f', scale=1e-6) for groups in GROUPS),
    )
    total = dict(layer='total')
    for groups in GROUPS:
        total[f'macs_{groups}'] = sum(row[f'macs_{groups}'] for row in rows)
    return Table('Table 1: the architecture, counted', columns, [*rows, total])


def part_table(title: str, counted: Complexity) -> Table:
    """A network by its parts, with their shares of the multiply-adds."""
    rows = [
        dict(asdict(part), share=100 * part.macs / counted.macs) for part in counted.parts()
    ]
    rows.append(dict(name='total', macs=counted.macs, params=counted.params, share=100.0))
    columns = (
        Column('name', 'part'),
        Column('macs', 'MFLOPs', '.1f', scale=1e-6),
        Column('share', 'share', '.1f', '%'),
        Column('params', 'parameters, M', '.3f', scale=1e-6),
    )
    return Table(title, columns, rows)


def layer_table(title: str, counted: Complexity) -> Table:
    """A network layer by layer: all modules with multiply-adds or parameters of their own."""
    rows = [
        dict(asdict(layer), output_shape='x'.join(map(str, layer.output_shape or ())))
        for layer in counted.layers
        if layer.macs or layer.params
    ]
    rows.append(dict(name='total', macs=counted.macs, params=counted.params))
    columns = (
        Column('name', 'layer'),
        Column('kind', 'type'),
        Column('output_shape', 'output'),
        Column('macs', 'MFLOPs', '.3f', scale=1e-6),
        Column('params', 'parameters', 'd'),
    )
    return Table(title, columns, rows)

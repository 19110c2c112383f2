"""Rows of measured speed as tables, as a file and as a picture."""
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from ..common.cli import write_atomically
from ..common.errors import ConfigError
from ..common.tables import Column, Table, as_markdown, as_text
from .detector_parts import DATA, PART_ORDER, TOTAL
from .machine import surroundings
from .speed import MODES

_MODES = {mode: index for index, mode in enumerate(MODES)}
_SETTING = ('batch', 'size', 'threads', 'dtype', 'device')
FIGURES = (
    Column('median', 'ms', '.2f', scale=1e3),
    Column('range', 'quartiles'),
    Column('ratio', 'ratio', '.2f'),
    Column('ratio_range', 'quartiles'),
    Column('memory', 'peak memory, MB', '.1f', scale=1e-6),
    Column('proposals', 'proposals', 'd'),
    Column('detections', 'detections', 'd'),
    Column('params', 'parameters, M', '.2f', scale=1e-6),
    Column('macs', 'MFLOPs', '.1f', scale=1e-6),
    Column('rate', 'GFLOP/s', '.1f', scale=1e-9),
    Column('share', 'of matrix product', '.1f', '%', scale=100),
)


def _title(row: Mapping, keys: Sequence[str]) -> str:
    """Mode and setting in words."""
    return ', '.join(
        f'{key} {row[key]}' if key in ('batch', 'threads') else str(row[key]) for key in keys
    )


def speed_table(title: str, rows: Sequence[Mapping]) -> Table:
    """Times, ratios, memory and complexity of all sides, a row for each mode and setting.

    Args:
        title: what is measured.
        rows: as :func:`.backbone_speed.measure_backbones` returns them.
    """
    varies = [key for key in _SETTING if len({row[key] for row in rows}) > 1]
    same = [key for key in _SETTING if key not in varies]
    columns = (
        Column('name', 'side'),
        Column('mode', 'mode'),
        *(Column(key, key) for key in varies),
        *FIGURES,
    )
    ordered = sorted(rows, key=lambda row: [str(row[key]).zfill(9) for key in varies])
    shown = [dict(row, **_ranges(row)) for row in ordered]
    return Table(f'{title}: {_title(rows[0], same)}', columns, shown)


def _ranges(row: Mapping) -> dict[str, str]:
    """Quartiles of milliseconds and of the ratio, as text."""
    ranges = dict(range=f'{1e3 * row["low"]:.2f} to {1e3 * row["high"]:.2f}')
    if 'ratio' in row:
        ranges['ratio_range'] = f'{row["ratio_low"]:.2f} to {row["ratio_high"]:.2f}'
    return ranges


def parts_tables(rows: Sequence[Mapping]) -> list[Table]:
    """Where a detector's time goes: for each side and setting a table of its parts by mode.

    Args:
        rows: of ``name``, ``mode`` and the setting, with ``parts``: seconds by part.
    """
    tables = []
    keys = ('name', *_SETTING)
    for _, grouped in groupby(rows, key=lambda row: [row[key] for key in keys]):
        group = list(grouped)
        modes = {row['mode']: row['parts'] for row in group}
        found = {part for parts in modes.values() for part in parts}
        columns = [Column('part', 'part')]
        for mode in modes:
            columns.append(Column(mode, f'{mode}, ms', '.2f', scale=1e3))
            columns.append(Column(f'{mode} share', 'share', '.1f', '%', scale=100))
        lines = [
            dict(part=part)
            | {mode: parts[part] for mode, parts in modes.items() if part in parts}
            | {
                f'{mode} share': parts[part] / parts[TOTAL]
                for mode, parts in modes.items()
                if part in parts and part != DATA
            }
            for part in PART_ORDER
            if part in found
        ]
        title = f'{group[0]["name"]} by part, medians: {_title(group[0], _SETTING)}'
        tables.append(Table(title, tuple(columns), lines))
    return tables


def describe_run(rows: Sequence[Mapping], options: Mapping) -> dict:
    """All raw figures with what they are figures of.

    Args:
        rows: what was measured.
        options: how: rounds, warm-up and the like.
    """
    return dict(
        command=shlex.join(['python', *sys.argv]),
        date=datetime.now(UTC).isoformat(timespec='seconds'),
        **surroundings(rows[0]['device']),
        options=dict(options),
        rows=list(rows),
    )


def machine_line(about: Mapping) -> str:
    """Machine and versions in a line."""
    machine, found = about['machine'], about['versions']
    name = machine.get('gpu') or f'{machine["processor"]} ({machine["instructions"]})'
    packages = ('torch', 'torchvision', 'mmdet', 'mmpretrain')
    shown = ', '.join(f'{p} {found[p]}' for p in packages if p in found)
    return f'{name}, {machine["cores"]} processors; {shown}; Python {found["python"]}.'


def render(tables: Sequence[Table], about: Mapping, markdown: bool) -> str:
    """The tables with command and machine."""
    if markdown:
        head = f'```bash\n{about["command"]}\n```\n\n{machine_line(about)}'
        return f'{head}\n\n{as_markdown(tables)}'
    return f'{machine_line(about)}\n\n{as_text(tables)}'


def write_json(path: Path, about: Mapping) -> None:
    """Write the result of :func:`describe_run`."""
    write_atomically(path, json.dumps(about, indent=2) + '\n')


def plot(rows: Sequence[Mapping], path: Path) -> None:
    """Median time against complexity: a panel for each mode and setting, a mark for each side.

    Sides whose multiply-adds are not known are left out.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    keys = (*_SETTING, 'mode')
    rows = [row for row in rows if row['macs'] is not None]
    if not rows:
        raise ConfigError('--plot: the complexity of no side is known: there is nothing to draw.')
    named = [key for key in keys if len({row[key] for row in rows}) > 1] or ['mode']
    ordered = sorted(rows, key=lambda row: ([str(row[k]) for k in _SETTING], _MODES[row['mode']]))
    panels = [list(g) for _, g in groupby(ordered, key=lambda row: [row[key] for key in keys])]
    names = list(dict.fromkeys(row['name'] for row in rows))
    across = len({row['mode'] for row in rows})
    down = len(panels) // across
    figure = Figure(figsize=(4.6 * across, 3.6 * down + 0.3 * len(names)), layout='constrained')
    axes = figure.subplots(down, across, squeeze=False)
    styles = {name: (f'C{i % 10}', 'osD^v<>P*X'[i % 10]) for i, name in enumerate(names)}
    for panel, panel_axes in zip(panels, axes.flat, strict=True):
        for row in panel:
            colour, mark = styles[row['name']]
            x, y = row['macs'] / 1e6, 1e3 * row['median']
            error = [[y - 1e3 * row['low']], [1e3 * row['high'] - y]]
            panel_axes.errorbar(x, y, error, fmt=mark, color=colour, capsize=2, alpha=0.85)
        panel_axes.set_xscale('log')
        panel_axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel_axes.xaxis.set_major_formatter('{x:g}')
        panel_axes.xaxis.set_minor_formatter(NullFormatter())
        panel_axes.set_ylim(bottom=0)
        panel_axes.set_title(_title(panel[0], named), fontsize=9)
        panel_axes.set_xlabel('MFLOPs an image')
        panel_axes.set_ylabel('ms')
        panel_axes.grid(color='#eeeeee')
        panel_axes.set_axisbelow(True)
        panel_axes.spines[['top', 'right']].set_visible(False)
    handles = [
        axes.flat[0].plot([], [], mark, color=colour, label=name)[0]
        for name, (colour, mark) in styles.items()
    ]
    figure.legend(handles=handles, loc='outside lower center', frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)

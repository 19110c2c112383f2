"""Rows of measured speed as tables, as a file and as a picture."""
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import cycle, groupby
from operator import itemgetter
from pathlib import Path

from ..common.cli import write_atomically
from ..common.errors import ConfigError
from ..common.tables import Column, Table, as_markdown, as_text
from .detector_parts import DATA, PART_ORDER, TOTAL
from .machine import surroundings

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

    Rows are those of :func:`.measure.measure`.
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
    shown = []
    for row in ordered:
        shown.append(dict(row, range=f'{1e3 * row["low"]:.2f} to {1e3 * row["high"]:.2f}'))
        if 'ratio' in row:
            shown[-1]['ratio_range'] = f'{row["ratio_low"]:.2f} to {row["ratio_high"]:.2f}'
    return Table(f'{title}: {_title(rows[0], same)}', columns, shown)


def parts_tables(rows: Sequence[Mapping]) -> list[Table]:
    """Where a detector's time goes: for each side and setting a table of its parts by mode."""
    tables = []
    for _, grouped in groupby(rows, key=itemgetter('name', *_SETTING)):
        group = list(grouped)
        columns = [Column('part', 'part')]
        lines: dict[str, dict] = {part: dict(part=part) for part in PART_ORDER}
        for row in group:
            mode, parts = row['mode'], row['parts']
            columns.append(Column(mode, f'{mode}, ms', '.2f', scale=1e3))
            columns.append(Column(f'{mode} share', 'share', '.1f', '%', scale=100))
            for part, seconds in parts.items():
                lines[part][mode] = seconds
                if part != DATA:
                    lines[part][f'{mode} share'] = seconds / parts[TOTAL]
        title = f'{group[0]["name"]} by part, medians: {_title(group[0], _SETTING)}'
        tables.append(Table(title, tuple(columns), [row for row in lines.values() if len(row) > 1]))
    return tables


def describe_run(rows: Sequence[Mapping], options: Mapping) -> dict:
    """All that was measured, and what the figures are of; the options tell how."""
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

    rows = [row for row in rows if row['macs'] is not None]
    if not rows:
        raise ConfigError('--plot: the complexity of no side is known: there is nothing to draw.')
    keys = [key for key in (*_SETTING, 'mode') if len({row[key] for row in rows}) > 1] or ['mode']
    panels: dict[str, list[Mapping]] = {}
    for row in rows:
        panels.setdefault(_title(row, keys), []).append(row)
    across = len({row['mode'] for row in rows})
    down = len(panels) // across
    figure = Figure(figsize=(4.6 * across, 3.6 * down + 1), layout='constrained')
    all_axes = figure.subplots(down, across, squeeze=False).flat
    for axes, (title, panel) in zip(all_axes, panels.items(), strict=True):
        for row, mark in zip(panel, cycle('osD^v<>P*X'), strict=False):
            y, low, high = (1e3 * row[key] for key in ('median', 'low', 'high'))
            error = [[y - low], [high - y]]
            axes.errorbar(row['macs'] / 1e6, y, error, fmt=mark, capsize=2, label=row['name'])
        axes.set(title=title, xlabel='MFLOPs an image', ylabel='ms', xscale='log', ylim=(0, None))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter('{x:g}')
        axes.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(*axes.get_legend_handles_labels(), loc='outside lower center', fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)

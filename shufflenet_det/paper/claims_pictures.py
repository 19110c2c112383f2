"""Pictures of the errors that networks of :mod:`.claims` make, from records."""
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from .claims import CLAIMS
from .records import Record


def plot_errors(panels: Mapping[str, Mapping[str, list[float]]], path: Path) -> None:
    """Errors of every network: a dot for each seed, a line for the mean.

    Args:
        panels: what each of the pictures, side by side, says and shows: errors in percent over
            the seeds, by network.
        path: of the file.
    """
    from matplotlib.figure import Figure

    # a network may be in one of the panels alone
    names = list(dict.fromkeys(name for errors in panels.values() for name in errors))[::-1]
    figure = Figure(figsize=(10, 0.3 * len(names) + 1.1), layout='constrained')
    columns = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, errors) in zip(columns, panels.items(), strict=True):
        for row, name in enumerate(names):
            ours = name.startswith('shufflenet') and not name.endswith('noshuffle')
            color = '#0072b2' if ours else '#777777'
            values = errors.get(name, [])
            axes.plot(values, [row] * len(values), 'o', color=color, markersize=4, alpha=0.7)
            if values:
                axes.plot([mean(values)] * 2, [row - 0.35, row + 0.35], color=color, linewidth=2)
        axes.set_xlabel(title)
        axes.grid(color='#eeeeee')
        axes.set_axisbelow(True)
        axes.spines[['top', 'right']].set_visible(False)
    columns[0].set_yticks(range(len(names)), names)
    figure.savefig(path, dpi=110)


def plot_curves(runs: dict[str, list[Record]], path: Path) -> None:
    """Errors over the epochs, means of the seeds, a picture for each pair with and without shuffle.

    Without such a pair, one picture has all networks.
    """
    from matplotlib.figure import Figure

    pairs = [(c.better, c.worse) for c in CLAIMS if c.worse == f'{c.better}-noshuffle']
    pairs = [pair for pair in pairs if all(name in runs for name in pair)] or [tuple(runs)]
    rows = (len(pairs) + 1) // 2
    figure = Figure(figsize=(10, 3.4 * rows), layout='constrained')
    grid = figure.subplots(rows, min(2, len(pairs)), squeeze=False)
    for axes, pair in zip(grid.flat, pairs, strict=False):
        for number, name in enumerate(pair):
            color = f'C{number}'
            _curve(axes, runs[name], 'val_error', color, '-', name)
            _curve(axes, runs[name], 'train_error', color, ':', None)
        axes.set(xlabel='epoch', ylabel='top-1 error, percent')
        axes.grid(color='#eeeeee')
        axes.legend(title='solid: validation, dotted: training', fontsize=8, title_fontsize=8)
    for axes in grid.flat[len(pairs):]:
        axes.set_visible(False)
    figure.savefig(path, dpi=110)


def _curve(axes, runs: list[Record], name: str, color: str, style: str, label: str | None) -> None:
    """The mean over the seeds at those epochs at which all have a value."""
    by_epoch = [dict(zip(r.curves['epoch'], r.curves[name], strict=True)) for r in runs]
    epochs = [e for e in by_epoch[0] if all(curve.get(e) is not None for curve in by_epoch)]
    means = [mean(curve[e] for curve in by_epoch) for e in epochs]
    axes.plot(epochs, means, style, color=color, label=label)

"""Pictures of the errors that networks of :mod:`.claims` make, from records."""
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from .claims import CLAIMS
from .records import Record

# of an axis of errors
_LEAST_POINTS = 5
_OURS = {claim.better for claim in CLAIMS}


def plot_errors(panels: Mapping[str, Mapping[str, list[float]]], path: Path) -> None:
    """Errors of every network: a dot for each seed, a line for the mean, the paper's choice blue.

    Args:
        panels: what each of the pictures, side by side, says and shows: errors in percent over
            the seeds, by network, of the same networks.
        path: of the file.
    """
    from matplotlib.figure import Figure

    names = list(next(iter(panels.values())))[::-1]
    figure = Figure(figsize=(10, 0.3 * len(names) + 1.1), layout='constrained')
    columns = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, errors) in zip(columns, panels.items(), strict=True):
        for row, name in enumerate(names):
            color = '#0072b2' if name in _OURS else '#777777'
            values = errors[name]
            axes.plot(values, [row] * len(values), 'o', color=color, markersize=4, alpha=0.7)
            axes.plot([mean(values)] * 2, [row - 0.35, row + 0.35], color=color, linewidth=2)
        axes.set_xlabel(title)
        axes.set_xlim(_limits([value for values in errors.values() for value in values]))
        axes.grid(color='#eeeeee')
        axes.set_axisbelow(True)
        axes.spines[['top', 'right']].set_visible(False)
    columns[0].set_yticks(range(len(names)), names)
    figure.savefig(path, dpi=110)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that has all values, and is so long that a tenth of a point looks small."""
    low, high = min(values), max(values)
    margin = max(0.05 * (high - low), (_LEAST_POINTS - (high - low)) / 2)
    return low - margin, high + margin


def plot_curves(runs: Mapping[str, list[Record]], path: Path) -> None:
    """Errors over the epochs, means of the seeds: a picture for each comparison.

    A network with and without shuffle is one. Without any, one picture has all networks.
    """
    from matplotlib.figure import Figure

    panels = _comparisons(runs) or [('', tuple(runs))]
    rows = (len(panels) + 1) // 2
    figure = Figure(figsize=(10, 3.4 * rows), layout='constrained')
    grid = figure.subplots(rows, min(2, len(panels)), squeeze=False)
    for axes, (about, names) in zip(grid.flat, panels, strict=False):
        for number, name in enumerate(names):
            color = f'C{number}'
            _curve(axes, runs[name], 'val_error', color, '-', name)
            _curve(axes, runs[name], 'train_error', color, ':', None)
        axes.set(title=about, xlabel='epoch', ylabel='top-1 error, percent')
        axes.grid(color='#eeeeee')
        axes.legend(title='solid: validation, dotted: training', fontsize=8, title_fontsize=8)
    for axes in grid.flat[len(panels):]:
        axes.set_visible(False)
    figure.savefig(path, dpi=110)


def _comparisons(runs: Mapping[str, list[Record]]) -> list[tuple[str, tuple[str, ...]]]:
    """What is compared, and the networks of it that there are, two or more of each."""
    together: dict[tuple[str, str], list[str]] = {}
    for claim in CLAIMS:
        # each pair with and without shuffle is a comparison
        pair = claim.better if claim.worse == f'{claim.better}-noshuffle' else ''
        together.setdefault((claim.about, pair), []).extend((claim.better, claim.worse))
    present = [
        (about, tuple(name for name in dict.fromkeys(names) if name in runs))
        for (about, _), names in together.items()
    ]
    return [(about, names) for about, names in present if len(names) > 1]


def _curve(axes, runs: list[Record], name: str, color: str, style: str, label: str | None) -> None:
    """The mean over the seeds at those epochs at which all have a value."""
    by_epoch = [dict(zip(r.curves['epoch'], r.curves[name], strict=True)) for r in runs]
    epochs = [e for e in by_epoch[0] if all(curve.get(e) is not None for curve in by_epoch)]
    means = [mean(curve[e] for curve in by_epoch) for e in epochs]
    axes.plot(epochs, means, style, color=color, label=label)

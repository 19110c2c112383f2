"""The figures of the page, drawn by Bokeh in the reader's browser, from data inside the page."""
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..common.errors import ConfigError
from .detections import ERRORS, SIZES, DetectionAnalysis
from .runs import MEAN_AP, TOP1_ERROR, ReportRun

if TYPE_CHECKING:
    from bokeh.plotting import figure

# told apart by people of all kinds of colour vision, on white and on black (after Okabe and Ito)
COLOURS = ('#2b8cd8', '#e08214', '#12a37a', '#d1588f', '#8a7be0', '#c9a400', '#d84a2b', '#5fb3c8')
MOST_CLASSES = 30
"""More classes than these would be too small to be read: of more, the telling ones are shown."""


def require_bokeh() -> None:
    """Raise ``ConfigError`` where Bokeh is missing."""
    try:
        import bokeh  # noqa: F401
    except ImportError:
        raise ConfigError(
            "the page's figures need bokeh: `pip install 'shufflenet_det[report]'`."
        ) from None


def new_figure(x: str, y: str, tooltips: Sequence[tuple[str, str]], **options: object) -> 'figure':
    """An empty figure as wide as its place; the page's script knows the colours of its text."""
    from bokeh.models import HoverTool
    from bokeh.plotting import figure

    settings = dict(height=300, sizing_mode='stretch_width', min_width=240) | options
    plot = figure(x_axis_label=x, y_axis_label=y, tools='', toolbar_location=None, **settings)
    plot.add_tools(HoverTool(tooltips=list(tooltips)))
    plot.background_fill_color = plot.border_fill_color = plot.outline_line_color = None
    return plot


def _legend(plot: 'figure') -> 'figure':
    """The legend below the figure, where it hides nothing on a narrow screen."""
    if not plot.legend:
        return plot
    legend = plot.legend[0]
    legend.click_policy = 'hide'
    legend.background_fill_color = legend.border_line_color = None
    legend.label_text_font_size = '11px'
    legend.spacing, legend.padding = 8, 2
    legend.orientation = 'horizontal'
    legend.ncols = 3
    plot.add_layout(legend, 'below')
    return plot


def curves(runs: Sequence[ReportRun]) -> dict[str, 'figure']:
    """Loss, learning rate and figures of the validation over iterations, a line a run."""
    logs = {run.name: run.history for run in runs if run.history.train}
    figures = {}
    parts = {name for log in logs.values() for row in log.train for name in row}
    losses = sorted(n for n in parts if n.startswith('loss_') or n.endswith('.loss')
                    or '_loss' in n)  # fmt: skip
    for key, title in (('loss', 'loss'), ('lr', 'learning rate')):
        lines = {n: _line(log.train, key) for n, log in logs.items()}
        if any(len(x) for x, _ in lines.values()):
            figures[title] = lines_figure('iteration', title, lines)
    if len(logs) == 1 and losses:
        (log,) = logs.values()
        figures['parts of the loss'] = lines_figure(
            'iteration', 'loss', {name: _line(log.train, name) for name in losses[:8]}
        )
    for key, title in ((MEAN_AP, 'mAP of the validation'),
                       (TOP1_ERROR, 'top-1 error of the validation, percent')):  # fmt: skip
        lines = {n: _line(log.validation, key) for n, log in logs.items()}
        lines = {n: line for n, line in lines.items() if line[0]}
        if lines:
            figures[title] = lines_figure('iteration', title, lines, points=True)
    return figures


def _line(rows: Sequence[Mapping], key: str) -> tuple[list[int], list[float]]:
    pairs = [(row['step'], row[key]) for row in rows if isinstance(row.get(key), (int, float))]
    return [x for x, _ in pairs], [y for _, y in pairs]


def lines_figure(
    x: str,
    y: str,
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    points: bool = False,
    **options: object,
) -> 'figure':
    """Lines by name; a click on a name in the legend hides its line."""
    plot = new_figure(x, y, [('', '$name'), (x, '@x{0.[000]}'), (y, '@y{0.[0000]}')], **options)
    for number, (name, (xs, ys)) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        dash = ('solid', 'dashed', 'dotted')[number // len(COLOURS) % 3]
        # the label as a dict: a string that is a column's name would be taken for the column
        label = dict(legend_label=name) if len(lines) > 1 else {}
        data = dict(x=_rounded(xs), y=_rounded(ys))
        plot.line('x', 'y', source=data, color=colour, line_width=2, line_dash=dash, name=name,
                  **label)  # fmt: skip
        if points or len(xs) == 1:
            plot.scatter('x', 'y', source=data, color=colour, size=7, name=name, **label)
    return _legend(plot)


def _rounded(values: Sequence[float]) -> list[float]:
    """Five digits: the page is smaller, and nobody sees more."""
    return [float(f'{value:.5g}') for value in values]


def precision_by_iou(analysis: DetectionAnalysis) -> 'figure':
    """Precision over recall, a line an IoU threshold, the mean of the classes that have objects."""
    measured = analysis.precision[..., analysis.precision[0, 0] > -1]
    lines = {
        f'IoU {iou:.2f}': (analysis.recalls[::2], measured[t].mean(axis=1)[::2])
        for t, iou in enumerate(analysis.ious)
        if measured.shape[-1]
    }
    return lines_figure('recall', 'precision', lines, y_range=(0, 1.02), height=340)


def precision_by_class(analysis: DetectionAnalysis, most: int = 12) -> 'figure':
    """Precision over recall at IoU 0.5, a line a class; of many, the best and the worst."""
    lines = {
        analysis.classes[c]: (analysis.recalls[::2], analysis.precision[0, ::2, c])
        for c in extremes(analysis.average_precision[:, 1], most)
    }
    return lines_figure('recall', 'precision at IoU 0.5', lines, y_range=(0, 1.02), height=340)


def extremes(values: np.ndarray, most: int) -> list[int]:
    """Places of measured values from the highest to the lowest; of many, both ends."""
    order = [i for i in np.argsort(-values, kind='stable') if values[i] >= 0]
    return order if len(order) <= most else order[: most // 2] + order[-(most // 2) :]


def average_precision(names: Sequence[str], analyses: Sequence[DetectionAnalysis]) -> 'figure':
    """AP of each class, over all sizes and by size; a colour a run."""
    from bokeh.models import FactorRange

    kept = extremes(analyses[0].average_precision[:, 0], MOST_CLASSES)
    classes = [analyses[0].classes[c] for c in kept][::-1]
    tooltips = [('', '$name'), ('class', '@y'), ('AP', '@x{0.000}')]
    plot = new_figure('average precision', '', tooltips, y_range=FactorRange(*classes),
                      x_range=(-0.02, 1.02), height=110 + 24 * len(classes))  # fmt: skip
    markers = {'all': (0, 'circle', 11), 'small': (3, 'triangle', 7), 'medium': (4, 'diamond', 9),
               'large': (5, 'square', 7)}  # fmt: skip
    for number, (run, analysis) in enumerate(zip(names, analyses, strict=True)):
        for size, (column, marker, width) in markers.items():
            values = {
                name: analysis.average_precision[analysis.classes.index(name), column]
                for name in classes
                if name in analysis.classes
            }
            shown = {name: value for name, value in values.items() if value >= 0}
            label = size if len(names) == 1 else f'{run}, {size}'
            if shown:
                colour = COLOURS[number if len(names) > 1 else ['all', *SIZES].index(size)]
                plot.scatter('x', 'y', marker=marker, size=width, color=colour, name=label,
                             alpha=1 if size == 'all' else 0.7, legend_label=label,
                             source=dict(x=_rounded(shown.values()), y=list(shown)))  # fmt: skip
    return _legend(plot)


def errors(names: Sequence[str], analyses: Sequence[DetectionAnalysis]) -> 'figure':
    """How much AP_50 rises without each of TIDE's kinds of errors, a bar a run."""
    from bokeh.models import FactorRange
    from bokeh.transform import dodge

    kinds = [ERRORS[kind][0] for kind in ERRORS][::-1]
    tooltips = [('', '$name'), ('AP_50 lost', '@x{0.000}'), ('number', '@n')]
    plot = new_figure('AP_50 lost', '', tooltips, y_range=FactorRange(*kinds),
                      height=200 + 60 * len(names))  # fmt: skip
    height = 0.8 / len(names)
    for number, (run, analysis) in enumerate(zip(names, analyses, strict=True)):
        lost, counts = zip(*(analysis.errors[kind] for kind in reversed(ERRORS)), strict=True)
        offset = ((len(names) - 1) / 2 - number) * height
        plot.hbar(dodge('y', offset, range=plot.y_range), right='x', height=height * 0.9,
                  color=COLOURS[number % len(COLOURS)], name=run,
                  source=dict(y=kinds, x=_rounded(lost), n=list(counts)),
                  **(dict(legend_label=run) if len(names) > 1 else {}))  # fmt: skip
    plot.x_range.start = 0
    return _legend(plot)


def confusion(classes: Sequence[str], counts: np.ndarray) -> 'figure':
    """Truth (rows) by answer (columns), shares of the row; of many classes, the most confused."""
    from bokeh.models import FactorRange

    labels = [*classes, 'background'][: len(counts)]
    wrong = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
    ends = [len(counts) - 1] if len(counts) > len(classes) else []
    kept = sorted(np.argsort(-wrong[: len(classes)], kind='stable')[:MOST_CLASSES]) + ends
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = [(i, j) for i in kept for j in kept if counts[i, j]]
    shown = [labels[i] for i in kept]
    plot = new_figure('answer', 'truth', [('truth', '@y'), ('answer', '@x'), ('number', '@n'),
                                          ('of the truth', '@share{0.0%}')],
                      x_range=FactorRange(*shown), y_range=FactorRange(*shown[::-1]),
                      height=160 + max(24 * len(shown), 150))  # fmt: skip
    plot.xaxis.major_label_orientation = 0.9
    plot.grid.visible = False
    plot.rect('x', 'y', width=0.96, height=0.94, fill_color=COLOURS[0], line_color=None,
              fill_alpha='alpha', source=dict(
                  x=[labels[j] for _, j in cells], y=[labels[i] for i, _ in cells],
                  n=[int(counts[c]) for c in cells], share=_rounded([shares[c] for c in cells]),
                  alpha=_rounded([0.08 + 0.85 * shares[c] for c in cells])))  # fmt: skip
    if len(shown) <= 12:
        texts = dict(x=[labels[j] for _, j in cells], y=[labels[i] for i, _ in cells],
                     n=[str(counts[c]) for c in cells])  # fmt: skip
        plot.text('x', 'y', text='n', text_align='center', text_baseline='middle',
                  text_font_size='12px', source=texts)  # fmt: skip
    return plot


def calibration(bins_by_run: Mapping[str, Sequence[tuple]]) -> 'figure':
    """Share of right answers by score; on the diagonal a score means what it says."""
    from bokeh.models import Slope

    lines = {}
    for run, bins in bins_by_run.items():
        filled = [row for row in bins if row[3]]
        lines[run] = ([row[1] for row in filled], [row[2] for row in filled])
    plot = lines_figure('score', 'share right', lines, points=True, y_range=(0, 1.02),
                        x_range=(0, 1.02))  # fmt: skip
    plot.add_layout(Slope(gradient=1, y_intercept=0, line_color='#8a939c', line_dash='dotted'))
    return plot


def thresholds(analysis: DetectionAnalysis) -> 'figure':
    """Precision, recall and F1 of all detections above a score."""
    rows = analysis.thresholds
    # some hundred are enough for the eye
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, 200).astype(int))] if len(rows) else rows
    lines = {
        name: (rows[:, 0], rows[:, column])
        for name, column in (('precision', 1), ('recall', 2), ('F1', 3))
    }
    return lines_figure('least score', 'share', lines, y_range=(0, 1.02), x_range=(0, 1.02))


def errors_by_class(names: Sequence[str], shares: Sequence[Mapping[str, float]]) -> 'figure':
    """Top-1 error of each class, a marker a run; of many classes, the hardest."""
    from bokeh.models import FactorRange

    hardest = sorted(shares[0], key=lambda name: -shares[0][name])[: 2 * MOST_CLASSES]
    plot = new_figure('top-1 error, percent', '', [('', '$name'), ('class', '@y'),
                                                   ('error', '@x{0.0}%')],
                      y_range=FactorRange(*hardest[::-1]), x_range=(-2, 102),
                      height=110 + 20 * len(hardest))  # fmt: skip
    for number, (run, share) in enumerate(zip(names, shares, strict=True)):
        own = {name: share[name] for name in hardest if name in share}
        label = dict(legend_label=run) if len(names) > 1 else {}
        plot.scatter('x', 'y', size=10, color=COLOURS[number % len(COLOURS)], name=run, **label,
                     source=dict(x=_rounded(own.values()), y=list(own)))  # fmt: skip
    return _legend(plot)

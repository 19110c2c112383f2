"""The tables of the page: figures of the runs side by side, with their differences."""
from collections.abc import Sequence
from pathlib import Path

from ..evaluation import FIGURES
from ..paper.figures import CLASSIFIERS, DETECTORS
from ..paper.runs import ALIASES, COCO, IMAGENET
from .detections import ERRORS, DetectionAnalysis
from .runs import MEAN_AP, TOP1_ERROR, ReportRun

MINUS = '\u2212'
"""A true minus: the style sheet knows differences by their sign."""


def show(value: float | None, digits: int = 3) -> str:
    """A figure; the COCO API's -1 is that of nothing to measure."""
    return '' if value is None else '-' if value < 0 else f'{value:.{digits}f}'


def difference(value: float | None, first: float | None, digits: int = 3) -> str:
    """Of two figures, with its sign; empty where one of them is none."""
    if value is None or first is None or value < 0 or first < 0:
        return ''
    change = value - first
    if round(abs(change), digits) == 0:
        return '='
    return ('+' if change > 0 else MINUS) + f'{abs(change):.{digits}f}'


def results(runs: Sequence[ReportRun], comparable: bool) -> dict:
    """The figures of the tests: a row a run, and a row of differences to the first run below it."""
    if runs[0].is_classifier:
        names = sorted({name for run in runs for name in run.figures})
        head = ['run', 'images', *(f'{name.partition("/")[2]} error, %' for name in names)]
        digits = 2
    else:
        names = [f'coco/bbox_{figure}' for figure in FIGURES]
        head = ['run', 'short side', 'images', *FIGURES]
        digits = 3
    rows = []
    for number, run in enumerate(runs):
        side = run.metrics.get('resolution')
        first = [run.name, *([] if runs[0].is_classifier else [min(side) if side else ''])]
        rows.append([*first, run.metrics.get('images', 'not tested'),
                     *(show(run.figures.get(name), digits) for name in names)])  # fmt: skip
        if number and comparable:
            changes = [
                difference(run.figures.get(name), runs[0].figures.get(name), digits)
                for name in names
            ]
            if runs[0].is_classifier:
                # more of an error is worse: without the colour of a gain
                changes = [f'({change})' if change else '' for change in changes]
            blank = [''] * (len(first))
            rows.append([f'difference to {runs[0].name}', *blank, *changes])
    return dict(head=head, rows=rows)


def paper(runs: Sequence[ReportRun]) -> list[dict]:
    """The paper's figures beside those of runs that are of the paper's data, COCO or ImageNet."""
    rows = []
    for run in runs:
        config = Path(run.metrics.get('config', '')).stem
        config = ALIASES.get(config, config)
        size = (run.metrics.get('classes'), run.metrics.get('images'))
        if size == (COCO.classes, COCO.images) and MEAN_AP in run.figures:
            model = next((row.model for row in DETECTORS if row.config == config), None)
            side = min(run.metrics.get('resolution') or [0])
            rows += [
                [run.name, f'{row.model} at {row.resolution}', f'{row.mean_ap:.1f}',
                 f'{100 * run.figures[MEAN_AP]:.1f}' if row.resolution == side else '']
                for row in DETECTORS
                if row.model == model
            ]  # fmt: skip
            title, unit = "The paper's Table 7 (on COCO's minival)", 'mAP, %'
        elif size == (IMAGENET.classes, IMAGENET.images) and TOP1_ERROR in run.figures:
            of_the_paper = {row.config: row for table in CLASSIFIERS.values() for row in table}
            row = of_the_paper.get(config)
            if row is not None and row.error is not None:
                ours = run.figures[TOP1_ERROR]
                rows.append([run.name, row.model, f'{row.error:.1f}', f'{ours:.1f}'])
            title, unit = "The paper's Tables 2 to 6", 'top-1 error, %'
    if not rows:
        return []
    return [dict(title=title, head=['run', 'model', f'{unit}, paper', f'{unit}, here'], rows=rows)]


def classes(runs: Sequence[ReportRun], comparable: bool) -> dict:
    """Figures by class of ``metrics.json``; of several runs the mAP of each."""
    tables = [run.metrics.get('per_class', {}).get('bbox', {}) for run in runs]
    names = list(dict.fromkeys(name for table in tables for name in table))
    if len(runs) == 1:
        rows = [[name, *(show(tables[0][name].get(f)) for f in FIGURES[:6])] for name in names]
        return dict(head=['class', *FIGURES[:6]], rows=rows, folded='the figures')
    rows = []
    for name in names:
        values = [table.get(name, {}).get('mAP') for table in tables]
        changes = [difference(value, values[0]) for value in values[1:]] if comparable else []
        rows.append([name, *map(show, values), *changes])
    head = ['mAP', *(run.name for run in runs)]
    head += [f'{run.name}, difference' for run in runs[1:]] if comparable else []
    return dict(head=head, rows=rows, folded='the figures')


def errors(names: Sequence[str], analyses: Sequence[DetectionAnalysis]) -> dict:
    """TIDE's kinds of errors: what they are, what they cost, how many there are."""
    head = ['error']
    for name in names:
        of = f', {name}' if len(names) > 1 else ''
        head += [f'AP_50 lost{of}', f'number{of}']
    rows = []
    for kind, (title, meaning) in ERRORS.items():
        rows.append([f'{title}: {meaning}'])
        for analysis in analyses:
            lost, number = analysis.errors[kind]
            rows[-1] += [f'{lost:.3f}', number]
    return dict(head=head, rows=rows)


def thresholds(names: Sequence[str], analyses: Sequence[DetectionAnalysis]) -> list[dict]:
    """The score that is best for F1, of all classes together and of each."""
    head = ['least score', 'precision', 'recall', 'F1']
    overall = [
        [name, *(f'{v:.3f}' for v in a.best), f'{a.calibration_error:.3f}']
        for name, a in zip(names, analyses, strict=True)
    ]
    by_class = [
        [*([name] if len(names) > 1 else []), label, *(f'{v:.3f}' for v in best)]
        for name, analysis in zip(names, analyses, strict=True)
        for label, best in zip(analysis.classes, analysis.best_by_class, strict=True)
        if best is not None
    ]
    return [
        dict(title='The score that is best for F1, at IoU 0.5',
             head=['run', *head, 'calibration error (ECE)'], rows=overall),
        dict(head=[*(['run'] if len(names) > 1 else []), 'class', *head], rows=by_class,
             folded='by class'),
    ]  # fmt: skip


def engines(runs: Sequence[ReportRun]) -> dict | None:
    """Speed and size of what was tested; None where no exported network was."""
    rows, some = [], False
    for run in runs:
        tested = [run.metrics] if run.metrics and not run.metrics.get('engine') else []
        for content in [*tested, *run.engines]:
            some |= 'engine' in content
            figure = MEAN_AP if MEAN_AP in content['metrics'] else TOP1_ERROR
            value, time = content['metrics'].get(figure), content.get('milliseconds')
            size = content.get('size_bytes')
            rows.append(
                [run.name, content.get('engine', 'PyTorch'),
                 show(value, 3 if figure == MEAN_AP else 2), f'{time:.1f}' if time else '',
                 f'{size / 1e6:.1f}' if size else '']
            )  # fmt: skip
    quality = 'top-1 error, %' if runs[0].is_classifier else 'mAP'
    head = ['run', 'engine', quality, 'ms an image', 'MB (PyTorch: the checkpoint)']
    return dict(head=head, rows=rows) if some else None


def about(runs: Sequence[ReportRun]) -> dict:
    """What the figures are figures of."""
    rows = []
    for key, title in (
        ('config', 'config'),
        ('checkpoint', 'checkpoint'),
        ('checkpoint_sha256', 'its SHA-256'),
        ('pretrained', 'start of the weights'),
        ('annotations', 'annotations'),
        ('images_folder', 'images'),
        ('classes', 'number of classes'),
        ('date', 'tested'),
        ('command', 'command of the test'),
        ('evaluated_by', 'figures computed by'),
    ):
        values = [run.metrics.get(key) for run in runs]
        if any(value is not None for value in values):
            rows.append([title, *('' if value is None else str(value) for value in values)])
    packages = list(dict.fromkeys(p for run in runs for p in run.metrics.get('versions', {})))
    rows += [[p, *(run.metrics.get('versions', {}).get(p, '') for run in runs)] for p in packages]
    rows.append(['work folder', *(str(run.folder) for run in runs)])
    return dict(head=['', *(run.name for run in runs)], rows=rows, prose=True)

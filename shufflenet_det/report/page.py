"""One page for one run or several: what it learned, which classes fail, what the errors are."""
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from shufflenet_runtime.hashing import sha256

from ..common.cli import check_writable, write_atomically
from ..common.errors import ConfigError, DataError
from ..evaluation import CheckedCocoMetric, TopKError
from ..version import __version__
from . import classification, detections, figures, tables
from .images import Gallery, most_wrong, worst_images
from .runs import ReportRun, read_runs

HERE = Path(__file__).resolve().parent
IMAGES = 40
CALIBRATION = 'calibration: on the dotted line a score means what it says'


def write_report(
    folders: Sequence[str | Path], out: str | Path, images: int = IMAGES, title: str = ''
) -> Path:
    """Write the page of the runs in ``folders`` to ``out``.

    The page is one file that needs no network. What a run lacks (a log, a validation, detections,
    images) is said on it and left out.

    Args:
        folders: work folders of tools/train.py and tools/test.py; the others are compared with
            the first.
        out: HTML file to write.
        images: most images to show; fewer where they would make the page too large.
        title: of the page.

    Raises:
        ConfigError: a folder without a run, detectors and classifiers together, or a package that
            the page needs is missing.
        DataError: a file of a run is damaged.
    """
    figures.require_bokeh()
    out = Path(out)
    if out.suffix not in ('.html', '.htm'):
        raise ConfigError(f'{out}: the name of the page must end in .html.')
    check_writable(out.absolute().parent, '--out')
    runs = read_runs([Path(folder) for folder in folders])
    if not runs[0].is_classifier and any(run.results for run in runs):
        detections.require_hotcoco()
    page = _Page(runs, images)
    write_atomically(out, page.html(title or ' and '.join(run.name for run in runs)))
    return out


def require_reportable(metric: CheckedCocoMetric | TopKError | None) -> None:
    """Raise before a test where there could be no page after it.

    Raises:
        ConfigError: the metric is none of ours, which keep what the page shows, or a package that
            the page needs is missing.
    """
    if metric is None:
        raise ConfigError(
            '--report needs test_evaluator.type=CheckedCocoMetric, or TopKError for a classifier.'
        )
    figures.require_bokeh()
    if isinstance(metric, CheckedCocoMetric):
        detections.require_hotcoco()


class _Page:
    """The sections of a page, each with texts, tables and figures."""

    def __init__(self, runs: list[ReportRun], images: int) -> None:
        self.runs = runs
        self.tested = [run for run in runs if run.metrics]
        self.items: list[dict] = []
        self.gallery = Gallery()
        self.best = 0.3
        self.notes: list[str] = []
        different = _different_data(self.tested)
        self.comparable = not different
        self.notes += different
        self.sections = [self._results()]
        if any(run.history.train for run in runs):
            status = [f'{r.name}: {r.history.status}' for r in runs if r.history.train]
            self._add('curves', 'Training', figures.curves(runs), ' '.join(status))
        (self._classifier if runs[0].is_classifier else self._detector)(images)
        engines = tables.engines(runs)
        if engines:
            self._section('engines', 'Engines', 'Time of an image in the test, post-processing '
                          'included, on the machine that tested.', [engines])  # fmt: skip
        configs = [dict(title=f'config of the training, {run.name}', text=run.history.config)
                   for run in runs if run.history.config]  # fmt: skip
        self._section('about', 'About', '', [tables.about(runs)])['texts'] = configs
        for run in runs:
            named = f'{run.name}: ' if len(runs) > 1 else ''
            self.notes += [named + note for note in run.notes]

    def html(self, title: str) -> str:
        from bokeh.resources import Resources
        from jinja2 import Environment, FileSystemLoader

        data = dict(
            figures=self.items,
            images=[{k: v for k, v in e.items() if k != 'src'} for e in self.gallery.entries],
        )
        # "</script>" in a name would end the page's data
        text = json.dumps(data, separators=(',', ':')).replace('</', '<\\/')
        template = Environment(loader=FileSystemLoader(HERE), autoescape=True).get_template(
            'page.html'
        )
        return template.render(
            title=title,
            date=datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z'),
            version=__version__,
            notes=self.notes,
            sections=self.sections,
            images=self.gallery.entries,
            runs=[run.name for run in self.runs],
            best=round(self.best, 2),
            bokeh=Resources(mode='inline', components=['bokeh']).render_js(),
            css=(HERE / 'page.css').read_text(),
            script=(HERE / 'page.js').read_text(),
            data=text,
        )

    def _section(self, name: str, title: str, text: str = '', tables_: Sequence[dict] = ()) -> dict:
        section = dict(id=name, title=title, text=text, tables=list(tables_), figures=[])
        self.sections.append(section)
        return section

    def _add(self, name: str, title: str, plots: dict, text: str = '',
             tables_: Sequence[dict] = ()) -> dict:  # fmt: skip
        """A section with figures by title."""
        from bokeh.embed import json_item

        section = self._section(name, title, text, tables_)
        for heading, plot in plots.items():
            place = f'figure-{len(self.items)}'
            self.items.append(json_item(plot, place))
            section['figures'].append(dict(id=place, title=heading))
        return section

    def _results(self) -> dict:
        shown = [tables.results(self.tested, self.comparable)] if self.tested else []
        text = '' if self.tested else 'None of these runs was tested.'
        if self.tested and not self.runs[0].is_classifier:
            text = "The COCO API's twelve figures, as in metrics.json; - is nothing to measure."
        return dict(id='results', title='Results', text=text,
                    tables=shown + tables.paper(self.tested), figures=[])  # fmt: skip

    def _detector(self, images: int) -> None:
        found = [(run, analysis) for run in self.tested if (analysis := _analysis(run))]
        if any(run.metrics.get('per_class') for run in self.tested):
            shown = found if self.comparable else found[:1]
            plots = {}
            if shown:
                plots['AP by class and size'] = figures.average_precision(
                    [run.name for run, _ in shown], [analysis for _, analysis in shown]
                )
            self._add('classes', 'Classes', plots,
                      tables_=[tables.classes(self.tested, self.comparable)])  # fmt: skip
        if not found:
            return
        names = [run.name for run, _ in found]
        analyses = [analysis for _, analysis in found]
        several = len(found) > 1
        of = {name: f', {name}' if several else '' for name in names}
        self.best = min(max(analyses[0].best[0], 0.05), 1)
        plots = {}
        for name, analysis in zip(names, analyses, strict=True):
            plots[f'by IoU, mean of the classes{of[name]}'] = figures.precision_by_iou(analysis)
            plots[f'by class, at IoU 0.5{of[name]}'] = figures.precision_by_class(analysis)
        self._add('precision', 'Precision and recall', plots)
        self._add('errors', 'Errors', {'AP_50 lost by kind': figures.errors(names, analyses)},
                  'By TIDE (Bolya et al., 2020): each kind of error is mended alone, and the rise '
                  'of AP_50 is what it costs.', [tables.errors(names, analyses)])  # fmt: skip
        self._add('confusion', 'Confusion', {
            f'detections with a score of at least {a.best[0]:.2f}{of[name]}':
            figures.confusion(a.classes, a.confusion)
            for name, a in zip(names, analyses, strict=True)
        }, 'Truth by answer at IoU 0.5. The column "background" counts missed objects, the row '
           '"background" detections of nothing.')  # fmt: skip
        bins = {name: a.bins for name, a in zip(names, analyses, strict=True)}
        plots = {CALIBRATION: figures.calibration(bins)}
        for name, analysis in zip(names, analyses, strict=True):
            plots[f'by least score{of[name]}'] = figures.thresholds(analysis)
        self._add('scores', 'Scores', plots, tables_=tables.thresholds(names, analyses))
        if self.comparable:
            folder = next((f for r, _ in found if (f := r.metrics.get('images_folder'))
                           and Path(f).is_dir()), None)  # fmt: skip
            worst_images(self.gallery, folder, names, analyses, images)
        else:
            for run, analysis in found:
                worst_images(self.gallery, run.metrics.get('images_folder'), [run.name],
                             [analysis], images // len(found))  # fmt: skip
        text = (
            f'Those with the most errors first, counted at the score that is best for F1 '
            f'({self.best:.2f}); the slider changes what is drawn.'
        )
        self._images('detections', text)

    def _classifier(self, images: int) -> None:
        shares = [run.metrics.get('per_class') or {} for run in self.tested]
        if self.tested and shares[0]:
            names = [run.name for run in self.tested]
            shown = len(names) if self.comparable else 1
            self._add('classes', 'Classes', {
                'top-1 error by class': figures.errors_by_class(names[:shown], shares[:shown])
            })  # fmt: skip
        found = [(run, classification.analyse(run.results, run.metrics.get('per_class') or {}))
                 for run in self.tested if run.results]  # fmt: skip
        if not found:
            return
        of = {run.name: f', {run.name}' if len(found) > 1 else '' for run, _ in found}
        pairs = [dict(title=f'the most frequent errors{of[run.name]}',
                      head=['truth', 'answer', 'images'], rows=[list(p) for p in a.pairs[:12]])
                 for run, a in found]  # fmt: skip
        self._add('confusion', 'Confusion', {
            f'truth by answer{of[run.name]}': figures.confusion(a.classes, a.confusion)
            for run, a in found
        }, tables_=pairs)  # fmt: skip
        scores = [[run.name, f'{a.calibration_error:.3f}'] for run, a in found]
        plot = figures.calibration({run.name: a.bins for run, a in found})
        self._add('scores', 'Scores', {CALIBRATION: plot},
                  tables_=[dict(head=['run', 'calibration error (ECE)'], rows=scores)])  # fmt: skip
        for run, analysis in found:
            most_wrong(self.gallery, run.name, analysis, images // len(found))
        self._images('classes', 'The surest wrong answers.')

    def _images(self, kind: str, text: str) -> None:
        self._section('images', 'Images', text)['gallery'] = kind
        missing, left_out = self.gallery.missing, self.gallery.left_out
        if missing:
            self.notes.append(
                f'{len(missing)} of the {len(self.gallery.entries)} images shown are no longer '
                f'where they were tested or cannot be read; the first is {missing[0]}.'
            )
        if left_out:
            self.notes.append(f'{left_out} images are left out to keep the page small.')


def _analysis(run: ReportRun) -> detections.DetectionAnalysis | None:
    """The analysis of a run's detections; what hinders it becomes one of the run's notes."""
    names = list(run.metrics.get('per_class', {}).get('bbox', {}))
    if run.results is None or not names:
        return None
    try:
        if not run.metrics['annotations']:
            raise DataError('the test does not say which annotations it compared with.')
        analysis = detections.analyse(
            run.metrics['annotations'], run.results, names, run.metrics.get('image_ids')
        )
    except DataError as error:
        run.notes.append(f'Errors and images are not shown: {error}')
        return None
    tested = [run.figures.get(f'coco/bbox_{figure}') for figure in tables.FIGURES]
    pairs = zip(tested, analysis.stats, strict=True)
    if any(t is not None and abs(t - v) > 1e-6 for t, v in pairs):
        run.notes.append(
            f'The detections kept give mAP {analysis.stats[0]:.3f}, the test had {tested[0]:.3f}: '
            f'annotations or detections were changed since. Test again.'
        )
    return analysis


def _different_data(runs: Sequence[ReportRun]) -> list[str]:
    """A note where the runs were not tested on the same data, and must not be compared."""
    kinds: dict[tuple, list[ReportRun]] = {}
    for run in runs:
        file = run.metrics.get('annotations')
        content = sha256(file) if file and Path(file).is_file() else file
        per_class = run.metrics.get('per_class') or {}
        names = tuple(sorted(per_class.get('bbox', per_class)))
        folder = None if content else run.metrics.get('images_folder')
        kinds.setdefault((content, folder, run.metrics.get('images'), names), []).append(run)
    if len(kinds) < 2:
        return []
    groups = '; '.join(
        f'{", ".join(run.name for run in group)}: {group[0].metrics.get("images", "?")} images and '
        f'{group[0].metrics.get("classes", "?")} classes of '
        f'{group[0].metrics.get("annotations") or group[0].metrics.get("images_folder")}'
        for group in kinds.values()
    )
    return [f'These runs were tested on different data, so that their figures say nothing about '
            f'which is better, and no differences are given. {groups}.']  # fmt: skip

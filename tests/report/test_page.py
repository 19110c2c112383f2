"""The page: what it says is what was measured, and it says what it lacks."""
import json
import os
import re
import shutil
import time
from pathlib import Path

from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.evaluation import FIGURES
from shufflenet_det.paper.figures import DETECTORS
from shufflenet_det.report import read_runs, write_report

import pytest

from .browser import DRAWN, Browser
from .work_folders import CLASSES, write_classifier, write_data, write_detector, write_log

pytest.importorskip('bokeh', reason='bokeh, of the extra `report`, is not installed')
pytest.importorskip('hotcoco', reason='hotcoco, of the extra `report`, is not installed')


@pytest.fixture(scope='module')
def folders(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('runs')
    data = write_data(root / 'data')
    write_detector(root / 'first', data)
    write_detector(root / 'second', data, noise=3.0, seed=1, validation=False)
    write_classifier(root / 'classifier')
    return root


@pytest.fixture
def moved(folders, tmp_path) -> Path:
    """A copy of the first run, to be damaged."""
    shutil.copytree(folders / 'first', tmp_path / 'run')
    return tmp_path / 'run'


def text_of(*runs: Path, **kwargs) -> str:
    return write_report(runs, runs[0] / 'page.html', **kwargs).read_text()


def rows_of(page: str) -> list[list[str]]:
    """Cells of the page's tables."""
    return [
        re.findall(r'<t[dh][^>]*>(.*?)</t[dh]>', row)
        for row in re.findall(r'<tr>(.*?)</tr>', page, flags=re.S)
    ]


def notes_of(page: str) -> str:
    return '\n'.join(re.findall(r'<p class="note">(.*?)</p>', page, flags=re.S))


def data_of(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page,
                         flags=re.S)  # fmt: skip
    return json.loads(text)


def test_figures_are_those_of_metrics_json(folders):
    rows = rows_of(text_of(folders / 'first'))
    content = json.loads((folders / 'first' / 'metrics.json').read_text())
    expected = [content['metrics'][f'coco/bbox_{figure}'] for figure in FIGURES]
    assert rows[0][3:] == list(FIGURES)
    assert rows[1] == ['first', '300', '30', *('-' if v < 0 else f'{v:.3f}' for v in expected)]
    classes = content['per_class']['bbox']
    by_class = {row[0]: row[1:] for row in rows if row and row[0] in CLASSES and len(row) == 7}
    assert by_class == {
        name: ['-' if v < 0 else f'{v:.3f}' for v in figures.values()]
        for name, figures in classes.items()
    }


def test_errors_of_the_images_add_up_to_the_figures(folders):
    page = text_of(folders / 'first', images=30)
    (row,) = [r for r in rows_of(page) if r[0] == 'first' and len(r) == 6]
    best, precision, recall = map(float, row[1:4])
    images = [image['runs']['first'] for image in data_of(page)['images']]
    assert len(images) == 30
    # as the page's script counts; scores in the page have three digits
    right = sum(b[6] for i in images for b in i['found'] if b[5] >= best - 5e-4)
    wrong = sum(not b[6] for i in images for b in i['found'] if b[5] >= best - 5e-4)
    objects = sum(len(i['truth']) for i in images)
    assert objects == 60
    assert right / (right + wrong) == pytest.approx(precision, abs=2e-3)
    assert right / objects == pytest.approx(recall, abs=2e-3)
    assert sum(t[5] >= best - 5e-4 for i in images for t in i['truth']) == right
    worst = [image['wrong'] + image['missed'] for image in images]
    assert worst == sorted(worst, reverse=True)
    assert worst[0] > worst[-1]


def test_runs_side_by_side_have_differences(folders):
    page = text_of(folders / 'first', folders / 'second')
    first, second = (
        json.loads((folders / name / 'metrics.json').read_text())['metrics']['coco/bbox_mAP']
        for name in ('first', 'second')
    )
    (row,) = [r for r in rows_of(page) if r[0] == 'difference to first']
    assert row[3].replace('\u2212', '-') == f'{second - first:+.3f}'
    assert set(data_of(page)['images'][0]['runs']) == {'first', 'second'}
    assert 'second: It was trained without validation' in notes_of(page)


def test_runs_of_other_data_are_shown_and_not_compared(folders, tmp_path):
    data = write_data(tmp_path / 'other', images=8)
    write_detector(tmp_path / 'stranger', data)
    page = text_of(tmp_path / 'stranger', folders / 'first')
    assert 'tested on different data' in notes_of(page)
    assert 'difference' not in ' '.join(cell for row in rows_of(page) for cell in row)
    assert {tuple(image['runs']) for image in data_of(page)['images']} == {
        ('stranger',), ('first',)
    }  # fmt: skip


def test_classifier_has_its_errors_by_class_and_the_surest_wrong_images(folders):
    page = text_of(folders / 'classifier')
    content = json.loads((folders / 'classifier' / 'metrics.json').read_text())
    assert f'{content["metrics"]["error/top1"]:.2f}' in rows_of(page)[1]
    records = json.loads((folders / 'classifier' / 'results.json').read_text())
    answers = [(r['label'], *next(iter(r['predictions'].items())), r['path']) for r in records]
    wrong = sorted((a for a in answers if a[0] != a[1]), key=lambda a: -a[2])
    assert len(wrong) == round(content['metrics']['error/top1'] * 40 / 100)
    shown = [image['name'] for image in data_of(page)['images']]
    assert shown == [Path(a[3]).name for a in wrong]
    pairs = [row for row in rows_of(page) if len(row) == 3 and row[2].isdigit()]
    assert 0 < sum(int(row[2]) for row in pairs) <= len(wrong)


def test_a_run_that_goes_on_and_one_that_stopped(tmp_path):
    for name in ('goes_on', 'stopped'):
        (tmp_path / name).mkdir()
        write_log(tmp_path / name, steps=40, goal=60)
    log = tmp_path / 'stopped' / '20260102_030405' / 'vis_data' / 'scalars.json'
    os.utime(log, (time.time() - 7200,) * 2)
    notes = notes_of(text_of(tmp_path / 'goes_on'))
    assert 'Training is still going: iteration 40 of 60' in notes
    assert 'It was not tested' in notes
    assert 'Training stopped: iteration 40 of 60, 2.0 h before' in notes_of(
        text_of(tmp_path / 'stopped')
    )


def test_half_a_last_line_is_that_of_a_run_that_goes_on(tmp_path):
    (tmp_path / 'run').mkdir()
    write_log(tmp_path / 'run', steps=40)
    log = tmp_path / 'run' / '20260102_030405' / 'vis_data' / 'scalars.json'
    log.write_text(log.read_text() + '{"lr": 0.0')
    assert read_runs([tmp_path / 'run'])[0].history.train[-1]['step'] == 40
    log.write_text('{"lr": 0.0\n' + log.read_text())
    with pytest.raises(DataError, match='line 1 is damaged'):
        read_runs([tmp_path / 'run'])


def test_resumed_parts_are_one_curve(tmp_path):
    (tmp_path / 'run').mkdir()
    write_log(tmp_path / 'run', steps=40)
    later = tmp_path / 'run' / '20260102_040000' / 'vis_data'
    later.mkdir(parents=True)
    rows = [dict(loss=9.0, lr=1.0, step=step) for step in (30, 60)]
    (later / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))
    history = read_runs([tmp_path / 'run'])[0].history
    assert [row['step'] for row in history.train] == [10, 20, 30, 60]
    assert history.train[2]['loss'] == 9.0
    assert [row['step'] for row in history.validation] == [20]


def test_images_moved_since_are_said_and_their_boxes_shown(moved):
    content = json.loads((moved / 'metrics.json').read_text())
    content['images_folder'] = str(moved / 'gone')
    (moved / 'metrics.json').write_text(json.dumps(content))
    page = text_of(moved)
    assert '30 of the 30 images shown are no longer where they were' in notes_of(page)
    assert len(data_of(page)['images']) == 30


def test_results_are_found_beside_a_folder_that_has_moved(moved):
    content = json.loads((moved / 'metrics.json').read_text())
    content['results'] = '/elsewhere/results.json'
    (moved / 'metrics.json').write_text(json.dumps(content))
    assert read_runs([moved])[0].results
    (moved / 'results.json').unlink()
    page = text_of(moved)
    assert 'results are no longer in /elsewhere/results.json' in notes_of(page)
    assert 'id="errors"' not in page


def test_annotations_that_changed_since_are_said(moved, folders, tmp_path):
    content = json.loads((moved / 'metrics.json').read_text())
    truth = json.loads(Path(content['annotations']).read_text())
    truth['annotations'] = truth['annotations'][:-9]
    changed = tmp_path / 'changed.json'
    changed.write_text(json.dumps(truth))
    content['annotations'] = str(changed)
    (moved / 'metrics.json').write_text(json.dumps(content))
    assert 'were changed since' in notes_of(text_of(moved))
    changed.unlink()
    assert 'changed.json is missing' in notes_of(text_of(moved))


def test_part_of_the_images_is_analysed_alone(folders, tmp_path):
    content = write_detector(tmp_path / 'part', folders / 'data', most=7)
    assert content['image_ids'] == [1, 2, 3, 4, 5, 6, 7]
    page = text_of(tmp_path / 'part')
    assert 'changed since' not in notes_of(page) and 'not shown' not in notes_of(page)
    assert len(data_of(page)['images']) == 7


def test_test_without_annotations_is_said(moved):
    content = json.loads((moved / 'metrics.json').read_text())
    (moved / 'metrics.json').write_text(json.dumps(content | dict(annotations=None)))
    assert 'does not say which annotations' in notes_of(text_of(moved))


def test_a_folder_without_a_run_is_an_error_that_names_others(folders, tmp_path):
    with pytest.raises(ConfigError, match=r'holds no run.*first, .*second\?'):
        write_report([folders], tmp_path / 'page.html')
    with pytest.raises(ConfigError, match='no such work folder'):
        write_report([tmp_path / 'none'], tmp_path / 'page.html')
    with pytest.raises(ConfigError, match='more than once'):
        write_report([folders / 'first', folders / 'first'], tmp_path / 'page.html')
    with pytest.raises(ConfigError, match='no figure in common'):
        write_report([folders / 'first', folders / 'classifier'], tmp_path / 'page.html')
    with pytest.raises(ConfigError, match='.html'):
        write_report([folders / 'first'], tmp_path / 'page.pdf')
    assert not list(tmp_path.iterdir())


def test_damaged_metrics_are_an_error(moved):
    (moved / 'metrics.json').write_text('{"config": ')
    with pytest.raises(DataError, match='metrics.json is damaged'):
        read_runs([moved])


def test_coco_runs_stand_beside_table_7(moved):
    content = json.loads((moved / 'metrics.json').read_text())
    name = 'faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-300'
    content.update(config=f'configs/faster_rcnn/{name}.py', classes=80, images=5000)
    (moved / 'metrics.json').write_text(json.dumps(content))
    rows = [row for row in rows_of(text_of(moved)) if 'ShuffleNet 1x' in ' '.join(row)]
    ours = f'{100 * content["metrics"]["coco/bbox_mAP"]:.1f}'
    paper = {row.resolution: f'{row.mean_ap:.1f}' for row in DETECTORS if row.config == name}
    assert rows[0][2:] == [paper[300], ours]
    assert [row[3] for row in rows] == [ours, '']


def test_engines_are_listed_with_speed_and_size(moved):
    content = json.loads((moved / 'metrics.json').read_text())
    (moved / 'onnxruntime').mkdir()
    content.update(engine='onnxruntime', milliseconds=12.34, size_bytes=5_600_000)
    (moved / 'onnxruntime' / 'metrics.json').write_text(json.dumps(content))
    (row,) = [row for row in rows_of(text_of(moved)) if 'onnxruntime' in row]
    assert row[3:] == ['12.3', '5.6']


def test_names_cannot_end_the_script(folders, tmp_path):
    data = write_data(tmp_path / 'data', images=4)
    write_detector(tmp_path / '<script>alert(1)<', data)
    page = text_of(tmp_path / '<script>alert(1)<')
    outside = re.sub(r'<script type="application/json".*?</script>', '', page, flags=re.S)
    assert '<script>alert(1)' not in outside
    assert data_of(page)['images']


def test_150_images_stay_below_5_mb(folders, tmp_path):
    data = write_data(tmp_path / 'data', images=150)
    write_detector(tmp_path / 'run', data)
    path = write_report([tmp_path / 'run'], tmp_path / 'page.html', images=150)
    assert path.stat().st_size < 5e6
    page = path.read_text()
    assert len(data_of(page)['images']) + sum(
        int(n) for n in re.findall(r'(\d+) images are left out', page)
    ) == 150  # fmt: skip


@pytest.mark.parametrize(
    ('width', 'dark'), [(1200, False), (390, True)], ids=['desktop, light', 'phone, dark']
)
def test_in_a_browser_all_is_drawn_and_the_slider_works(folders, width, dark):
    path = write_report([folders / 'first', folders / 'second'], folders / 'two.html')
    with Browser(path, width=width, dark=dark) as browser:
        assert not browser.errors
        # the page itself and what is inside it: nothing from elsewhere
        assert not [r for r in browser.requests if not r.startswith(('file:', 'data:'))]
        drawn = browser.evaluate(DRAWN)
        assert len(drawn) > 10
        assert all(drawn)
        widths = browser.evaluate('[document.documentElement.scrollWidth, innerWidth]')
        assert widths[0] <= widths[1], 'the page is wider than the screen'
        background = browser.evaluate('getComputedStyle(document.body).backgroundColor')
        assert (background == 'rgb(21, 24, 28)') == dark
        counts = {}
        for least in (0.05, 0.6, 1.0):
            browser.evaluate(f"""(() => {{
              const slider = document.getElementById('score');
              slider.value = {least};
              slider.dispatchEvent(new Event('input'));
            }})()""")
            counts[least] = browser.evaluate(
                "document.querySelectorAll('.frame rect.right, .frame rect.wrong').length"
            )
        assert counts[0.05] > counts[0.6] > counts[1.0] == 0
        assert browser.evaluate("document.getElementById('least').textContent") == '1.00'
        assert browser.evaluate("document.querySelectorAll('.frame rect.missed').length") == 60
        browser.evaluate("document.getElementById('truth').click()")
        assert browser.evaluate("document.querySelectorAll('.frame rect').length") == 0
        assert not browser.errors


def test_in_a_browser_a_classifier_is_drawn(folders):
    path = write_report([folders / 'classifier'], folders / 'classifier.html')
    with Browser(path) as browser:
        assert not browser.errors
        assert all(browser.evaluate(DRAWN))
        loaded = browser.evaluate(
            "[...document.querySelectorAll('.gallery img')].every((i) => i.naturalWidth > 0)"
        )
        assert loaded

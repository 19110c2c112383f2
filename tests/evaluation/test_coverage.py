"""Figures are right, or what makes them wrong is said before them."""
import json
from collections.abc import Callable
from pathlib import Path

from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.evaluation import CheckedCocoMetric, coverage

import pytest
import torch

from ..conftest import write_coco

CLASSES = ('mug', 'cup')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_coco(tmp_path / 'coco', CLASSES)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(coverage, 'print_log', lambda text, *_: said.append(text))
    return said


def annotations(root: Path) -> Path:
    return root / 'annotations' / 'instances_val2017.json'


def edit(root: Path, change: Callable[[dict], object]) -> dict:
    tables = json.loads(annotations(root).read_text())
    change(tables)
    annotations(root).write_text(json.dumps(tables))
    return tables


def perfect(tables: dict) -> list[dict]:
    """Each object found, where it is."""
    names = {category['id']: category['name'] for category in tables['categories']}
    samples = []
    for image in tables['images']:
        mine = [a for a in tables['annotations'] if a['image_id'] == image['id']]
        corners = [[x, y, x + w, y + h] for x, y, w, h in (a['bbox'] for a in mine)]
        samples.append(
            dict(
                img_id=image['id'],
                img_path=f'/photos/{image["file_name"]}',
                ori_shape=(120, 160),
                pred_instances=dict(
                    bboxes=torch.tensor(corners, dtype=torch.float32).view(-1, 4),
                    scores=torch.linspace(0.9, 0.8, len(mine)),
                    labels=torch.tensor([CLASSES.index(names[a['category_id']]) for a in mine]),
                ),
            )
        )
    return samples


def mean_precision(root: Path, samples: list[dict], **options) -> float:
    metric = CheckedCocoMetric(str(annotations(root)), **options)
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, samples)
    return metric.evaluate(len(samples))['coco/bbox_mAP']


def renumbered(tables: dict, ids: list) -> None:
    for annotation, number in zip(tables['annotations'], ids, strict=True):
        annotation['id'] = number


# of four images with two objects each
@pytest.mark.parametrize(
    'ids', [range(8), [1] * 8, [None] * 8, [f'a{n}' for n in range(8)], [-n for n in range(8)]]
)
def test_found_objects_count_whatever_their_ids(root, warnings, ids):
    tables = edit(root, lambda t: renumbered(t, ids))
    assert mean_precision(root, perfect(tables)) == pytest.approx(1)
    assert not warnings


def test_annotations_of_other_images_are_an_error(root):
    samples = perfect(json.loads(annotations(root).read_text()))
    edit(root, lambda t: [i.update(file_name=f'other_{i["id"]}.jpg') for i in t['images']])
    message = r'image 1 of the data set \(/photos/0+1.jpg\) is other_1.jpg in .*other annotations'
    with pytest.raises(DataError, match=message):
        mean_precision(root, samples)


def test_annotations_of_other_ids_are_an_error(root):
    samples = perfect(json.loads(annotations(root).read_text()))
    samples[2]['img_id'] = 99
    with pytest.raises(DataError, match='image 99 .* is no image of this id in .*val2017.json'):
        mean_precision(root, samples)


def test_images_of_folders_are_those_of_the_annotations(root):
    samples = perfect(json.loads(annotations(root).read_text()))
    edit(root, lambda t: [i.update(file_name='C:\\a\\' + i['file_name']) for i in t['images']])
    assert mean_precision(root, samples) == pytest.approx(1)


def test_images_that_were_not_tested_are_not_missed(root, warnings):
    samples = perfect(json.loads(annotations(root).read_text()))
    assert mean_precision(root, samples[:1]) == pytest.approx(1)
    (warning,) = warnings
    assert warning.startswith('1 of the 4 images of ') and 'were tested' in warning


def test_images_that_were_tested_twice_are_an_error(root):
    samples = perfect(json.loads(annotations(root).read_text()))
    with pytest.raises(DataError, match='4 images were tested more than once.*ids 1, 2, 3, 4'):
        mean_precision(root, samples * 2)


def crowded(tables: dict, count: int, classes: int = 1) -> None:
    first = tables['annotations'][0]
    ids = [category['id'] for category in tables['categories']]
    tables['annotations'] = [
        dict(first, id=n, bbox=[n % 20 * 8, n // 20 * 8, 7, 7], area=49,
             category_id=ids[n % classes])
        for n in range(1, count + 1)
    ]  # fmt: skip


def test_more_objects_than_the_coco_api_counts_are_said(root, warnings):
    tables = edit(root, lambda t: crowded(t, 198))
    assert mean_precision(root, perfect(tables)) == pytest.approx(0.505, abs=0.001)
    (warning,) = warnings
    assert 'the most 198 (cup in 000000000001.jpg)' in warning and 'at most 51%' in warning


@pytest.mark.parametrize(('count', 'classes'), [(100, 1), (198, 2)])
def test_as_many_objects_as_the_coco_api_counts_are_fine(root, warnings, count, classes):
    tables = edit(root, lambda t: crowded(t, count, classes))
    assert mean_precision(root, perfect(tables)) == pytest.approx(1)
    assert not warnings


def test_crowds_are_not_objects_to_be_found(root, warnings):
    tables = edit(root, lambda t: (crowded(t, 198), t['annotations'].append(
        dict(t['annotations'][0], id=500, image_id=2, iscrowd='0', ignore='0'))))  # fmt: skip
    for annotation in tables['annotations'][:-1]:
        annotation['iscrowd'] = '1'
    annotations(root).write_text(json.dumps(tables))
    assert mean_precision(root, perfect(tables)) == pytest.approx(1)
    assert not warnings


@pytest.mark.parametrize('without', [[], None])
def test_images_without_annotations_give_a_result_file(root, tmp_path, warnings, without):
    samples = perfect(json.loads(annotations(root).read_text()))
    edit(root, lambda t: t.pop('annotations') if without is None else t['annotations'].clear())
    metric = CheckedCocoMetric(str(annotations(root)))
    metric.dataset_meta = dict(classes=CLASSES)
    metric.keep_results(tmp_path / 'found.json')
    metric.process({}, samples)
    assert metric.evaluate(4)['coco/bbox_mAP'] == -1
    assert len(json.loads((tmp_path / 'found.json').read_text())) == 8
    assert 'no object to be found in the 4 images' in warnings[0]


def test_results_alone_go_to_the_file_of_the_command_line(root, tmp_path, warnings):
    tables = json.loads(annotations(root).read_text())
    edit(root, lambda t: t.pop('annotations'))
    metric = CheckedCocoMetric(str(annotations(root)), format_only=True)
    metric.dataset_meta = dict(classes=CLASSES)
    metric.keep_results(tmp_path / 'found.json')
    metric.process({}, perfect(tables))
    assert metric.evaluate(4) == {}
    assert len(json.loads((tmp_path / 'found.json').read_text())) == 8
    assert not warnings


def test_results_alone_that_would_go_nowhere(root):
    metric = CheckedCocoMetric(str(annotations(root)), format_only=True)
    with pytest.raises(ConfigError, match='set outfile_prefix .* or --out FILE.json'):
        metric.process({}, perfect(json.loads(annotations(root).read_text())))


def test_no_detection_in_no_annotation(root, tmp_path):
    tables = edit(root, lambda t: t['annotations'].clear())
    metric = CheckedCocoMetric(str(annotations(root)))
    metric.dataset_meta = dict(classes=CLASSES)
    metric.keep_results(tmp_path / 'found.json')
    metric.process({}, perfect(tables))
    assert metric.evaluate(4)['coco/bbox_mAP'] == -1
    assert json.loads((tmp_path / 'found.json').read_text()) == []

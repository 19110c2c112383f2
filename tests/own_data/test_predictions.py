import json

from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.own_data.predictions import predictions_to_coco

import pytest
from pycocotools.coco import COCO

FOUND = [
    dict(image='in/a/x.jpg', width=40, height=30, detections=[
        dict(label='mug', score=0.9, box=[1, 2, 11, 22]),
        dict(label='fish', score=0.2, box=[0, 0, 5, 5]),
    ]),
    dict(image='in/y.jpg', width=50, height=30, detections=[]),
]  # fmt: skip


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_detections_of_the_runtime_become_annotations(tmp_path):
    found = write(tmp_path / 'found.json', FOUND)
    predictions_to_coco(found, tmp_path / 'coco.json', images='in', classes=['mug', 'fish'])
    coco = COCO(str(tmp_path / 'coco.json'))
    assert [image['file_name'] for image in coco.imgs.values()] == ['a/x.jpg', 'y.jpg']
    (box,) = coco.anns.values()
    assert (box['id'], box['image_id'], box['category_id']) == (1, 1, 1)
    assert box['bbox'] == [1, 2, 10, 20]
    assert (box['area'], box['score']) == (200, 0.9)
    assert [c['name'] for c in coco.cats.values()] == ['mug', 'fish']
    assert len(predictions_to_coco(found, tmp_path / 'all.json', 0.0)['annotations']) == 2


def test_results_of_a_test_keep_the_images_and_categories_of_their_annotations(tmp_path):
    truth = dict(images=[dict(id=7, file_name='x.jpg', width=4, height=4)], annotations=[],
                 categories=[dict(id=3, name='mug')])  # fmt: skip
    result = dict(image_id=7, category_id=3, bbox=[0, 1, 2, 3], score=0.5)
    found = write(tmp_path / 'results.json', [result])
    annotations = write(tmp_path / 'truth.json', truth)
    content = predictions_to_coco(found, tmp_path / 'out.json', annotations=annotations)
    assert content['images'] == truth['images']
    assert content['annotations'][0]['bbox'] == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match='--annotations'):
        predictions_to_coco(found, tmp_path / 'none.json')
    stranger = write(tmp_path / 'stranger.json', [{**result, 'image_id': 8}])
    with pytest.raises(DataError, match=r'no images \[8\]'):
        predictions_to_coco(stranger, tmp_path / 'none.json', annotations=annotations)
    assert not (tmp_path / 'none.json').exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"a"', 'no JSON'),
        ('{"a": 1}', 'no list'),
        ('[{"image": "x.jpg", "error": "truncated"}]', 'x.jpg could not be read: truncated'),
        ('[{"image": "x.mp4", "frame": 1, "detections": []}]', 'no list of detections in images'),
        ('[{"image": "x.jpg", "classes": []}]', 'no list of detections in images'),
        ('[{"image": "x.jpg", "height": 3, "detections": []}]', 'no list of detections in images'),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / 'found.json').write_text(content)
    with pytest.raises(DataError, match=message):
        predictions_to_coco(tmp_path / 'found.json', tmp_path / 'out.json')
    assert not (tmp_path / 'out.json').exists()


def test_strangers_of_different_types_are_named(tmp_path):
    found = write(tmp_path / 'found.json', [dict(RESULT, image_id=i) for i in ('8', 9)])
    truth = write(tmp_path / 'truth.json', TRUTH)
    with pytest.raises(DataError, match=r"no images \['8', 9\]"):
        predictions_to_coco(found, tmp_path / 'out.json', annotations=truth)


def test_folder_of_images_may_be_written_in_other_ways(tmp_path):
    (tmp_path / 'b').mkdir()
    entry = dict(FOUND[1], image=str(tmp_path / 'b' / '..' / 'in' / 'y.jpg'))
    found = write(tmp_path / 'found.json', [entry])
    content = predictions_to_coco(found, tmp_path / 'out.json', images=tmp_path / 'in')
    assert content['images'][0]['file_name'] == 'y.jpg'


def test_a_class_that_was_found_must_be_named(tmp_path):
    found = write(tmp_path / 'found.json', FOUND)
    with pytest.raises(ConfigError, match='--classes lacks fish'):
        predictions_to_coco(found, tmp_path / 'out.json', classes=['mug'])
    with pytest.raises(ConfigError, match='--classes names a class twice: mug fish mug'):
        predictions_to_coco(found, tmp_path / 'out.json', classes=['mug', 'fish', 'mug'])
    assert not (tmp_path / 'out.json').exists()


def test_images_of_one_name_stay_apart(tmp_path):
    cameras = [dict(FOUND[1], image=f'in/cam{number}/x.jpg') for number in (1, 2)]
    content = predictions_to_coco(write(tmp_path / 'found.json', cameras), tmp_path / 'out.json')
    assert [i['file_name'] for i in content['images']] == ['cam1/x.jpg', 'cam2/x.jpg']
    with pytest.raises(ConfigError, match='--images elsewhere: not in it are .*cam1/x.jpg'):
        predictions_to_coco(tmp_path / 'found.json', tmp_path / 'out.json', images='elsewhere')


TRUTH = dict(images=[dict(id=7, file_name='x.jpg', width=4, height=4)], annotations=[],
             categories=[dict(id=3, name='mug')])  # fmt: skip
RESULT = dict(image_id=7, category_id=3, bbox=[0, 1, 2, 3], score=0.5)


def test_a_test_without_detections_keeps_its_images(tmp_path):
    found, truth = write(tmp_path / 'found.json', []), write(tmp_path / 'truth.json', TRUTH)
    content = predictions_to_coco(found, tmp_path / 'out.json', annotations=truth)
    assert (content['images'], content['categories']) == (TRUTH['images'], TRUTH['categories'])


@pytest.mark.parametrize(
    ('result', 'truth', 'options', 'message'),
    [
        (dict(RESULT, category_id=4), TRUTH, {}, r'no categories \[4\]'),
        (dict(image_id=7, category_id=3, score=1), TRUTH, {}, r"of boxes: \['bbox'\] missing"),
        (dict(RESULT, image_id=None), TRUTH, {}, 'number 1 .*an id, a box or a score that is none'),
        (dict(RESULT, category_id=[3]), TRUTH, {}, 'an id, a box or a score that is none'),
        (dict(RESULT, bbox=[1, 2, 3]), TRUTH, {}, 'an id, a box or a score that is none'),
        (dict(RESULT, bbox=['0', 1, 2, 3]), TRUTH, {}, 'an id, a box or a score that is none'),
        (dict(RESULT, bbox=[0, 1, float('nan'), 3]), TRUTH, {}, 'a box or a score that is none'),
        (dict(RESULT, score=None), TRUTH, {}, 'an id, a box or a score that is none'),
        (RESULT, [], {}, 'truth.json is not a COCO annotation file'),
        (RESULT, TRUTH, dict(classes=['mug']), 'leave out --classes'),
        (RESULT, TRUTH, dict(out='truth.json'), 'would replace what is read'),
        (RESULT, TRUTH, dict(out='found.json'), 'would replace what is read'),
    ],
)
def test_results_that_do_not_fit_their_annotations(tmp_path, result, truth, options, message):
    found, path = write(tmp_path / 'found.json', [result]), write(tmp_path / 'truth.json', truth)
    before = found.read_text(), path.read_text()
    out = tmp_path / options.pop('out', 'out.json')
    with pytest.raises((ConfigError, DataError), match=message):
        predictions_to_coco(found, out, annotations=path, **options)
    assert (found.read_text(), path.read_text()) == before
    assert not (tmp_path / 'out.json').exists()

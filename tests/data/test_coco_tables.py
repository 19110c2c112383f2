"""COCO's JSON as tools write it."""
import codecs
import json
from collections.abc import Callable
from pathlib import Path

from shufflenet_det.common.errors import DataError
from shufflenet_det.data import CheckedCOCO, CheckedCocoDataset, learned
from shufflenet_det.data.coco_tables import read_tables

import cv2
import numpy as np
import pytest


def tables() -> dict:
    return dict(
        images=[
            dict(id=1, file_name='a.jpg', width=48, height=40),
            dict(id=2, file_name='b.jpg', width=48, height=40),
        ],
        annotations=[
            dict(id=5, image_id=1, category_id=3, bbox=[1, 2, 10, 20], area=150, iscrowd=0),
            dict(id=7, image_id=2, category_id=9, bbox=[3, 4, 20, 10], area=160, iscrowd=0),
        ],
        categories=[dict(id=3, name='mug'), dict(id=9, name='cup')],
    )


def write(folder: Path, change: Callable[[dict], object]) -> Path:
    content = tables()
    change(content)
    path = folder / 'labels.json'
    path.write_text(json.dumps(content))
    return path


def data_set(folder: Path, change: Callable[[dict], object], **options) -> CheckedCocoDataset:
    for name in ('a.jpg', 'b.jpg'):
        cv2.imwrite(str(folder / name), np.zeros((40, 48, 3), np.uint8))
    write(folder, change)
    return CheckedCocoDataset(
        data_root=str(folder), ann_file='labels.json', data_prefix=dict(img=''),
        metainfo=dict(classes=('mug', 'cup')), **options,
    )  # fmt: skip


def instances(dataset: CheckedCocoDataset) -> list[tuple]:
    """Label, box and whether it is ignored, of each."""
    return [
        (i['bbox_label'], tuple(i['bbox']), i['ignore_flag'])
        for index in range(len(dataset))
        for i in dataset.get_data_info(index)['instances']
    ]


GOOD = [(0, (1, 2, 11, 22), 0), (1, (3, 4, 23, 14), 0)]


def every(table: str, **fields) -> Callable[[dict], None]:
    return lambda t: [record.update(fields) for record in t[table]]


def without(table: str, key: str) -> Callable[[dict], None]:
    return lambda t: [record.pop(key) for record in t[table]]


def as_text(table: str, key: str, which: slice = slice(None)) -> Callable[[dict], None]:
    return lambda t: [record.update({key: str(record[key])}) for record in t[table][which]]


@pytest.mark.parametrize(
    'change',
    [
        lambda t: None,
        as_text('images', 'width'),
        every('images', height='40.0'),
        as_text('annotations', 'image_id'),
        as_text('images', 'id'),
        as_text('categories', 'id', slice(1)),
        as_text('annotations', 'category_id'),
        lambda t: [i.update(id=float(i['id'])) for i in t['images']],
        lambda t: (as_text('images', 'id')(t), as_text('annotations', 'image_id')(t)),
        lambda t: (t['images'][0].update(id='x'), t['annotations'][0].update(image_id='x'),
                   t['annotations'][1].update(image_id='2')),
        without('annotations', 'id'),
        every('annotations', id=0),
        every('annotations', id=4),
        without('annotations', 'area'),
        every('annotations', area=0),
        every('annotations', area=None),
        without('annotations', 'iscrowd'),
        every('annotations', iscrowd='0', ignore='0'),
        every('annotations', iscrowd='false', ignore=None),
        every('annotations', iscrowd='', ignore=0.0),
        lambda t: [a.update(bbox=list(map(str, a['bbox']))) for a in t['annotations']],
        lambda t: t['annotations'][0].update(bbox=[], segmentation=[[1, 2, 11, 2, 11, 22]]),
        lambda t: t['annotations'][0].update(bbox=None, segmentation=[[1, 2, 11, 2, 11, '22']]),
    ],
)  # fmt: skip
def test_one_meaning_in_many_writings(tmp_path, change):
    dataset = data_set(tmp_path, change)
    assert instances(dataset) == GOOD
    # the COCO API, too
    coco = CheckedCOCO(tmp_path / 'labels.json')
    first, second = (coco.get_ann_ids(img_ids=[i]) for i in coco.get_img_ids())
    assert len({*first, *second}) == 2 and 0 not in {*first, *second}
    (annotation,) = coco.load_anns(first)
    assert annotation['area'] in (150, 200) and annotation['iscrowd'] == 0


@pytest.mark.parametrize(
    'fields',
    [dict(iscrowd='1'), dict(iscrowd=True), dict(ignore=1), dict(ignore='true', iscrowd=0)],
)
def test_flags_are_read_as_meant_and_said(tmp_path, monkeypatch, fields):
    said = []
    monkeypatch.setattr(learned, 'print_log', lambda text, *_: said.append(text))
    dataset = data_set(tmp_path, lambda t: t['annotations'][1].update(fields))
    assert [ignored for *_, ignored in instances(dataset)] == [0, 1]
    assert len(said) == 1 and 'of 2 annotations 1 are crowds' in said[0]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (without('images', 'width'), 'does not say the width and height of a.jpg'),
        (every('images', height=0), 'does not say the width and height of a.jpg'),
        (without('images', 'file_name'), "2 x no 'file_name' in a record of its images"),
        (without('annotations', 'bbox'), '2 x annotation without a bbox .*annotation 5, annot'),
        (every('annotations', bbox=[1, 2, 3]), '2 x annotation without a bbox'),
        (without('annotations', 'category_id'), "2 x no 'category_id' in .*number 1, id 5"),
        (without('categories', 'name'), "2 x no 'name' in a record of its categories"),
        (every('images', id=[1]), "2 x no 'id' in a record of its images"),
        (every('images', width='wide'), r"2 x width that is no number.*a.jpg \('wide'\)"),
        (lambda t: (every('images', width='wide')(t), without('images', 'file_name')(t)),
         "2 x no 'file_name' in a record of its images"),
        (every('images', width=10**400), '2 x width that is no number'),
        (every('annotations', iscrowd=2), r'2 x iscrowd that is neither 0 nor 1.*5 \(2\)'),
        (every('annotations', ignore='maybe'), '2 x ignore that is neither 0 nor 1'),
        (lambda t: t.update(images={'1': {}}), 'images are no list of records'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(tmp_path, change, message):
    with pytest.raises(DataError, match=message) as error:
        data_set(tmp_path, change)
    assert 'labels.json' in str(error.value)


@pytest.mark.parametrize('bbox', [[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]])
def test_boxes_as_parts_of_the_image_are_an_error(tmp_path, bbox):
    with pytest.raises(DataError, match='these look normalised: all 2 boxes lie between 0 and 1'):
        data_set(tmp_path, every('annotations', bbox=bbox))


@pytest.mark.parametrize('bbox', [[0.1, 0.2, 0.3, 0.4], [50, 2, 10, 10], [1, 1, 20, 0]])
def test_boxes_that_are_left_out_are_said(tmp_path, monkeypatch, bbox):
    said = []
    monkeypatch.setattr(learned, 'print_log', lambda text, *_: said.append(text))
    dataset = data_set(tmp_path, lambda t: t['annotations'][1].update(bbox=bbox))
    assert instances(dataset) == GOOD[:1]
    assert len(said) == 1 and 'of 2 annotations 1 are smaller' in said[0] and 'b.jpg' in said[0]


def test_nothing_to_learn_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(learned, 'print_log', lambda text, *_: said.append(text))
    data_set(tmp_path, lambda t: t['annotations'].clear(), test_mode=True)
    assert not said
    data_set(tmp_path, lambda t: t.pop('annotations'))
    assert 'nothing but background to learn' in said[0]


def test_image_that_cannot_be_made_ready_is_named(tmp_path):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(500, 300),
                                                     keep_ratio=True)]  # fmt: skip
    dataset = data_set(tmp_path, every('images', width=2000, height=1), pipeline=pipeline)
    cv2.imwrite(str(tmp_path / 'b.jpg'), np.zeros((1, 2000, 3), np.uint8))
    with pytest.raises(DataError, match='b.jpg cannot be made ready .*Take it out of the annot'):
        dataset[1]


@pytest.mark.parametrize(
    'encode',
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode('utf-16'),
        lambda text: text.encode('utf-16-le'),
        lambda text: text.encode('utf-32'),
    ],
)
def test_encodings_of_json(tmp_path, encode):
    content = tables()
    content['categories'][0]['name'] = '杯子'
    path = tmp_path / 'labels.json'
    path.write_bytes(encode(json.dumps(content, ensure_ascii=False)))
    assert read_tables(path)['categories'][0]['name'] == '杯子'


def test_json_in_another_encoding_is_named(tmp_path):
    content = tables()
    content['categories'][0]['name'] = 'Täßchen'
    path = tmp_path / 'labels.json'
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode('latin-1'))
    with pytest.raises(DataError, match=r'is not UTF-8 text \(byte \d+ is 0xe4\). Save it as UTF'):
        read_tables(path)


def test_ids_of_many_digits_stay_apart(tmp_path):
    def change(t):
        for number, image in enumerate(t['images']):
            image['id'] = 20180000000000000000 + number
            t['annotations'][number]['image_id'] = str(image['id'])

    assert instances(data_set(tmp_path, change)) == GOOD

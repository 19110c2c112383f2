import json
import os
from pathlib import Path

from shufflenet_det.common.errors import DataError
from shufflenet_det.data import (
    CheckedCOCO,
    CheckedCocoDataset,
    CheckedLoadImageFromFile,
    decode_rgb,
)  # fmt: skip
from shufflenet_runtime import images
from shufflenet_runtime.images import read_image

import cv2
import numpy as np
import pytest
from PIL import Image

from ..conftest import COCO_CLASSES, write_coco


def build(root: Path, classes: tuple[str, ...] = COCO_CLASSES, **kwargs) -> CheckedCocoDataset:
    return CheckedCocoDataset(
        data_root=str(root),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        metainfo=dict(classes=classes),
        pipeline=[dict(type='CheckedLoadImageFromFile')],
        **kwargs,
    )


def edit(root: Path, change) -> None:
    path = root / 'annotations' / 'instances_train2017.json'
    tables = json.loads(path.read_text())
    change(tables)
    path.write_text(json.dumps(tables))


def test_labels_follow_the_classes_of_the_config_not_the_order_of_the_file(coco_root):
    truth = json.loads((coco_root / 'annotations' / 'instances_train2017.json').read_text())
    names = {c['id']: c['name'] for c in truth['categories']}
    expected = [names[a['category_id']] for a in truth['annotations'] if a['image_id'] == 1]
    dataset = build(coco_root)
    labels = [i['bbox_label'] for i in dataset.get_data_info(0)['instances']]
    assert [COCO_CLASSES[label] for label in labels] == expected


def test_fewer_classes_than_the_file_has_are_fine(coco_root):
    dataset = build(coco_root, ('bicycle', 'person'))
    labels = [i['bbox_label'] for i in dataset.get_data_info(0)['instances']]
    assert labels == [1, 0]


def test_missing_annotations_say_where_and_how_to_get_them(tmp_path):
    with pytest.raises(DataError, match=r'not found: .*COCO_DATA_ROOT.*make_sample_data') as error:
        build(tmp_path)
    assert str(tmp_path / 'annotations') in str(error.value)


@pytest.mark.parametrize('keep', [0, 1, 100, -2])
def test_truncated_annotations_are_named(coco_root, keep):
    path = coco_root / 'annotations' / 'instances_train2017.json'
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=rf'{path} is damaged or truncated'):
        build(coco_root)


@pytest.mark.parametrize('content', ['[]', '{}', '{"images": [], "annotations": []}', '3'])
def test_other_json_is_no_annotation_file(coco_root, content):
    (coco_root / 'annotations' / 'instances_train2017.json').write_text(content)
    with pytest.raises(DataError, match='is not a COCO'):
        build(coco_root)


def test_classes_that_the_annotations_lack_are_an_error(coco_root):
    with pytest.raises(DataError, match=r'2 of the 3 classes .* persn, unicorn.*persn \(near'):
        build(coco_root, ('bicycle', 'persn', 'unicorn'))


def test_two_categories_of_one_name_are_an_error(coco_root):
    edit(coco_root, lambda t: t['categories'].append(dict(id=999, name='person')))
    with pytest.raises(DataError, match='several categories named person'):
        build(coco_root)


def test_missing_image_is_named_before_training(coco_root):
    (coco_root / 'train2017' / '000000000002.jpg').unlink()
    with pytest.raises(DataError, match=r'1 of the 4 images .*/000000000002.jpg'):
        build(coco_root)


def test_missing_image_folder_is_named(coco_root):
    os.rename(coco_root / 'train2017', coco_root / 'elsewhere')
    with pytest.raises(DataError, match='image folder not found: .*train2017'):
        build(coco_root)


def test_images_in_subfolders_are_found(coco_root):
    (coco_root / 'train2017' / 'sub').mkdir()
    for image in range(1, 5):
        name = f'{image:012d}.jpg'
        (coco_root / 'train2017' / name).rename(coco_root / 'train2017' / 'sub' / name)
    edit(
        coco_root, lambda t: [i.update(file_name=f'sub/{i["file_name"]}') for i in t['images']]
    )
    assert build(coco_root)[0]['img'].shape == (120, 160, 3)


def test_no_image_left_to_train_on_is_an_error(coco_root):
    edit(coco_root, lambda t: t['annotations'].clear())
    with pytest.raises(DataError, match='leaves no image'):
        build(coco_root, filter_cfg=dict(filter_empty_gt=True))


def load(path: Path) -> np.ndarray:
    return CheckedLoadImageFromFile().transform(dict(img_path=str(path)))['img']


@pytest.mark.parametrize('suffix', ['jpg', 'png'])
@pytest.mark.parametrize('share', [0.0, 0.1, 0.6, 0.98])
def test_truncated_image_is_named(tmp_path, suffix, share):
    path = tmp_path / f'picture.{suffix}'
    noise = np.random.default_rng(0).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    cv2.imwrite(str(path), noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=rf'cannot read image {path}'):
        load(path)


@pytest.mark.parametrize('content', [b'', b'<html>no image</html>'])
def test_file_that_is_no_image_is_named(tmp_path, content):
    path = tmp_path / 'picture.jpg'
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf'cannot read image {path}'):
        load(path)


def test_missing_image_is_named(tmp_path):
    with pytest.raises(DataError, match='cannot read image .*gone.jpg'):
        load(tmp_path / 'gone.jpg')


def test_image_that_opencv_gives_up_on_is_named(tmp_path, monkeypatch):
    path = tmp_path / 'huge.jpg'
    Image.new('RGB', (40, 30)).save(path)

    def imdecode(*_):
        raise cv2.error('too many pixels')

    monkeypatch.setattr(cv2, 'imdecode', imdecode)
    for read in (load, read_image):
        with pytest.raises(DataError, match='cannot read image .*huge.jpg: too many pixels'):
            read(path)


@pytest.mark.parametrize(
    'read', [load, lambda path: decode_rgb(path.read_bytes(), str(path)), read_image]
)
def test_twelve_bits_in_sixteen_are_said_once(tmp_path, caplog, monkeypatch, read):
    monkeypatch.setattr(images, '_said', set())
    values = np.linspace(0, 4095, 1200).astype(np.uint16).reshape(30, 40)
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(tmp_path / name), values)
        assert read(tmp_path / name).max() == 15
    (record,) = caplog.records
    assert 'a.png has 16 bits a channel and no value above 4095' in record.getMessage()


def test_jpeg_followed_by_other_bytes_is_read(tmp_path):
    path = tmp_path / 'picture.jpg'
    Image.new('RGB', (40, 30), 'red').save(path)
    path.write_bytes(path.read_bytes() + b'\0' * 5000)
    assert load(path).shape == (30, 40, 3)


def test_grey_image_has_three_channels(tmp_path):
    path = tmp_path / 'picture.jpg'
    Image.new('L', (40, 30), 99).save(path)
    assert load(path).shape == (30, 40, 3)


def test_index_is_that_of_pycocotools(coco_root):
    coco = CheckedCOCO(coco_root / 'annotations' / 'instances_val2017.json')
    assert len(coco.get_cat_ids()) == 80
    assert coco.get_cat_ids(['person']) == coco.getCatIds(['person'])


def test_write_coco_is_the_layout_of_coco(tmp_path):
    root = write_coco(tmp_path / 'x', ('a', 'b'))
    assert build(root, ('a', 'b')).metainfo['classes'] == ('a', 'b')

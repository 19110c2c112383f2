"""The detection sample: its layout and annotations, and the renderer of objects and scenes."""
import json

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.data.sample import (
    CATEGORIES,
    make_sample,
    render_background,
    render_object,
    render_scene,
)
from shufflenet_det.data.sample.coco import mask_to_polygons, mask_to_rle

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .sample_files import contents

TRAIN, VAL = 36, 28
SPLITS = ('train', 'val')


@pytest.fixture(scope='module')
def sample(tmp_path_factory):
    return make_sample(tmp_path_factory.mktemp('made') / 'sample', train=TRAIN, val=VAL, workers=2)


@pytest.fixture(scope='module', params=SPLITS)
def split(request, sample):
    """Name, pictures' folder and annotations of a split."""
    coco = COCO(str(sample / 'annotations' / f'instances_{request.param}2017.json'))
    return request.param, sample / f'{request.param}2017', coco


def single_objects(coco):
    return [ann for ann in coco.anns.values() if not ann['iscrowd']]


# --- the data set --------------------------------------------------------------------------------


def test_same_bytes_whatever_the_number_of_workers(sample, tmp_path):
    first = contents(make_sample(tmp_path / 'first', train=10, val=4, workers=1))
    assert first == contents(make_sample(tmp_path / 'second', train=10, val=4, workers=3))
    # A picture depends on the seed, the split and its index only, not on how many there are.
    large = contents(sample)
    assert all(large[name] == data for name, data in first.items() if name.endswith('.jpg'))


def test_another_seed_gives_other_pictures(sample, tmp_path):
    other = contents(make_sample(tmp_path / 'other', seed=1, train=1, val=1, workers=1))
    same = contents(sample)
    assert all(same[name] != data for name, data in other.items() if name.endswith('.jpg'))


def test_layout_is_that_of_coco(sample, split):
    name, folder, coco = split
    assert sorted(path.name for path in sample.iterdir()) == [
        'annotations',
        'sample.json',
        'train2017',
        'val2017',
    ]
    images, annotations = coco.dataset['images'], coco.dataset['annotations']
    assert list(coco.dataset) == ['info', 'licenses', 'images', 'annotations', 'categories']
    assert len(images) == {'train': TRAIN, 'val': VAL}[name]
    assert {tuple(sorted(image)) for image in images} == {
        (
            'coco_url',
            'date_captured',
            'file_name',
            'flickr_url',
            'height',
            'id',
            'license',
            'width',
        )
    }
    assert {tuple(sorted(ann)) for ann in annotations} == {
        ('area', 'bbox', 'category_id', 'id', 'image_id', 'iscrowd', 'segmentation')
    }
    names = [f'{image["id"]:012d}.jpg' for image in images]
    assert names == [image['file_name'] for image in images]
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    assert {image['license'] for image in images} == {
        licence['id'] for licence in coco.dataset['licenses']
    }


def test_pictures_have_the_sizes_they_are_said_to_have(split):
    _, folder, coco = split
    channels = []
    for image in coco.imgs.values():
        pixels = cv2.imread(str(folder / image['file_name']), cv2.IMREAD_UNCHANGED)
        assert pixels.shape[:2] == (image['height'], image['width'])
        assert max(pixels.shape[:2]) <= 640
        channels.append(pixels.ndim)
    assert set(channels) == {2, 3}, 'there are a grey picture and coloured ones'
    assert len({(image['height'], image['width']) for image in coco.imgs.values()}) >= 3


def test_ids_are_unique_over_both_splits(sample):
    sets = [
        json.loads((sample / 'annotations' / f'instances_{name}2017.json').read_text())
        for name in SPLITS
    ]
    for kind, count in (('images', TRAIN + VAL), ('annotations', None)):
        ids = [record['id'] for content in sets for record in content[kind]]
        assert len(set(ids)) == len(ids) == (count or len(ids))


def test_categories_have_gaps_and_all_occur(split):
    _, _, coco = split
    ids = [category['id'] for category in coco.dataset['categories']]
    assert ids == [category.id for category in CATEGORIES]
    assert ids == sorted(set(ids)) and ids != list(range(ids[0], ids[0] + len(ids)))
    assert {ann['category_id'] for ann in single_objects(coco)} == set(ids)


def test_kinds_of_pictures_and_objects(split):
    _, _, coco = split
    objects = single_objects(coco)
    per_image = [sum(ann['image_id'] == image for ann in objects) for image in coco.imgs]
    assert 0 in per_image, 'a picture without objects'
    assert 3 <= np.mean(per_image) <= 6
    areas = np.array([ann['area'] for ann in objects])
    shares = np.histogram(areas, [0, 32**2, 96**2, np.inf])[0] / len(areas)
    assert 0.05 < shares[0] < 0.3 and shares[1] > 0.3 and shares[2] > 0.2
    assert any(len(ann['segmentation']) > 1 for ann in objects)
    assert any(ann['iscrowd'] for ann in coco.anns.values())


def test_masks_areas_and_boxes_agree(split):
    _, _, coco = split
    for ann in coco.anns.values():
        mask = coco.annToMask(ann)
        assert mask.sum() == pytest.approx(ann['area'], rel=0.03, abs=4)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1
        assert ann['bbox'] == pytest.approx(box, abs=2)
        assert max(ann['bbox'][2:]) <= 300 or ann['iscrowd']


def test_masks_of_a_picture_do_not_overlap(split):
    _, _, coco = split
    for image in coco.imgs:
        masks = [coco.annToMask(ann) for ann in coco.imgToAnns[image]]
        if masks:
            # Polygons of two neighbours may both claim pixels on the border between them.
            assert (np.sum(masks, axis=0) > 1).sum() <= 0.02 * np.sum(masks) + 4


def test_crowds_are_uncompressed_run_lengths(split):
    _, _, coco = split
    for ann in coco.anns.values():
        if ann['iscrowd']:
            image, rle = coco.imgs[ann['image_id']], ann['segmentation']
            assert rle['size'] == [image['height'], image['width']]
            assert sum(rle['counts']) == image['height'] * image['width']
            decoded = coco_mask.decode(coco_mask.frPyObjects(rle, *rle['size']))
            assert decoded.sum() == ann['area']


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_the_truth_scores_one(split, kind):
    _, _, coco = split
    found = [
        {
            'image_id': ann['image_id'],
            'category_id': ann['category_id'],
            'score': 1.0,
            **({'bbox': ann['bbox']} if kind == 'bbox' else {'segmentation': coco.annToRLE(ann)}),
        }
        for ann in single_objects(coco)
    ]
    evaluation = COCOeval(coco, coco.loadRes(found), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


# --- the renderer --------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [16, 61, 300])
@pytest.mark.parametrize('category', [category.name for category in CATEGORIES])
def test_objects_fill_their_size(category, size):
    rgba = render_object(category, size, np.random.default_rng(size))
    assert rgba.dtype == np.uint8 and rgba.shape[2] == 4
    assert max(rgba.shape[:2]) == size
    solid = rgba[..., 3] > 127
    for axis in (0, 1):
        covered = np.flatnonzero(solid.any(axis=axis))
        assert np.ptp(covered) + 1 >= 0.95 * solid.shape[1 - axis] - 2


def test_objects_of_a_category_vary_but_keep_to_their_seed():
    first, same, other = (render_object('fish', 80, np.random.default_rng(k)) for k in (1, 1, 2))
    assert np.array_equal(first, same)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_unknown_category_and_too_small_object_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match='unknown category'):
        render_object('unicorn', 50, rng)
    with pytest.raises(ConfigError, match='8 pixels'):
        render_object('ring', 7, rng)


def test_backgrounds_have_their_size_and_are_not_flat():
    for seed in range(12):
        picture = render_background(90, 140, np.random.default_rng(seed))
        assert picture.shape == (90, 140, 3) and picture.dtype == np.uint8
        assert picture.std() > 1


def test_scene_objects_keep_to_the_range_of_scales_and_stay_visible():
    scenes = [render_scene(np.random.default_rng(seed)) for seed in range(24)]
    instances = [instance for scene in scenes for instance in scene.instances]
    sizes = [instance.size for instance in instances]
    assert 16 <= min(sizes) < 40 and 200 < max(sizes) <= 300
    assert min(instance.mask.sum() for instance in instances) >= 40
    for instance in instances:
        pieces = cv2.connectedComponentsWithStats(instance.mask.astype(np.uint8), connectivity=4)[2]
        assert pieces[1:, cv2.CC_STAT_AREA].min() >= 8, 'no specks that make no polygon'
    for scene in scenes:
        assert sum(instance.mask.astype(int) for instance in scene.instances).max() == 1


def test_a_mask_with_a_hole_in_two_parts_survives_its_polygons():
    mask = np.zeros((60, 80), dtype=bool)
    mask[5:45, 10:50] = True
    mask[15:35, 20:40] = False
    mask[20:30, 25:35] = True
    mask[50:58, 60:79] = True
    polygons = mask_to_polygons(mask)
    back = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *mask.shape)))
    assert np.array_equal(back.astype(bool), mask)


@pytest.mark.parametrize('first', [False, True])
def test_run_lengths_count_background_first_and_by_columns(first):
    mask = np.zeros((3, 4), dtype=bool)
    mask[0, 0], mask[1:, 2] = first, True
    expected = [0, 1, 6, 2, 3] if first else [7, 2, 3]
    assert mask_to_rle(mask) == {'counts': expected, 'size': [3, 4]}


def test_pictures_are_those_of_this_version():
    # another picture for the same seed needs another GENERATOR_VERSION, and users a new data set
    scene = render_scene(np.random.default_rng(np.random.SeedSequence([0, 0, 0])))
    shown = [(item.category.name, item.size, int(item.mask.sum())) for item in scene.instances]
    assert shown == [
        ('ring', 256, pytest.approx(28235, rel=0.01)),
        ('star', 196, pytest.approx(13130, rel=0.01)),
        ('fish', 170, pytest.approx(10023, rel=0.01)),
        ('cross', 95, pytest.approx(4618, rel=0.01)),
        ('ring', 49, pytest.approx(886, rel=0.02)),
    ]
    tiles = cv2.resize(scene.image, (3, 2), interpolation=cv2.INTER_AREA).astype(int)
    expected = [
        [[111, 148, 124], [150, 159, 131], [150, 159, 136]],
        [[143, 160, 131], [145, 158, 125], [164, 176, 153]],
    ]
    assert np.abs(tiles - expected).max() <= 1

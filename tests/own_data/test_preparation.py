"""One's own data divided and written."""
import json
from collections import Counter
from pathlib import Path

from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.own_data import prepare
from shufflenet_det.own_data.records import AnnotatedImage, Box
from shufflenet_det.own_data.split import classes_in, split

import numpy as np
import pytest
from mmdet.registry import DATASETS

from .files import BOXES, labels, voc_object, write_images, write_voc


def showing(*classes: str, name: str = 'a.jpg') -> AnnotatedImage:
    return AnnotatedImage((name,), (48, 40), tuple(Box(c, (1, 1, 5, 5), '') for c in classes), '')


def many(count: int) -> list[AnnotatedImage]:
    """Images of four classes, of which one is rare, and some negatives."""
    rng = np.random.default_rng(0)
    shares = dict(common=0.7, medium=0.3, rare=0.05)
    pictures = []
    for number in range(count):
        classes = [name for name, share in shares.items() if rng.random() < share]
        pictures.append(showing(*classes, name=f'{number}.jpg'))
    return pictures


@pytest.mark.parametrize('val_share', [0.1, 0.2, 0.5])
@pytest.mark.parametrize('seed', range(5))
def test_every_class_and_the_negatives_have_their_share_of_both_parts(val_share, seed):
    pictures = many(100)
    train, val = split(pictures, val_share, seed)
    assert len(val) == 100 * val_share and len(train) + len(val) == 100
    assert {p.names for p in train}.isdisjoint(p.names for p in val)
    counts = [Counter(n for p in part for n in classes_in(p) or {None}) for part in (train, val)]
    for name, total in (counts[0] + counts[1]).items():
        assert counts[0][name] and counts[1][name]
        assert abs(counts[1][name] - val_share * total) <= max(2, 0.3 * val_share * total), name


def test_the_same_seed_divides_alike_and_another_otherwise():
    pictures = many(50)
    assert split(pictures, 0.2, 3) == split(pictures, 0.2, 3)
    assert split(pictures, 0.2, 3) != split(pictures, 0.2, 4)


def test_no_class_loses_its_last_training_image():
    pictures = [showing('a', 'b'), showing('a'), showing('a', 'c'), showing('a')]
    train, val = split(pictures, 0.75, 0)
    assert set().union(*map(classes_in, train)) == {'a', 'b', 'c'}
    assert len(val) == 2


def test_images_that_cannot_be_spared():
    with pytest.raises(ConfigError, match='2 annotated images are too few .*--val-annotations'):
        split([showing('a'), showing('b')], 0.5, 0)
    with pytest.raises(ConfigError, match='1 annotated images are too few'):
        split([showing('a')], 0.2, 0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_images(tmp_path / 'photos', *BOXES)


def tables(out: Path, part: str) -> dict:
    return json.loads((out / 'annotations' / f'{part}.json').read_text())


def test_what_is_written_is_what_was_annotated(photos, tmp_path):
    out = tmp_path / 'own'
    prepared = prepare(photos, labels(photos), out)
    assert prepared.classes == ('mug', 'tea pot') and not prepared.notes
    written = {}
    for part, count in (('train', 8), ('val', 2)):
        content = tables(out, part)
        assert [c['name'] for c in content['categories']] == ['mug', 'tea pot']
        assert len(content['images']) == count
        names = {image['id']: image['file_name'] for image in content['images']}
        classes = {category['id']: category['name'] for category in content['categories']}
        for a in content['annotations']:
            assert a['area'] == a['bbox'][2] * a['bbox'][3] and a['iscrowd'] == 0
            written.setdefault(names[a['image_id']], []).append(
                (classes[a['category_id']], a['bbox'])
            )
    assert written == BOXES


def test_voc_and_coco_of_the_same_objects_give_the_same(photos, tmp_path):
    for name, ((category, (x, y, w, h)),) in BOXES.items():
        write_voc(tmp_path / 'xml', name, voc_object(category, (x + 1, y + 1, x + w, y + h)))
    prepare(photos, labels(photos), tmp_path / 'coco')
    prepare(photos, tmp_path / 'xml', tmp_path / 'voc')
    for part in ('train', 'val'):
        assert tables(tmp_path / 'coco', part) == tables(tmp_path / 'voc', part)


def test_images_without_objects_are_trained_on(photos, tmp_path):
    boxes = {**BOXES, **dict.fromkeys([f'{number}.jpg' for number in range(5)], ())}
    prepared = prepare(photos, labels(photos, boxes), tmp_path / 'own')
    dataset = DATASETS.build(prepared.config.train_dataloader.dataset)
    assert len(dataset) == len(prepared.train) == 8
    assert dataset.metainfo['classes'] == prepared.classes
    assert sum(not dataset.get_data_info(i)['instances'] for i in range(8)) >= 3


def test_results_are_not_overwritten(photos, tmp_path):
    source = labels(photos)
    prepare(photos, source, tmp_path / 'own')
    with pytest.raises(ConfigError, match='train.json, .*config.py exist already.*--force'):
        prepare(photos, source, tmp_path / 'own')
    prepare(photos, source, tmp_path / 'own', force=True, classes=['mug'])
    assert len(tables(tmp_path / 'own', 'val')['categories']) == 1
    with pytest.raises(ConfigError, match='train.json would be replaced'):
        prepare(photos, tmp_path / 'own' / 'annotations' / 'train.json', tmp_path / 'own',
                force=True)  # fmt: skip


def test_picture_that_is_there_already_is_not_overwritten(photos, tmp_path):
    picture = tmp_path / 'own' / 'annotated.jpg'
    picture.parent.mkdir()
    picture.write_bytes(b'of somebody else')
    with pytest.raises(ConfigError, match='annotated.jpg exist already.*--force'):
        prepare(photos, labels(photos), tmp_path / 'own')


def test_nothing_is_written_for_data_that_cannot_be_used(photos, tmp_path):
    (photos / '3.jpg').unlink()
    with pytest.raises(DataError, match='3.jpg'):
        prepare(photos, labels(photos), tmp_path / 'own')
    assert not (tmp_path / 'own').exists()


def test_chosen_classes_are_in_their_order_and_the_others_become_background(photos, tmp_path):
    prepared = prepare(photos, labels(photos), tmp_path / 'own', classes=['tea pot'])
    assert prepared.classes == ('tea pot',)
    assert 'images without an object, kept as negatives: 5' in prepared.notes
    pattern = r'no object of .* is of Mug, tee pot\. Alike: .*tee pot \(near: tea pot\)'
    with pytest.raises(DataError, match=pattern):
        prepare(photos, labels(photos), tmp_path / 'other', classes=['Mug', 'tee pot'])


def test_odd_things_are_said(photos, tmp_path):
    boxes = {'0.jpg': [('Mug', [1, 1, 9, 9])], '1.jpg': [('mug', [1, 1, 9, 9])], '2.jpg': [],
             '3.jpg': [('mug', [1, 1, 9, 9])]}  # fmt: skip
    source = labels(photos, boxes, classes=('Mug', 'mug', 'cup'))
    notes = '\n'.join(prepare(photos, source, tmp_path / 'own').notes)
    assert 'categories without an object are left out: cup' in notes
    assert 'classes that look like one: Mug, mug' in notes
    assert 'images without an object, kept as negatives: 1\n' in notes
    assert 'not in the annotations: 6 (4.jpg, 5.jpg, 6.jpg and 3 more)\n' in notes
    assert 'classes that no validation image shows' in notes and notes.endswith(': Mug')


def test_annotations_without_a_box(photos, tmp_path):
    with pytest.raises(DataError, match='has no annotation at all, for 10 images'):
        prepare(photos, labels(photos, dict.fromkeys(BOXES, ())), tmp_path / 'own')


def test_validation_annotations_of_ones_own(photos, tmp_path):
    first, second = dict(list(BOXES.items())[:6]), dict(list(BOXES.items())[6:])
    train, val = labels(photos, first), labels(photos, second, 'val.json')
    prepared = prepare(photos, train, tmp_path / 'own', val_annotations=val)
    assert [len(prepared.train), len(prepared.val)] == [6, 4]
    with pytest.raises(DataError, match='6 images are in both'):
        prepare(photos, train, tmp_path / 'x', val_annotations=train)


@pytest.mark.parametrize('unused', [(), ('cup',)])
def test_validation_class_that_training_lacks(photos, tmp_path, unused):
    classes = ('mug', 'tea pot', *unused)
    train = labels(photos, {k: BOXES[k] for k in ('0.jpg', '1.jpg')}, classes=classes)
    boxes = {'8.jpg': [('Mug', [1, 1, 9, 9])], '9.jpg': [('mug', [1, 1, 9, 9])]}
    val = labels(photos, boxes, 'val.json', classes=('mug', 'Mug'))
    message = 'val.json has classes of which .* no object: Mug. Theirs are: mug, tea pot. .*--cl'
    with pytest.raises(DataError, match=message):
        prepare(photos, train, tmp_path / 'own', val_annotations=val)
    # who chooses has chosen, be it all that training has
    prepared = prepare(
        photos, train, tmp_path / 'own', val_annotations=val, classes=['mug', 'tea pot']
    )
    assert [[box.category for box in p.boxes] for p in prepared.val] == [[], ['mug']]


def test_chosen_class_that_only_validation_has(tmp_path):
    for part, label in (('train', 0), ('val', 1)):
        write_images(tmp_path / 'images' / part, f'{part}.jpg')
        (tmp_path / 'labels' / part).mkdir(parents=True)
        (tmp_path / 'labels' / part / f'{part}.txt').write_text(f'{label} 0.5 0.5 0.5 0.5\n')
    data = tmp_path / 'data.yaml'
    data.write_text('train: images/train\nval: images/val\nnames: [mug, cup]\n')
    with pytest.raises(DataError, match='no training image has an object of cup'):
        prepare(data, None, tmp_path / 'own', classes=['cup'])
    assert not (tmp_path / 'own').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(val_share=0.0), '--val-share 0.0'),
        (dict(val_share=1.0), '--val-share 1.0'),
        (dict(steps=0), '--steps must be 1'),
        (dict(seed=-1), '--seed must be 0'),
        (dict(val_annotations=Path('gone.json')), 'annotations not found: gone.json'),
        (dict(classes=['mug', 'mug']), 'names a class twice'),
    ],
)
def test_arguments_that_cannot_be(photos, tmp_path, arguments, message):
    with pytest.raises((ConfigError, DataError), match=message):
        prepare(photos, labels(photos), tmp_path / 'own', **arguments)


def test_a_checkout_that_was_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr('shufflenet_det.common.config.CONFIGS', tmp_path / 'nowhere')
    with pytest.raises(ConfigError, match='it was not installed. Run `pip install -e .`'):
        prepare(tmp_path, tmp_path, tmp_path / 'out')

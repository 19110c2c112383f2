"""YOLO labels, COCO as Roboflow exports it, and VOC's own division."""
import json
import shutil
from pathlib import Path

from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.data import CheckedCOCO
from shufflenet_det.own_data import Prepared, prepare
from shufflenet_det.own_data.reading import read_annotations
from shufflenet_det.own_data.records import AnnotatedDataSet
from shufflenet_det.own_data.yolo import read_yolo

import pytest

from ..real_data import real
from .files import SIZE, coco_tables, voc_object, write_images, write_json, write_voc

# centre and sides of x 12, y 10, 24 wide and 20 high in an image of 48x40
BOX = '0.5 0.5 0.5 0.5'
TRIANGLE = '0.25 0.25 0.75 0.25 0.75 0.75'
NAMES = 'names: [mug, tea pot]\n'


def labelled(folder: Path, **labels: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in labels.items():
        (folder / f'{stem}.txt').write_text(text)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """``data.yaml`` of four images of which two are for training, and two are negatives."""
    root = tmp_path / 'set'
    write_images(root / 'images' / 'train', 'a.jpg', 'b.jpg')
    write_images(root / 'images' / 'val', 'c.jpg', 'd.jpg')
    labelled(root / 'labels' / 'train', a=f'0 {BOX}\n1 {BOX}\n', b='')
    labelled(root / 'labels' / 'val', c=f'1 {BOX}')
    return write(root, f'path: .\ntrain: images/train\nval: images/val\n{NAMES}')


def write(root: Path, text: str) -> Path:
    (root / 'data.yaml').write_text(text)
    return root / 'data.yaml'


def shown(annotated: AnnotatedDataSet) -> tuple[dict, dict]:
    """Classes of the boxes of each image, of both parts."""
    parts = annotated.train, annotated.val or []
    return tuple({p.names[0]: [b.category for b in p.boxes] for p in part} for part in parts)


EXPECTED = (
    {'train/a.jpg': ['mug', 'tea pot'], 'train/b.jpg': []},
    {'val/c.jpg': ['tea pot'], 'val/d.jpg': []},
)


def test_boxes_are_those_of_their_images(data):
    prepared = prepare(data, None, data.parent / 'own')
    assert (prepared.classes, prepared.images) == (('mug', 'tea pot'), data.parent / 'images')
    assert [p.names[0] for p in prepared.train] == ['train/a.jpg', 'train/b.jpg']
    assert [p.size for p in prepared.val] == [SIZE, SIZE]
    assert [b.bbox for b in prepared.train[0].boxes] == [(12, 10, 24, 20)] * 2
    assert 'images without an object, kept as negatives: 2' in prepared.notes
    data_set = prepared.config.train_dataloader.dataset
    found = Path(data_set.data_root, data_set.data_prefix.img, 'train/a.jpg')
    assert found.is_file()


@pytest.mark.parametrize(
    'text',
    [
        'train: images/train\nval: images/val\nnames:\n  0: mug\n  1: tea pot\n',
        'train: images/train\nvalid: images/val\nnc: 2\nnames:\n  1: tea pot\n  0: mug\n',
        'train: ./images/train/\nval: [images/val]\nnames:\n- mug\n- tea pot\n',
        f'path: /content/set\ntrain: images/train\nval: images/val\n{NAMES}',
        f'train: ../images/train\nval: ../images/val\n{NAMES}',
        f'train: images\\train\nval: .\\images\\val\n{NAMES}',
        f'train: C:\\Users\\me\\set\\images\\train\nval: D:\\images\\val\n{NAMES}',
        f'train: /home/me/set/images/train\nval: /home/me/set/images/val\n{NAMES}',
        f'\ufefftrain: images/train\nval: images/val\ntest:\n{NAMES}',
        f'train: train.txt\nval: val.txt\n{NAMES}',
    ],
)
def test_writings_of_data_yaml(data, text):
    root = data.parent
    (root / 'train.txt').write_text('\ufeff./images/train/a.jpg\n\nimages\\train\\b.jpg\n')
    (root / 'val.txt').write_text(f'{root}/images/val/c.jpg\nC:\\me\\set\\images\\val\\d.jpg\n')
    annotated = read_yolo(write(root, text))
    assert annotated.classes == ('mug', 'tea pot')
    assert shown(annotated) == EXPECTED


@pytest.mark.parametrize('argument', ['folder', 'file', 'images and file'])
def test_ways_to_name_a_data_set(data, argument):
    arguments = {
        'folder': (data.parent, None),
        'file': (data, None),
        'images and file': (data.parent / 'images', data),
    }
    assert shown(read_annotations(*arguments[argument])) == EXPECTED


@pytest.mark.parametrize('where', ['images/{}', 'labels/{}', 'images/labels/{}'])
def test_places_of_labels(data, where):
    root = data.parent
    for part in ('train', 'val'):
        shutil.move(root / 'labels' / part, root / 'moved' / part)
        target = root / where.format(part)
        target.mkdir(parents=True, exist_ok=True)
        for file in (root / 'moved' / part).iterdir():
            shutil.move(file, target)
    (root / 'images' / 'train' / 'classes.txt').write_text('mug\ntea pot\n')
    assert shown(read_yolo(data)) == EXPECTED


def test_outlines_become_boxes_and_are_kept(data):
    labelled(data.parent / 'labels' / 'train', a=f'0 {TRIANGLE}', b=f'1 {TRIANGLE} 0.25 0.75')
    prepared = prepare(data, None, data.parent / 'own')
    coco = CheckedCOCO(data.parent / 'own' / 'annotations' / 'train.json')
    first, second = coco.dataset['annotations']
    assert first['bbox'] == second['bbox'] == [12, 10, 24, 20]
    assert first['segmentation'] == [[12, 10, 36, 10, 36, 30]]
    assert (first['area'], second['area']) == (240, 480)
    assert coco.annToMask(first).sum() == pytest.approx(240, rel=0.1)
    assert not any('without one' in note for note in prepared.notes)


def test_boxes_beside_outlines_are_said(data):
    labelled(data.parent / 'labels' / 'train', a=f'0 {TRIANGLE}\n\n1 {BOX}')
    annotated = read_yolo(data)
    assert [bool(box.outline) for box in annotated.train[0].boxes] == [True, False]
    assert 'kept without one: 1' in annotated.notes[0]
    assert 'labels/train/a.txt, line 3' in annotated.notes[0]


def test_poses_are_their_boxes(data):
    data.write_text(data.read_text() + 'kpt_shape: [2, 3]\n')
    labelled(data.parent / 'labels' / 'train', a=f'0 {BOX} 0.3 0.3 2 0.6 0.6 2')
    (box,) = read_yolo(data).train[0].boxes
    assert box.bbox == (0.25, 0.25, 0.5, 0.5) and not box.outline


def test_data_set_without_val_is_divided(data):
    write(data.parent, f'train: images/train\n{NAMES}')
    labelled(data.parent / 'labels' / 'train', b=f'0 {BOX}\n1 {BOX}')
    prepared = prepare(data, None, data.parent / 'own')
    assert len(prepared.train) == len(prepared.val) == 1
    write(data.parent, f'train: images/train\nval: images/train\n{NAMES}')
    prepared = prepare(data, None, data.parent / 'own', force=True)
    assert len(prepared.train) == len(prepared.val) == 1
    assert any('val of data.yaml is train' in note for note in prepared.notes)


def test_classes_are_text_whatever_yaml_thinks(data):
    write(data.parent, 'train: images/train\nval: images/val\nnames: [no, 007]\n')
    assert read_yolo(data).classes == ('no', '007')


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('0 0.5 0.5 0.5 1.2', r'outside 0 to 1.*a.txt, line 2 \(0 0.5 0.5 0.5 1.2\)'),
        ('0 24 20 24 20', r'divide pixels by the size.*a.txt, line 2 \(0 24 20 24 20\)'),
        ('0 -0.1 0.5 0.5 0.5', 'outside 0 to 1.*a.txt, line 2'),
        ('2 0.5 0.5 0.5 0.5', r'class number without a name: .* 0 to 1.*a.txt, line 2 \(2 0.5'),
        ('-1 0.5 0.5 0.5 0.5', 'class number without a name.*a.txt, line 2'),
        ('0.5 0.5 0.5 0.5 0.5', 'class number without a name.*a.txt, line 2'),
        ('mug 0.5 0.5 0.5 0.5', r'not numbers only.*a.txt, line 2 \(mug 0.5'),
        ('0 0.5 nan 0.5 0.5', 'not numbers only.*a.txt, line 2'),
        ('0 0.5,0.5 0.5 0.5', 'not numbers only.*a.txt, line 2'),
        ('0 0.5 0.5 0.5', 'neither a box .* nor an outline.*a.txt, line 2'),
        ('0 0.5 0.5 0.5 0.5 0.9', r'neither a box .* nor an outline.*a.txt, line 2'),
    ],
)
def test_label_lines_that_are_wrong_are_named(data, line, message):
    labelled(data.parent / 'labels' / 'train', a=f'0 {BOX}\n{line}\n')
    with pytest.raises(DataError, match=f'data.yaml cannot be used.*\n- 1 x .*{message}'):
        prepare(data, None, data.parent / 'own')
    assert not (data.parent / 'own').exists()


def test_label_files_without_an_image_are_said(data):
    labelled(data.parent / 'labels' / 'train', gone=f'0 {BOX}', classes='mug')
    annotated = read_yolo(data)
    assert shown(annotated) == EXPECTED
    (note,) = annotated.notes
    assert note.startswith('label files without an image: 1 (') and 'train/gone.txt' in note


def test_all_that_is_wrong_is_told_at_once(data):
    root = data.parent
    labelled(root / 'labels' / 'train', a='7 0.5 0.5 0.5 0.5')
    labelled(root / 'labels' / 'val', c='0 2 0.5 0.5 0.5')
    labelled(root / 'images' / 'val', c=f'0 {BOX}')
    shutil.copy(root / 'images' / 'train' / 'a.jpg', root / 'images' / 'train' / 'a.png')
    with pytest.raises(DataError) as error:
        read_yolo(data)
    for part in (
        'two images with one label file. Rename one and its labels: ',
        'image with two label files that differ. Take one out: ',
        'class number without a name',
        'label outside 0 to 1',
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (f'path: elsewhere\ntrain: img/train\nval: images/val\n{NAMES}',
         r'line 2: train: img/train \(tried .*/set/elsewhere/img/train, .*/set/img/train'),
        (f'train: images/train\nval: D:\\a\\b\\val2\n{NAMES}', r'line 2: val: D:\\a\\b\\val2'),
        (f'val: images/val\n{NAMES}', 'has no `train`'),
        (f'train: empty\nval: images/val\n{NAMES}', 'folder without an image: .*line 1: train: '),
        (f'train: train.txt\nval: images/val\n{NAMES}',
         r'listed image that does not exist: .*train.txt, line 2: x/gone.jpg \(tried .*\n'
         r'.*listed twice.*train.txt, line 3: .*a.jpg \(and .*train.txt, line 1\)'),
        (f'train: [images/train, images/val]\nval: images/val\n{NAMES}',
         'image that is in train and in val'),
        ('train: images/train\n', 'line 1: give names, as a list or by number'),
        ('train: images/train\nnames: {0: mug, 2: cup}\n', 'line 2: names must have the numbers'),
        ('train: images/train\nnames: [mug, mug]\n', 'line 2: two classes have one name: mug'),
        (f'train: images/train\nnc: 3\n{NAMES}', 'line 2: nc is 3, and there are 2 names'),
        ('train: "C:\\data\\train"\n', 'line 1: .*In double quotes a backslash is no part'),
        ('train: [a\nnames: x: y\n', 'cannot read .*data.yaml, line 2'),
        ('just text', 'is no data.yaml of YOLO'),
        ('names: [' + '[' * 1500, 'cannot read .*data.yaml'),
        (f'train: {{a: b}}\n{NAMES}', 'no `train`|path that does not exist|path that is no text'),
        (f'train: [[a, b]]\n{NAMES}', 'path that is no text: .*line 1: train'),
        (f'train: latin.txt\n{NAMES}', r'latin.txt is not UTF-8 text \(byte 2\)'),
        (f'train: images/train\nkpt_shape: [x, 3]\n{NAMES}', 'line 2: give two numbers'),
    ],
)  # fmt: skip
def test_data_yaml_that_is_wrong_is_named(data, text, message):
    (data.parent / 'empty').mkdir()
    (data.parent / 'latin.txt').write_bytes('a\xe4.jpg'.encode('latin-1'))
    (data.parent / 'train.txt').write_text('images/train/a.jpg\nx/gone.jpg\nimages/train/a.jpg\n')
    with pytest.raises(DataError, match=message) as error:
        read_yolo(write(data.parent, text))
    assert str(data.parent) in str(error.value)


def test_data_set_without_any_label_says_where_they_were_looked_for(data):
    shutil.rmtree(data.parent / 'labels')
    with pytest.raises(DataError, match='no image has a label file. Tried: .*/labels/train, '):
        read_yolo(data)


def test_labels_of_a_class_that_no_training_image_shows(data):
    labelled(data.parent / 'labels' / 'train', a=f'0 {BOX}')
    prepared = prepare(data, None, data.parent / 'own')
    assert prepared.classes == ('mug', 'tea pot')
    assert any('that no training image shows' in n and 'tea pot' in n for n in prepared.notes)


def test_second_division_is_refused(data):
    with pytest.raises(ConfigError, match='--val-annotations: a data set that divides itself'):
        prepare(data, None, data.parent / 'own', val_annotations=data)


def test_classes_in_a_text_file(data):
    data.unlink()
    root = data.parent
    (root / 'classes.txt').write_text('\ufeffmug\r\ntea pot\n')
    (root / 'notes.json').write_text('{}')
    annotated = read_annotations(root, None)
    assert annotated.classes == ('mug', 'tea pot') and annotated.val is None
    assert shown(annotated)[0] == EXPECTED[0] | EXPECTED[1]


def test_folder_that_tells_nothing(tmp_path):
    with pytest.raises(DataError, match='it has no data.yaml, .* no train/_annotations.coco.json'):
        read_annotations(tmp_path, None)
    with pytest.raises(DataError, match='not found: .*nowhere'):
        read_annotations(tmp_path / 'nowhere', None)


@pytest.mark.parametrize('val', ['valid', 'val'])
def test_coco_as_roboflow_exports_it(tmp_path, val):
    for part, names in (('train', ('a.jpg', 'b.jpg')), (val, ('a.jpg',)), ('test', ('c.jpg',))):
        write_images(tmp_path / part, *names)
        boxes = {name: [('mug', [2, 3, 20, 15])] for name in names}
        # Roboflow's first category is the project, and nothing is of it
        tables = coco_tables(boxes, ('project', 'mug'))
        write_json(tmp_path / part / '_annotations.coco.json', tables)
    prepared = prepare(tmp_path, None, tmp_path / 'own')
    assert prepared.classes == ('mug',)
    assert [p.names[0] for p in prepared.train] == ['train/a.jpg', 'train/b.jpg']
    assert [p.names[0] for p in prepared.val] == [f'{val}/a.jpg']
    assert 'test is left out' in prepared.notes


VOC_NAMES = ('a.jpg', 'b.jpg', 'c.jpg', 'd.jpg')


def voc(folder: Path, names: tuple[str, ...] = VOC_NAMES, **lists: str) -> Path:
    write_images(folder / 'JPEGImages', *names)
    for name in names:
        write_voc(folder / 'Annotations', name, voc_object('mug', (2, 3, 20, 15)))
    (folder / 'ImageSets' / 'Main').mkdir(parents=True)
    for name, text in lists.items():
        (folder / 'ImageSets' / 'Main' / f'{name}.txt').write_text(text)
    return folder


@pytest.mark.parametrize(
    ('lists', 'expected'),
    [
        (dict(train='a\nb\n', val='c\n', test='d'), (['a.jpg', 'b.jpg'], ['c.jpg'])),
        (dict(trainval='a\nb\nd', test='c\n'), (['a.jpg', 'b.jpg', 'd.jpg'], ['c.jpg'])),
        (dict(train='\ufeffa 1\r\nb -1', val='c  1\n'), (['a.jpg', 'b.jpg'], ['c.jpg'])),
    ],
)
def test_image_sets_divide_voc(tmp_path, lists, expected):
    prepared = prepare(voc(tmp_path / 'voc', **lists), None, tmp_path / 'own')
    assert ([p.names[0] for p in prepared.train], [p.names[0] for p in prepared.val]) == expected
    left = [note for note in prepared.notes if 'do not list, left out: 1' in note]
    assert bool(left) == (len(expected[0]) == 2)


@pytest.mark.parametrize('train', ['IMG 1\nIMG 2  1\n', '"IMG 1"\n\'IMG 2\' -1\n'])
def test_image_sets_may_list_names_with_blanks(tmp_path, train):
    names = ('IMG 1.jpg', 'IMG 2.jpg', 'IMG 3.jpg')
    folder = voc(tmp_path / 'voc', names, train=train, val='IMG 3')
    prepared = prepare(folder, None, tmp_path / 'own')
    assert [p.names[0] for p in (*prepared.train, *prepared.val)] == list(names)


def test_image_sets_in_another_encoding_are_named(tmp_path):
    folder = voc(tmp_path / 'voc', val='c')
    (folder / 'ImageSets' / 'Main' / 'train.txt').write_text('a\nb', encoding='utf-16')
    with pytest.raises(DataError, match='train.txt is not UTF-8 text'):
        prepare(folder, None, tmp_path / 'own')


@pytest.mark.parametrize(
    ('lists', 'message'),
    [
        (dict(train='a\nx', val='c'), 'without an XML file: .*train.txt, line 2: x'),
        (dict(train='a\na', val='c'), 'listed twice. .*train.txt: a'),
        (dict(train='a\nc', val='c'), 'image in both parts.*: c'),
        (dict(other='a'), 'no train.txt and no trainval.txt'),
    ],
)
def test_image_sets_that_are_wrong(tmp_path, lists, message):
    with pytest.raises(DataError, match=message):
        prepare(voc(tmp_path / 'voc', **lists), None, tmp_path / 'own')


def test_image_sets_that_are_not_used_are_said(tmp_path):
    folder = voc(tmp_path / 'voc', train='a\nb\n', val='c')
    prepared = prepare(folder / 'JPEGImages', folder / 'Annotations', tmp_path / 'own')
    assert len(prepared.train) == 3
    assert any(f'ImageSets/Main is not used: {folder} alone' in n for n in prepared.notes)


def test_real_yolo_labels_are_the_boxes_of_real_coco(tmp_path):
    truth, data_set = real('data/coco_mini'), real('data/coco_mini_yolo')
    prepared: Prepared = prepare(data_set, None, tmp_path / 'own')
    for part in ('train', 'val'):
        expected = json.loads((truth / f'annotations/instances_{part}2017.json').read_text())
        found = json.loads((tmp_path / f'own/annotations/{part}.json').read_text())
        assert len(found['images']) == len(expected['images'])
        assert len(found['annotations']) == len(expected['annotations'])
        for ours, theirs in zip(_boxes(found), _boxes(expected), strict=True):
            assert ours[:2] == theirs[:2]
            assert ours[2] == pytest.approx(theirs[2], abs=1)
    assert prepared.images.resolve() == truth.resolve()


def _boxes(tables: dict) -> list[tuple]:
    """File, class and box of each, in one order."""
    files = {image['id']: Path(image['file_name']).name for image in tables['images']}
    names = {category['id']: category['name'] for category in tables['categories']}
    rows = [
        (files[a['image_id']], names[a['category_id']], a['bbox']) for a in tables['annotations']
    ]
    return sorted(rows, key=lambda row: (*row[:2], [round(v / 4) for v in row[2]], row[2]))


def test_real_division_of_voc(tmp_path):
    folder = real('data/bccd')
    prepared = prepare(folder, None, tmp_path / 'own')
    sizes = [len((folder / 'ImageSets/Main' / f'{n}.txt').read_text().split())
             for n in ('train', 'val')]  # fmt: skip
    assert [len(prepared.train), len(prepared.val)] == sizes

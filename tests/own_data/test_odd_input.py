"""What real folders and real tools are like: read as meant, or named before anything is written."""
import os
import unicodedata
from pathlib import Path

from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.evaluation.pictures import truth_sheet
from shufflenet_det.own_data import prepare
from shufflenet_det.own_data.check import ImageFolder
from shufflenet_det.own_data.voc_xml import read_voc

import cv2
import numpy as np
import pytest

from .files import BOXES, C4, coco_tables, labels, voc_object, write_images, write_json, write_voc

LATIN = os.fsdecode('Tässchen.jpg'.encode('latin-1'))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_images(tmp_path / 'photos', *BOXES)


def copy(photos: Path, name: str) -> None:
    (photos / name).write_bytes((photos / '0.jpg').read_bytes())


@pytest.mark.parametrize('annotated', [LATIN, 'Tässchen.jpg', 'tÄSSCHEN.JPG'])
def test_image_whose_name_is_no_text(photos, annotated):
    copy(photos, LATIN)
    prepared = prepare(photos, labels(photos, BOXES | {annotated: [('mug', [1, 1, 9, 9])]}),
                       photos.parent / 'own')  # fmt: skip
    assert LATIN in {p.names[0] for p in [*prepared.train, *prepared.val]}
    sheet = photos.parent / 'sheet.jpg'
    for part in ('train', 'val'):
        truth_sheet(photos.parent / 'own' / 'annotations' / f'{part}.json', photos, sheet)
        assert cv2.imread(str(sheet)) is not None


def test_folder_whose_name_is_no_text_is_refused(photos):
    folder = photos.rename(photos.with_name(LATIN))
    with pytest.raises(ConfigError, match=r'T\\udce4sschen.jpg: a config cannot hold a path'):
        prepare(folder, labels(folder), folder.parent / 'own')
    assert not (folder.parent / 'own').exists()


@pytest.mark.parametrize(
    ('on_disk', 'annotated'),
    [
        ('IMG_1.JPG', 'IMG_1.jpg'),
        ('a.jfif', 'a.jfif'),
        ('a.JFIF', 'a.jfif'),
        (unicodedata.normalize('NFD', 'Tüte.jpg'), 'Tüte.jpg'),
        ('Tüte.jpg', unicodedata.normalize('NFD', 'Tüte.jpg')),
    ],
)
def test_names_that_differ_in_writing_only(photos, on_disk, annotated):
    copy(photos, on_disk)
    assert ImageFolder(photos).find(annotated) == [on_disk]


def test_two_names_that_differ_in_writing_only_are_told_apart(photos):
    copy(photos, 'a.JPG')
    copy(photos, 'a.jpg')
    folder = ImageFolder(photos)
    assert folder.find('a.JPG') == ['a.JPG'] and folder.find('a.jpg') == ['a.jpg']
    assert sorted(folder.find('A.jpg')) == ['a.JPG', 'a.jpg']


def test_other_formats_are_named(photos):
    for name in ('x.heic', 'y.gif', '._0.jpg'):
        copy(photos, name)
    notes = prepare(photos, labels(photos), photos.parent / 'own').notes
    assert any('2 files of formats that are not read. Convert' in note for note in notes)
    assert any('macOS has left and that are no images: ._0.jpg' in note for note in notes)
    with pytest.raises(DataError, match='format that is not read. Convert it .*name that: x.HEIC'):
        prepare(photos, labels(photos, {'x.HEIC': [('mug', [1, 1, 9, 9])]}), photos.parent / 'own2')


@pytest.mark.parametrize('size', [(2000, 1), (1, 2000), (4000, 3)])
def test_image_that_is_too_narrow_is_named_before_anything_is_written(photos, size):
    cv2.imwrite(str(photos / 'narrow.png'), np.zeros((size[1], size[0], 3), np.uint8))
    boxes = dict(BOXES) | {'narrow.png': [('mug', [0, 0, 1, 1])]}
    tables = coco_tables(boxes)
    tables['images'][-1].update(width=size[0], height=size[1])
    source = write_json(photos.parent / 'labels.json', tables)
    message = rf'1 x image of which nothing is left .*narrow.png \({size[0]}x{size[1]}\)'
    with pytest.raises(DataError, match=message):
        prepare(photos, source, photos.parent / 'own', base=C4, mend=True)
    assert not (photos.parent / 'own').exists()
    # the default squeezes it into a square
    prepared = prepare(photos, source, photos.parent / 'own', mend=True)
    assert len(prepared.train) + len(prepared.val) == len(boxes)


@pytest.mark.parametrize('size', [(500, 2), (2, 500), (1, 1), (40, 900)])
def test_pictures_of_images_of_any_shape(photos, tmp_path, size):
    cv2.imwrite(str(photos / 'odd.png'), np.zeros((size[1], size[0], 3), np.uint8))
    tables = coco_tables({'odd.png': [('mug', [0, 0, 1, 1])]} | BOXES)
    tables['images'][0].update(width=size[0], height=size[1])
    truth_sheet(write_json(tmp_path / 'x.json', tables), photos, tmp_path / 'sheet.jpg')
    assert cv2.imread(str(tmp_path / 'sheet.jpg')) is not None


def parts(scale: float = 1) -> dict:
    return {name: [('mug', [0.1, 0.2, 0.3 * scale, 0.4])] for name in BOXES}


@pytest.mark.parametrize('mend', [False, True])
@pytest.mark.parametrize(
    ('boxes', 'message'),
    [
        (parts(), 'these look normalised: 10 of 10 boxes lie between 0 and 1'),
        (parts() | {'0.jpg': [('mug', [1, 1, 20, 20])]}, 'these look normalised: 9 of 10'),
        ({n: [('mug', [20, 18, 46, 38])] for n in BOXES}, 'these look like corners: 10 of 10'),
        ({n: [('mug', [20, 18, 44 + int(n[0]) % 2, 38]), ('mug', [1, 1, 9, 9])] for n in BOXES},
         'these look like corners: 10 of 20'),
    ],
)  # fmt: skip
def test_boxes_in_other_units_are_named(photos, boxes, message, mend):
    with pytest.raises(DataError, match=message):
        prepare(photos, labels(photos, boxes), photos.parent / 'own', mend=mend)
    assert not (photos.parent / 'own').exists()


@pytest.mark.parametrize('mend', [False, True])
def test_voc_boxes_in_other_units_are_named(photos, mend):
    for name in BOXES:
        write_voc(photos.parent / 'voc', name, voc_object('mug', (0.1, 0.2, 0.5, 0.8)))
    with pytest.raises(DataError, match='these look normalised: 10 of 10'):
        prepare(photos, photos.parent / 'voc', photos.parent / 'own', mend=mend)


@pytest.mark.parametrize(
    ('fields', 'counted'),
    [
        (dict(iscrowd='0', ignore='0'), True),
        (dict(iscrowd=False, ignore=None), True),
        (dict(ignore=1), False),
        (dict(iscrowd='1'), False),
    ],
)
def test_flags_are_read_as_meant_and_counted(photos, fields, counted):
    tables = coco_tables(BOXES)
    for annotation in tables['annotations'][:4]:
        annotation.update(fields)
    prepared = prepare(photos, write_json(photos.parent / 'x.json', tables), photos.parent / 'own')
    boxes = [box for p in [*prepared.train, *prepared.val] for box in p.boxes]
    assert sum(box.crowd for box in boxes) == (0 if counted else 4)
    said = [note for note in prepared.notes if note.startswith('objects that are neither learned')]
    assert bool(said) != counted
    if said:
        assert '4 of 10 (tea pot 2, mug 2)' in said[0] and 'set iscrowd to 0' in said[0]


def test_crowds_alone_name_the_remedy(photos):
    tables = coco_tables(BOXES)
    for annotation in tables['annotations']:
        annotation['iscrowd'] = 1
    source = write_json(photos.parent / 'x.json', tables)
    with pytest.raises(DataError, match='nothing to learn. If these are single .* iscrowd to 0'):
        prepare(photos, source, photos.parent / 'own')


@pytest.mark.parametrize(
    ('declared', 'written'),
    [
        ('gb2312', 'gb2312'),
        ('gb2312', 'gb18030'),
        ('GBK', 'gbk'),
        ('Shift_JIS', 'shift_jis'),
        ('utf-16', 'utf-8'),
        ('utf-16', 'utf-16'),
        ('utf-8', 'utf-8-sig'),
    ],
)
def test_encodings_of_voc_files(tmp_path, declared, written):
    text = f'<?xml version="1.0" encoding="{declared}"?>\n<annotation>' + voc_object(
        '杯子', (1, 1, 9, 9)
    )
    if written == 'shift_jis':
        text = text.replace('杯子', '茶碗')
    (tmp_path / 'a.xml').write_bytes(f'{text}</annotation>'.encode(written))
    (tmp_path / '._a.xml').write_bytes(b'\0\5\x16\7')
    classes, (picture,) = read_voc(tmp_path)
    assert classes in (('杯子',), ('茶碗',)) and picture.boxes[0].bbox == (0, 0, 9, 9)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('<?xml version="1.0" encoding="utf-8"?><annotation>ä</annotation>'.encode('latin-1'),
         'a.xml, line 1, column 51 .not well-formed'),
        (b'<?xml version="1.0" encoding="gb2312"?><annotation>', 'a.xml'),
        ('<?xml version="1.0" encoding="klingon"?><annotation>ä'.encode('latin-1'), 'a.xml'),
        ('<?xml version="1.0" encoding="gb2312"?><annotation>\xff\xff'.encode('latin-1'), 'a.xml'),
    ],
)  # fmt: skip
def test_voc_files_in_no_encoding_are_named(tmp_path, content, message):
    (tmp_path / 'a.xml').write_bytes(content)
    with pytest.raises(DataError, match=f'unreadable XML.*{message}'):
        read_voc(tmp_path)


@pytest.mark.parametrize('mark', ['1', 'true', ' True '])
def test_marks_of_voc_objects(tmp_path, mark):
    marked = voc_object('mug', (1, 1, 9, 9)).replace('>0</diff', f'>{mark}</diff')
    write_voc(tmp_path, 'a.jpg', marked, voc_object('mug', (2, 2, 9, 9)))
    assert [box.crowd for box in read_voc(tmp_path)[1][0].boxes] == [True, False]


@pytest.fixture
def config(photos: Path) -> Path:
    prepare(photos, labels(photos), photos.parent / 'own', steps=30)
    return photos.parent / 'own' / 'config.py'


def edited(config: Path, before: str, after: str) -> Path:
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after))
    return config


@pytest.mark.parametrize(
    ('written', 'message'),
    [
        ("('mug')", r"classes = 'mug' is text.*comma is missing. Write classes = \('mug',\)"),
        ("('mug' 'cup')", "classes = 'mugcup' is text.*a comma is missing"),
        ("{'mug', 'tea pot'}", r"another order in each run. Write classes = \('mug', 'tea pot'\)"),
        ('()', 'give names, one at least'),
        ("('mug', 3)", 'give names, one at least, as text'),
    ],
)
def test_classes_that_are_no_list_of_names(config, written, message):
    with pytest.raises(ConfigError, match=message):
        load_config(str(edited(config, "('mug', 'tea pot')", written)))


@pytest.mark.parametrize('how', ['workers', 'num_workers', 'option'])
def test_no_workers(config, how):
    options = None
    if how == 'workers':
        edited(config, 'workers = 1', 'workers = 0')
    elif how == 'num_workers':
        edited(config, 'dict(num_workers=workers, persistent_workers=workers > 0)',
               'dict(num_workers=0)')  # fmt: skip
    else:
        options = {f'{split}_dataloader.num_workers': 0 for split in ('train', 'val', 'test')}
    cfg = load_config(str(config), options)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        assert loader.num_workers == 0 and not loader.persistent_workers

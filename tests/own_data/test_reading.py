"""One's own annotations, as COCO JSON and as VOC XML, read or refused."""
from shufflenet_det.common.errors import DataError
from shufflenet_det.own_data.coco_json import read_coco
from shufflenet_det.own_data.voc_xml import read_voc

import pytest

from .files import coco_tables, voc_object, write_json, write_voc


def test_coco_classes_are_in_the_order_of_their_ids(tmp_path):
    tables = coco_tables({'a.jpg': [('tea pot', [1, 2, 3, 4])], 'b.jpg': []})
    tables['categories'].reverse()
    tables['annotations'][0]['iscrowd'] = 1
    tables['annotations'][0]['area'] = 7
    classes, (first, second) = read_coco(write_json(tmp_path / 'x.json', tables))
    assert classes == ('mug', 'tea pot')
    (box,) = first.boxes
    assert (box.category, box.bbox, box.crowd, box.area) == ('tea pot', (1, 2, 3, 4), True, 7)
    assert first.size == (48, 40) and second.boxes == ()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda t: t['categories'].append(dict(id=30, name='mug')), '1 x two categories of one n'),
        (lambda t: t['categories'].append(dict(id=10, name='cup')), 'categories of one id.*id 10'),
        (lambda t: t['images'].append(t['images'][0]), 'two images of one id.*id 1'),
        (lambda t: t['annotations'][0].update(category_id=99), r'1 \(a.jpg, category 99\)'),
        (lambda t: t['annotations'][0].update(image_id=99), r'annotation 1 \(image 99\)'),
        (lambda t: t['annotations'][0].update(bbox=[1, 2, 3]), 'four numbers.*annotation 1'),
        (lambda t: t['annotations'][0].update(bbox=[1, 2, 3, None]), 'four numbers'),
        (lambda t: t['annotations'][0].update(bbox=[1, 2, 3, float('nan')]), 'four numbers'),
        (lambda t: t['images'][0].pop('file_name'), "no 'file_name' in .*images.*number 1"),
        (lambda t: t['annotations'][0].pop('image_id'), "no 'image_id' in .*annotations"),
        (lambda t: t.update(categories=[3]), 'not a COCO'),
        (lambda t: t.pop('categories'), 'not a COCO.*categories'),
    ],
)
def test_coco_tables_that_contradict_each_other(tmp_path, change, message):
    tables = coco_tables({'a.jpg': [('mug', [1, 2, 3, 4])]})
    change(tables)
    with pytest.raises(DataError, match=f'(?s)x.json.*{message}'):
        read_coco(write_json(tmp_path / 'x.json', tables))


def test_all_faults_are_told_at_once(tmp_path):
    tables = coco_tables({'a.jpg': [('mug', [1, 2, 3, 4]), ('mug', [5, 2, 3, 4])]})
    tables['annotations'][0]['category_id'] = 99
    tables['annotations'][1]['bbox'] = 'nothing'
    with pytest.raises(DataError, match=r'(?s)category 99.*without a bbox.*annotation 2'):
        read_coco(write_json(tmp_path / 'x.json', tables))


def test_voc_corners_count_from_one_and_belong_to_the_box(tmp_path):
    write_voc(tmp_path, 'a.jpg', voc_object('mug', (1, 1, 48, 40)))
    _, (picture,) = read_voc(tmp_path)
    assert picture.boxes[0].bbox == (0, 0, 48, 40)
    assert picture.size == (48, 40)


def test_voc_difficult_objects_are_crowds(tmp_path):
    write_voc(tmp_path, 'a.jpg', voc_object('mug', (5, 5, 9, 9), difficult=1),
              voc_object(' tea pot ', (5, 5, 9, 9)))  # fmt: skip
    classes, (picture,) = read_voc(tmp_path)
    assert classes == ('mug', 'tea pot')
    assert [box.crowd for box in picture.boxes] == [True, False]


def test_voc_parts_of_objects_are_no_objects(tmp_path):
    inner = '<part><name>handle</name><bndbox><xmin>1</xmin></bndbox></part></object>'
    write_voc(
        tmp_path, 'a.jpg', voc_object('mug', (5, 5, 9, 9)).replace('</object>', inner)
    )
    assert read_voc(tmp_path)[0] == ('mug',)


def test_voc_image_may_have_the_name_of_the_xml_file(tmp_path):
    write_voc(tmp_path, 'sub/a.jpg', filename='/home/me/old.png')
    assert read_voc(tmp_path)[1][0].names == ('/home/me/old.png', 'sub/a')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('<annotation>\n<object>\n</annotation>', r'bad.xml, line 3, column 3 \(mismatched tag\)'),
        ('', r'bad.xml, line 1, column 1 \(no element found\)'),
        ('<svg/>', r'no VOC annotation.*bad.xml \(<svg>\)'),
        (
            f'<annotation>{voc_object("", (1, 1, 2, 2))}</annotation>',
            r'object without a <name>.*bad.xml, object 1',
        ),
        (
            f'<annotation>{voc_object("mug", (1, 1, "x", 2))}</annotation>',
            'xmin, ymin, xmax, ymax.*bad.xml, object 1',
        ),
    ],
)
def test_voc_files_that_cannot_be_read(tmp_path, content, message):
    write_voc(tmp_path, 'good.jpg', voc_object('mug', (1, 1, 2, 2)))
    (tmp_path / 'bad.xml').write_text(content)
    with pytest.raises(DataError, match=message):
        read_voc(tmp_path)


def test_folder_without_xml_says_what_it_holds(tmp_path):
    (tmp_path / 'a.txt').write_text('')
    with pytest.raises(DataError, match='holds no XML file .*a.txt.*Annotations'):
        read_voc(tmp_path)

"""One's own annotations held against the images."""
from pathlib import Path

from shufflenet_det.common.errors import DataError
from shufflenet_det.own_data.check import ImageFolder, match
from shufflenet_det.own_data.records import Box, Picture

import pytest
from PIL import Image

from .files import SIZE, write_images


def picture(name: str, *bboxes: tuple, size: tuple[int, int] | None = SIZE) -> Picture:
    boxes = tuple(Box('mug', tuple(map(float, bbox)), f'box {i}') for i, bbox in enumerate(bboxes))
    return Picture((name,), size, boxes, f'annotation of {name}')


def check(folder: Path, *pictures: Picture, mend: bool = False) -> tuple[list[Picture], list[str]]:
    return match(pictures, ImageFolder(folder), mend, Path('labels.json'))


def test_images_are_sorted_and_measured(tmp_path):
    write_images(tmp_path, 'b.jpg', 'a.png')
    matched, notes = check(tmp_path, picture('b.jpg', (1, 1, 5, 5), size=None), picture('a.png'))
    assert [p.names for p in matched] == [('a.png',), ('b.jpg',)]
    assert [p.size for p in matched] == [SIZE, SIZE]
    assert not notes


@pytest.mark.parametrize(
    ('name', 'found'),
    [
        ('sub/a.jpg', 'sub/a.jpg'),
        ('./sub/a.jpg', 'sub/a.jpg'),
        ('C:\\photos\\a.jpg', 'sub/a.jpg'),
        ('/home/me/a.jpg', 'sub/a.jpg'),
        ('b', 'b.v2.jpg'),
        ('b.v2', 'b.v2.jpg'),
        ('a.jpeg', None),
        ('A.jpg', 'sub/a.jpg'),
        ('sub\\A.JPG', 'sub/a.jpg'),
    ],
)
def test_names_that_may_mean_an_image(tmp_path, name, found):
    write_images(tmp_path, 'sub/a.jpg', 'b.v2.jpg')
    if name == 'b':
        # `v2` is part of the name, no extension that may be left out
        found = None
    assert ImageFolder(tmp_path).find(name) == ([found] if found else [])


def test_missing_images_are_named(tmp_path):
    write_images(tmp_path, 'a.jpg')
    with pytest.raises(DataError, match=r'labels.json .*\n- 2 x image that is not in .*x.jpg, y'):
        check(tmp_path, picture('a.jpg'), picture('x.jpg'), picture('y.jpg'))


def test_two_images_of_one_name_are_told_apart_by_their_folders(tmp_path):
    write_images(tmp_path, 'one/a.jpg', 'two/a.jpg')
    with pytest.raises(DataError, match=r'several images have.*a.jpg \(one/a.jpg, two/a.jpg\)'):
        check(tmp_path, picture('a.jpg'))
    assert len(check(tmp_path, picture('one/a.jpg'), picture('two/a.jpg'))[0]) == 2


def test_image_that_is_annotated_twice(tmp_path):
    write_images(tmp_path, 'a.jpg')
    with pytest.raises(DataError, match='annotated twice.*a.jpg .annotation of a.jpg and annot'):
        check(tmp_path, picture('a.jpg'), picture('old/a.jpg'))


def test_unreadable_images_are_named(tmp_path):
    write_images(tmp_path, 'a.jpg', 'b.jpg')
    content = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'a.jpg').write_bytes(content[: len(content) // 2])
    (tmp_path / 'b.jpg').write_text('no image')
    with pytest.raises(DataError, match='2 x image that cannot be read.*a.jpg .trunc.*, b.jpg'):
        check(tmp_path, picture('a.jpg'), picture('b.jpg'))


def test_size_that_contradicts_the_pixels(tmp_path):
    write_images(tmp_path, 'a.jpg')
    with pytest.raises(DataError, match=r'annotated 96x80, pixels 48x40\)'):
        check(tmp_path, picture('a.jpg', size=(96, 80)))


def test_image_that_its_exif_data_turns(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (48, 40)).save(tmp_path / 'a.jpg', exif=exif)
    with pytest.raises(DataError, match='annotated 48x40, pixels 40x48, turned by its EXIF'):
        check(tmp_path, picture('a.jpg', size=(48, 40)))
    # annotated as training sees it
    assert check(tmp_path, picture('a.jpg', (0, 0, 40, 48), size=(40, 48)))[0][0].size == (40, 48)


@pytest.mark.parametrize(
    ('bbox', 'mended'),
    [
        ((40, 30, 20, 20), (40, 30, 8, 10)),
        ((-5, 10, 20, 20), (0, 10, 15, 20)),
        ((60, 10, 20, 20), None),
        ((10, 10, 0, 5), None),
        ((10, 10, 5, -5), None),
        ((10, 10, 0.5, 5), None),
        ((-1, 10, 1.5, 5), None),
    ],
)
def test_boxes_outside_or_empty_are_an_error_unless_mended(tmp_path, bbox, mended):
    write_images(tmp_path, 'a.jpg')
    with pytest.raises(DataError, match='1 x box .*--mend .*box 0: x .* in 48x40'):
        check(tmp_path, picture('a.jpg', bbox))
    (result,), notes = check(tmp_path, picture('a.jpg', bbox, (1, 1, 9, 9)), mend=True)
    assert [box.bbox for box in result.boxes] == [*([mended] if mended else []), (1, 1, 9, 9)]
    assert len(notes) == 1 and ('clipped' if mended else 'left out') in notes[0]


def test_a_pixel_outside_is_clipped_and_said(tmp_path):
    write_images(tmp_path, 'a.jpg')
    (result,), notes = check(tmp_path, picture('a.jpg', (-1, 0, 20, 40.5)))
    assert result.boxes[0].bbox == (0, 0, 19, 40)
    assert notes == ['boxes clipped that reached outside their image: 1']


def test_boxes_that_come_twice_count_once(tmp_path):
    write_images(tmp_path, 'a.jpg')
    (result,), notes = check(tmp_path, picture('a.jpg', (1, 1, 9, 9), (1, 1, 9, 9)))
    assert len(result.boxes) == 1
    assert notes == ['boxes left out that came twice: 1']


def test_folder_that_is_missing_or_without_images(tmp_path):
    with pytest.raises(DataError, match='image folder not found: .*nowhere'):
        ImageFolder(tmp_path / 'nowhere')
    with pytest.raises(DataError, match='no image in folder.*jpg'):
        ImageFolder(tmp_path)

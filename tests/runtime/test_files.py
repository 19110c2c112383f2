"""Names and formats of image files: found, or named, never a crash."""
import json
import logging
import os
from pathlib import Path

from shufflenet_det.data import CheckedLoadImageFromFile, decode_rgb
from shufflenet_runtime import Classifier, Detector, cli, images
from shufflenet_runtime.errors import ConfigError, DataError
from shufflenet_runtime.files import below, list_images, without_clashes
from shufflenet_runtime.images import read_image
from shufflenet_runtime.sources import drawing_name, open_sources

import cv2
import numpy as np
import pytest
from PIL import Image

from .networks import write_classifier, write_detector

LATIN = os.fsdecode('Täßchen'.encode('latin-1'))


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp('model') / 'exported')


def write(folder: Path, *names: str) -> Path:
    _, content = cv2.imencode('.jpg', np.full((30, 40, 3), 200, np.uint8))
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def run(exported: Path, sources: list, folder: Path, **options) -> list[dict]:
    """Entries of the JSON file; drawings are in ``drawn``."""
    arguments = dict(
        model=str(exported), sources=list(map(str, sources)), out_dir=str(folder / 'drawn'),
        json=str(folder / 'found.json'), show=False, score_threshold=None, engine=None, threads=1,
        workers=1, max_frames=None,
    )  # fmt: skip
    cli.run(cli.Options(**arguments | options))
    return json.loads((folder / 'found.json').read_text(encoding='utf-8'))


def drawn(folder: Path) -> set[str]:
    base = folder / 'drawn'
    return {p.relative_to(base).as_posix() for p in base.rglob('*') if p.is_file()}


def test_names_that_are_no_text(exported, tmp_path, capsys):
    photos = write(tmp_path / 'photos', f'{LATIN}.jpg', f'{LATIN}/a.jpg', '照片.jpg', 'a\nb.jpg')
    entries = run(exported, [photos], tmp_path)
    names = {f'{LATIN}.jpg', f'{LATIN}/a.jpg', '照片.jpg', 'a\nb.jpg'}
    assert {str(Path(e['image']).relative_to(photos)) for e in entries} == names
    assert all(len(e['detections']) == 3 for e in entries)
    assert drawn(tmp_path) == names


def test_video_whose_path_is_no_text_is_refused(exported, tmp_path):
    write(tmp_path, f'{LATIN}.mp4')
    with pytest.raises(DataError, match='OpenCV opens no video whose path is not UTF-8'):
        run(exported, [tmp_path / f'{LATIN}.mp4'], tmp_path)


@pytest.mark.parametrize('name', ['a.JPG', 'a.jfif', 'a.jpe', 'a.Jpeg'])
def test_endings_of_jpeg(exported, tmp_path, name):
    photos = write(tmp_path / 'photos', name)
    (entry,) = run(exported, [photos], tmp_path)
    assert len(entry['detections']) == 3
    (picture,) = drawn(tmp_path)
    assert picture in (name, f'{name}.jpg')
    assert cv2.imread(str(tmp_path / 'drawn' / picture)).shape == (30, 40, 3)


def test_what_is_left_out_is_named(exported, tmp_path, capsys):
    photos = write(tmp_path / 'photos', 'a.jpg', 'b.heic', 'c.GIF', 'd.nef', '._a.jpg', 'e.txt')
    assert len(run(exported, [photos], tmp_path)) == 1
    said = capsys.readouterr().err
    assert '3 files of formats that are not read. Convert them to JPEG or PNG: b.heic, c' in said
    assert '1 files that macOS has left and that are no images: ._a.jpg' in said
    assert 'e.txt' not in said


def test_folder_of_other_formats_alone(tmp_path):
    write(tmp_path / 'photos', 'b.heic')
    with pytest.raises(DataError, match='no image in folder .*not read. Convert .*: b.heic'):
        open_sources([str(tmp_path / 'photos')])


def test_image_of_another_format_is_named(tmp_path):
    (tmp_path / 'a.heic').write_bytes(b'\0\0\0\x18ftypheic')
    with pytest.raises(DataError, match='a.heic: .heic is a format that is not .*JPEG or PNG'):
        read_image(tmp_path / 'a.heic')


def test_folder_and_dangling_link_with_names_of_images(exported, tmp_path, capsys):
    photos = write(tmp_path / 'photos', 'a.jpg', 'folder.jpg/b.jpg')
    (photos / 'gone.jpg').symlink_to('nowhere')
    with pytest.raises(DataError, match='1 of 3 images failed'):
        run(exported, [photos], tmp_path)
    assert 'gone.jpg: No such file' in capsys.readouterr().err
    assert drawn(tmp_path) == {'a.jpg', 'folder.jpg/b.jpg'}


@pytest.mark.parametrize(
    ('sources', 'names'),
    [
        (['photos'], {'cam1/x.jpg', 'cam2/x.jpg', 'cam2/y.jpg'}),
        (['photos/cam1', 'photos/cam2'], {'cam1/x.jpg', 'cam2/x.jpg', 'cam2/y.jpg'}),
        (['photos/cam1/x.jpg', 'photos/cam2/x.jpg'], {'cam1/x.jpg', 'cam2/x.jpg'}),
        (['photos/cam1/x.jpg', 'photos/cam2/y.jpg'], {'x.jpg', 'y.jpg'}),
    ],
)
def test_images_of_one_name_keep_all_their_results(exported, tmp_path, sources, names):
    write(tmp_path / 'photos', 'cam1/x.jpg', 'cam2/x.jpg', 'cam2/y.jpg')
    entries = run(exported, [tmp_path / source for source in sources], tmp_path)
    assert drawn(tmp_path) == names and len(entries) == len(names)


def test_videos_of_one_name_keep_all_their_results(exported, tmp_path):
    for name in ('cam1/v.avi', 'cam2/v.avi', 'cam2/v.mp4'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        writer = cv2.VideoWriter(
            str(tmp_path / name), cv2.VideoWriter_fourcc(*'mp4v'), 5, (80, 64)
        )
        writer.write(np.full((64, 80, 3), 200, np.uint8))
        writer.release()
    run(exported, [tmp_path / name for name in ('cam1/v.avi', 'cam2/v.avi', 'cam2/v.mp4')],
        tmp_path)  # fmt: skip
    assert drawn(tmp_path) == {'cam1/v.avi.mp4', 'cam2/v.avi.mp4', 'cam2/v.mp4.mp4'}


def test_one_image_twice_is_refused(exported, tmp_path):
    photos = write(tmp_path / 'photos', 'x.jpg')
    with pytest.raises(ConfigError, match='two pictures named x.jpg'):
        run(exported, [photos, photos / 'x.jpg'], tmp_path)


def test_names_of_results():
    assert below([Path('/a/b/x.jpg'), Path('/a/c/d/x.jpg')]) == ['b/x.jpg', 'c/d/x.jpg']
    assert without_clashes(['x', 'x', 'y'], ['x.jpg', 'x.png', 'y.png']) == ['x.jpg', 'x.png', 'y']
    names = ['x.jpg', 'x.png', 'x.jpg.png']
    assert without_clashes(['x', 'x', 'x.jpg'], names) == names
    assert drawing_name('x.pbm') == 'x.pbm.jpg' and drawing_name('x.PGM') == 'x.PGM.jpg'
    assert list_images('/nowhere').images == []


@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
def test_twelve_bits_in_sixteen_are_said_once(tmp_path, caplog, monkeypatch, suffix):
    monkeypatch.setattr(images, '_said', set())
    values = np.linspace(0, 4095, 1200).astype(np.uint16).reshape(30, 40)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'{number}{suffix}'), values)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            assert read_image(tmp_path / f'{number}{suffix}').max() == 15
    (record,) = caplog.records
    assert f'0{suffix} has 16 bits a channel and no value above 4095' in record.getMessage()


@pytest.mark.parametrize('values', [np.full((9, 9), 65535), np.zeros((9, 9)), np.full((9, 9), 12)])
def test_sixteen_bits_and_black_are_fine(tmp_path, caplog, monkeypatch, values):
    monkeypatch.setattr(images, '_said', set())
    cv2.imwrite(str(tmp_path / 'a.png'), values.astype(np.uint16))
    read_image(tmp_path / 'a.png')
    cv2.imwrite(str(tmp_path / 'b.png'), (values % 13).astype(np.uint8))
    read_image(tmp_path / 'b.png')
    assert not caplog.records


@pytest.mark.parametrize('orientation', [1, 3, 6])
def test_exif_orientation_is_that_of_training(exported, tmp_path, orientation):
    values = np.zeros((30, 40, 3), np.uint8)
    values[:15, :20] = 200
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / 'photo.png'
    Image.fromarray(values).save(path, exif=exif)
    as_detectors = CheckedLoadImageFromFile()(dict(img_path=str(path)))['img']
    assert (read_image(path) == as_detectors).all()
    as_classifiers = decode_rgb(path.read_bytes(), str(path)).permute(1, 2, 0).numpy()[..., ::-1]
    classifier = Classifier(write_classifier(tmp_path / 'classifier'))
    pixels, _ = classifier._input(path)
    assert (pixels == as_classifiers).all() and (pixels == values).all()
    (source,) = open_sources([str(path)], upright=classifier.upright)
    assert (next(source.frames()).read() == values).all()
    assert (as_detectors.shape == values.shape) == (orientation != 6)


def test_images_without_a_shape_to_speak_of(exported, tmp_path):
    for name, shape in (('wide.png', (1, 2000)), ('tall.png', (2000, 1)), ('dot.png', (1, 1))):
        cv2.imwrite(str(tmp_path / name), np.full((*shape, 3), 200, np.uint8))
        entries = run(exported, [tmp_path / name], tmp_path)
        assert len(entries[0]['detections']) == 3
        assert cv2.imread(str(tmp_path / 'drawn' / name)).shape == (*shape, 3)
    fitted = write_detector(tmp_path / 'fitted', resize=dict(rule='fit', long=500, short=300))
    with pytest.raises(DataError, match='2000x1 pixels is too narrow: resized it has 500x0'):
        Detector(fitted)(tmp_path / 'wide.png')


def test_drawing_that_its_format_cannot_hold(exported, tmp_path, capsys):
    photos = write(tmp_path / 'photos', 'a.jpg')
    cv2.imwrite(str(photos / 'b.png'), np.full((2, 70000, 3), 200, np.uint8))
    (photos / 'b.png').rename(photos / 'b.jpg')
    with pytest.raises(DataError, match='1 of 2 images failed'):
        run(exported, [photos], tmp_path)
    assert 'drawn/b.jpg: 70000x2 pixels do not fit' in capsys.readouterr().err
    assert drawn(tmp_path) == {'a.jpg'}

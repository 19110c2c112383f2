"""Detector and Classifier on images, with networks whose results are known."""
import json
import sys

from shufflenet_runtime import Classifier, ConfigError, DataError, Detector, EngineError
from shufflenet_runtime.description import write_description
from shufflenet_runtime.network import open_network

import cv2
import numpy as np
import pytest

from .networks import LABELS, PARTS, write_classifier, write_detector

# blue, green, red
COLOR = (51, 255, 102)


def plain(height: int, width: int, color: tuple = COLOR) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


@pytest.mark.parametrize(
    'channels, scores', [('bgr', (0.2, 1.0, 0.4)), ('rgb', (0.4, 1.0, 0.2))]
)
@pytest.mark.parametrize(
    'resize',
    [None, dict(rule='fit', long=50, short=30), dict(rule='exact', width=31, height=17)],
    ids=['as it is', 'fit', 'exact'],
)
def test_boxes_are_in_pixels_of_the_image_and_labels_have_names(
    tmp_path, channels, scores, resize
):
    detector = Detector(write_detector(tmp_path / 'exported', channels, resize=resize))
    found = detector(plain(70, 99))
    assert found.names == tuple(LABELS) and found.labels.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.scores, scores, rtol=1e-6)
    np.testing.assert_allclose(found.boxes, PARTS * [99, 70, 99, 70], rtol=1e-6)
    assert [name for name, _, _ in found] == LABELS and len(found) == 3
    assert detector.engine == 'onnxruntime' and detector.labels == LABELS
    first = found.as_json()['detections'][0]
    assert first == dict(label='first', score=round(scores[0], 5), box=[0, 0, 99, 70])


@pytest.mark.parametrize(
    'resize', [None, dict(rule='fit', long=50, short=30)], ids=['as it is', 'fit']
)
def test_a_detector_for_images_of_one_size_takes_others_too(tmp_path, resize):
    folder = write_detector(tmp_path / 'exported', resize=resize)
    prepared = Detector(folder, image_size=(70, 99))
    for size in ((70, 99), (99, 70), (8, 8)):
        assert prepared(plain(*size)).as_json() == Detector(folder)(plain(*size)).as_json()
    for wrong in ((70,), (0, 99)):
        with pytest.raises(ConfigError, match='must be height and width, 1 or more'):
            Detector(folder, image_size=wrong)


def test_a_size_of_which_nothing_is_left_is_refused(tmp_path):
    folder = write_detector(tmp_path / 'exported', resize=dict(rule='fit', long=50, short=30))
    with pytest.raises(ConfigError, match=r'image_size=\(1, 900\) is too narrow: .* 0x50'):
        Detector(folder, image_size=(1, 900))


def test_score_threshold_and_images_without_detections(tmp_path):
    folder = write_detector(tmp_path / 'exported')
    assert Detector(folder, score_threshold=0.3)(plain(9, 9)).names == ('second', 'third')
    empty = Detector(folder)(plain(9, 9, (9, 9, 9)))
    assert len(empty) == 0 and empty.boxes.shape == (0, 4) and empty.names == ()
    assert empty.as_json() == dict(detections=[])
    for wrong in (0.05, 1.5):
        with pytest.raises(ConfigError, match=r'between 0\.1.*score_thr'):
            Detector(folder, score_threshold=wrong)


def test_without_names_labels_are_numbers(tmp_path):
    folder = write_detector(tmp_path / 'exported', labels=None)
    assert Detector(folder)(plain(9, 9)).names == ('0', '1', '2')


def test_many_images_come_in_order(tmp_path):
    folder = write_detector(tmp_path / 'exported')
    images = [plain(8, 8, (100 + n, 0, 0)) for n in range(40)]
    expected = [(100 + n) / 255 for n in range(40)]
    for workers in (1, 3):
        found = Detector(folder, threads=1, workers=workers).map(images)
        assert [f.scores.tolist() for f in found] == [[pytest.approx(x)] for x in expected]


def test_image_files_are_read_upright(tmp_path):
    detector = Detector(write_detector(tmp_path / 'exported'))
    cv2.imwrite(str(tmp_path / 'a.png'), plain(30, 40))
    np.testing.assert_allclose(detector(tmp_path / 'a.png').boxes[0], [0, 0, 40, 30])
    # EXIF orientation 6: turned by 90 degrees
    _, content = cv2.imencode('.jpg', plain(30, 40))
    exif = b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'
    segment = b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
    (tmp_path / 'b.jpg').write_bytes(content[:2].tobytes() + segment + content[2:].tobytes())
    np.testing.assert_allclose(detector(str(tmp_path / 'b.jpg')).boxes[0], [0, 0, 30, 40])


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8), [[1]], None,
    ],
    ids=['grey', 'four channels', 'floats', 'empty', 'list', 'none'],
)  # fmt: skip
def test_what_is_no_image_is_refused(tmp_path, image):
    detector = Detector(write_detector(tmp_path / 'exported'))
    with pytest.raises(DataError, match=r'array \(height, width, 3\) of uint8'):
        detector(image)


def test_images_that_are_too_narrow_or_small_are_refused(tmp_path):
    rule = dict(rule='fit', long=50, short=30)
    detector = Detector(write_detector(tmp_path / 'exported', resize=rule))
    with pytest.raises(DataError, match='900x1 pixels is too narrow: resized it has 50x0'):
        detector(plain(1, 900))
    network = open_network(tmp_path / 'exported', ['detector'])
    with pytest.raises(EngineError, match='tiny on an image of 3x2 pixels, which may be too small'):
        network.run(np.zeros((1, 2, 2, 3), np.uint8))


def test_classifier_ranks_classes(tmp_path):
    rule = dict(rule='crop', short=20, crop=16)
    classifier = Classifier(write_classifier(tmp_path / 'exported', resize=rule))
    # red 3, green 2, blue 1
    found = classifier(plain(40, 30, (1, 2, 3)))
    powers = np.exp([3, 2, 1])
    np.testing.assert_allclose(found.probabilities, powers / powers.sum(), rtol=1e-5)
    assert found.names == ('first', 'second', 'third')
    assert classifier(plain(40, 30, (3, 2, 1))).names == ('third', 'second', 'first')
    first = found.as_json()['classes'][0]
    assert first == dict(label='first', probability=pytest.approx(0.66524, abs=1e-5))


def test_the_wrong_folder_is_refused(tmp_path, monkeypatch):
    folder = write_detector(tmp_path / 'exported')
    with pytest.raises(ConfigError, match='holds a detector, not a classifier'):
        Classifier(folder)
    with pytest.raises(ConfigError, match='no network for openvino: name what it has one for, onn'):
        Detector(folder, engine='openvino')
    with pytest.raises(ConfigError, match='unknown engine'):
        Detector(folder, engine='tensorrt')
    with pytest.raises(ConfigError, match='workers=0'):
        Detector(folder, workers=0)
    with pytest.raises(DataError, match='no exported network'):
        Detector(tmp_path)
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(EngineError, match='pip install onnxruntime'):
        Detector(folder, engine='onnxruntime')


def test_damaged_files_and_other_versions_are_refused(tmp_path):
    folder = write_detector(tmp_path / 'exported')
    model, description = folder / 'model.onnx', folder / 'deploy.json'
    content = model.read_bytes()
    model.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r'model\.onnx is not the file that was exported'):
        Detector(folder)
    model.unlink()
    with pytest.raises(DataError, match=r'model\.onnx is missing'):
        Detector(folder)
    about = json.loads(description.read_text())
    description.write_text(json.dumps(about | dict(format=1)))
    with pytest.raises(DataError, match='is of format 1'):
        Detector(folder)
    for damage in ('{', '[]', '{"format": 2}', '{"format": 2, "input": 3}'):
        description.write_text(damage)
        with pytest.raises(DataError, match='(cannot read|is damaged).*Copy the folder anew'):
            Detector(folder)


def test_a_file_that_the_engine_refuses_is_named(tmp_path):
    folder = write_detector(tmp_path / 'exported')
    (folder / 'model.onnx').write_bytes(b'not a network')
    about = json.loads((folder / 'deploy.json').read_text())
    del about['format'], about['files']
    write_description(folder, about)
    with pytest.raises(EngineError, match=r'onnxruntime cannot load .*model\.onnx'):
        Detector(folder)

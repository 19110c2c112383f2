"""The whole way from a config and a checkpoint to a folder, and all that is refused on it."""
import copy
import json
import sys
from pathlib import Path

from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.compat.checkpoint import CheckpointError
from shufflenet_det.export import (
    ENGINES,
    FORMATS,
    EngineError,
    ExportedModel,
    ExportError,
    dataset_pictures,
    exporting,
    is_exported,
    read_description,
)
from shufflenet_det.export.dataset_pictures import validation_pictures
from shufflenet_det.export.exporting import export
from shufflenet_det.export.networks import exportable
from shufflenet_det.export.onnx_writer import write as write_onnx
from shufflenet_det.export.resizing import read_resize
from shufflenet_det.export.validation import choose_pictures
from shufflenet_runtime import Detector
from shufflenet_runtime.resizing import resize_image

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config

from ..conftest import COCO_CLASSES, ROOT
from .detectors import detector_config, picture, random_classifier, random_detector

ALEXNET = ROOT / 'configs/imagenet/alexnet_in1k.py'
SHUFFLENET = ROOT / 'configs/imagenet/shufflenet-v1-0.25x-g3_in1k.py'


def save(model: torch.nn.Module, path: Path) -> str:
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return str(path)


@pytest.fixture(scope='module')
def cfg() -> Config:
    cfg = detector_config('light')
    for step in cfg.test_dataloader.dataset.pipeline:
        if step['type'] == 'Resize':
            step['scale'] = (256, 160)
    return cfg


@pytest.fixture(scope='module')
def files(cfg: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint and pictures."""
    folder = tmp_path_factory.mktemp('files')
    save(random_detector(cfg), folder / 'light.pth')
    for number in range(2):
        image = picture(200, 300 - 150 * number, seed=number).transpose(1, 2, 0)
        cv2.imwrite(str(folder / f'{number}.png'), image)
    return folder


@pytest.fixture(scope='module')
def exported(cfg: Config, files: Path) -> Path:
    out = files / 'exported'
    pictures = [files / '0.png', files / '1.png']
    checkpoint = str(files / 'light.pth')
    checked = export(cfg, 'configs/light.py', checkpoint, out, list(FORMATS), pictures)
    assert set(checked) == set(ENGINES)
    for rows in checked.values():
        assert {row.picture for row in rows} >= {'0.png 160x240', '1.png 213x160'}
        assert all(row.difference.compared > 20 for row in rows[:2])
    return out


def test_folder_holds_all_that_a_runtime_needs(exported):
    assert is_exported(exported)
    about = read_description(exported)
    assert sorted(path.name for path in exported.iterdir()) == sorted(
        ['deploy.json', *about['files']]
    )
    assert about['files'].keys() >= {
        'model.onnx', 'model.xml', 'model.bin', 'model.ncnn.param', 'model.ncnn.bin',
        'model.rois.ncnn.param', 'model.rois.ncnn.bin', 'model.ncnn.json',
    }  # fmt: skip
    assert about['files'].keys() >= {f for e in ENGINES.values() for f in e.files_of('detector')}
    assert about['kind'] == 'detector' and about['name'] == 'light'
    assert about['labels'] == list(COCO_CLASSES)
    assert about['resize'] == dict(
        rule='fit', long=256, short=160, interpolation='bilinear_exact'
    )
    assert about['input'] == dict(
        name='image', dtype='uint8', layout='NCHW', channels='rgb', batch=1, height=None, width=None
    )
    assert about['outputs'] == ['boxes', 'scores', 'labels']
    assert about['thresholds'] == dict(score=0.05, iou=0.5, max_per_image=100)
    assert about['preprocessing']['mean'] == [123.675, 116.28, 103.53]
    assert about['engines']['openvino']['model'] == 'model.xml'
    for engine in about['engines'].values():
        assert engine['validation']['compared'] > 40
        assert engine['validation']['boxes'] < 0.5 and engine['validation']['scores'] < 1e-3
    assert {'torch', 'onnx', 'onnxruntime', 'openvino', 'ncnn', 'pnnx'} <= about['versions'].keys()
    assert about['source']['checkpoint'] == 'light.pth'
    assert str(exported.parent) not in (exported / 'deploy.json').read_text()


def test_nothing_else_is_left_behind(exported):
    assert sorted(path.name for path in exported.parent.iterdir()) == [
        '0.png', '1.png', 'exported', 'light.pth',
    ]  # fmt: skip


@pytest.mark.parametrize('engine', ENGINES)
def test_tested_network_gives_boxes_of_the_original_image(cfg, exported, engine):
    model = random_detector(cfg)
    image = torch.from_numpy(picture(160, 240, seed=3))
    scale = (0.5, 0.4)
    results = []
    for tested in (model, ExportedModel(str(exported), engine)):
        sample = DetDataSample(
            metainfo=dict(img_shape=(160, 240), ori_shape=(400, 480), scale_factor=scale)
        )
        (sample,) = tested.test_step(dict(inputs=[image], data_samples=[sample]))
        results.append(sample.pred_instances)
    expected, found = results
    assert len(expected) == len(found) > 20
    assert (expected.labels == found.labels).all()
    torch.testing.assert_close(found.bboxes, expected.bboxes, atol=0.1, rtol=0)
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=0)


@pytest.mark.parametrize('engine', ['onnxruntime', 'openvino'])
def test_runtime_finds_in_an_image_file_what_mmdetection_finds(cfg, exported, files, engine):
    model = random_detector(cfg)
    model.cfg = cfg
    path = str(files / '1.png')
    expected = inference_detector(model, path).pred_instances
    found = Detector(exported, engine, threads=1)(path)
    assert len(expected) == len(found) > 20
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.names == tuple(COCO_CLASSES[label] for label in expected.labels)
    np.testing.assert_allclose(found.boxes, expected.bboxes, atol=0.1)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)


def refused(cfg: Config, checkpoint: str | Path, out: Path, error: type, **kwargs) -> str:
    before = sorted(out.parent.iterdir())
    with pytest.raises(error) as raised:
        export(cfg, 'configs/light.py', str(checkpoint), out, **kwargs)
    assert sorted(out.parent.iterdir()) == before
    return str(raised.value)


def test_pictures_of_the_validation_set_are_compared_where_they_are_there(
    cfg, files, tmp_path, monkeypatch
):
    source = exportable(random_detector(cfg), None, None)
    assert validation_pictures(cfg, source, 4) == []
    own = Config(copy.deepcopy(cfg.to_dict()))
    annotations = tmp_path / 'val.json'
    own.val_dataloader.dataset.update(
        data_root=str(tmp_path), ann_file='val.json', data_prefix=dict(img=str(files))
    )
    sizes = ((200, 300), (200, 150))
    content = dict(
        images=[
            dict(id=i, file_name=f'{i}.png', height=h, width=w) for i, (h, w) in enumerate(sizes)
        ],
        annotations=[],
        categories=[dict(id=i, name=name) for i, name in enumerate(COCO_CLASSES)],
    )
    annotations.write_text(json.dumps(content))
    first, second = validation_pictures(own, source, 4)
    assert (first.name, second.name) == ('0.png 160x240', '1.png 213x160')
    # the network takes RGB
    expected = resize_image(cv2.imread(str(files / '0.png')), read_resize(own))[..., ::-1]
    assert (first.images[0] == expected.transpose(2, 0, 1)).all()
    # which pictures are decided on depends on how a processor rounds
    monkeypatch.setattr('shufflenet_det.export.validation.is_decided', lambda *_: True)
    chosen = choose_pictures(source, read_resize(own), own=[first, second])
    assert {'0.png 160x240', 'landscape 160x240'} <= {picture.name for picture, _ in chosen}
    own.val_dataloader.dataset.data_prefix = dict(img=str(tmp_path / 'elsewhere'))
    said = []
    monkeypatch.setattr(dataset_pictures, 'print_log', lambda text, *_: said.append(text))
    assert validation_pictures(own, source, 4) == []
    assert said[0].startswith('not compared on the validation set: image folder not found')


def test_a_network_that_does_not_agree_is_not_kept(cfg, files, tmp_path, monkeypatch):
    def write_another(source, folder, *settings):
        source.network.detect.heads[0].fc_reg.weight.data *= 1.5
        write_onnx(source, folder, *settings)

    monkeypatch.setitem(exporting.WRITERS, 'onnx', write_another)
    message = refused(
        cfg, files / 'light.pth', tmp_path / 'out', ExportError, images=[files / '0.png']
    )
    assert 'model.onnx does not agree with PyTorch in onnxruntime' in message
    assert '0.png 160x240' in message


def test_a_checkpoint_that_detects_nothing_is_refused(cfg, files, tmp_path):
    model = random_detector(cfg)
    with torch.no_grad():
        model.roi_head.bbox_head.fc_cls.bias[-1] = 50
    checkpoint = save(model, tmp_path / 'empty.pth')
    message = refused(
        cfg, checkpoint, tmp_path / 'out', ExportError, images=[files / '0.png']
    )
    assert 'nothing to compare' in message and '--images' in message


def test_bad_input_is_refused_early(cfg, files, tmp_path, monkeypatch):
    checkpoint = files / 'light.pth'
    occupied = tmp_path / 'occupied'
    occupied.mkdir()
    assert 'exists' in refused(cfg, checkpoint, occupied, ConfigError)
    out = tmp_path / 'out'
    assert 'unknown format' in refused(cfg, checkpoint, out, ConfigError, formats=['tflite'])
    assert 'not found' in refused(cfg, tmp_path / 'none.pth', out, CheckpointError)
    other = detector_config('c4')
    assert 'another network' in refused(other, checkpoint, out, CheckpointError)
    assert 'not found: none.jpg' in refused(cfg, checkpoint, out, DataError, images=['none.jpg'])
    monkeypatch.setitem(sys.modules, 'openvino', None)
    message = refused(cfg, checkpoint, out, EngineError, formats=['onnx', 'openvino'])
    assert 'pip install openvino' in message and 'extra openvino of shufflenet_runtime' in message


def test_damaged_folders_are_refused(exported, tmp_path):
    copy = tmp_path / 'copy'
    copy.mkdir()
    for path in exported.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    content = (copy / 'model.bin').read_bytes()
    (copy / 'model.bin').write_bytes(content[:-1])
    ExportedModel(str(copy), 'onnxruntime')
    with pytest.raises(DataError, match=r'model\.bin is not the file'):
        ExportedModel(str(copy), 'openvino')
    (copy / 'model.rois.ncnn.bin').write_bytes(b'')
    with pytest.raises(DataError, match=r'model\.rois\.ncnn\.bin is not the file'):
        ExportedModel(str(copy), 'ncnn')
    (copy / 'model.bin').unlink()
    with pytest.raises(DataError, match=r'model\.bin is missing'):
        ExportedModel(str(copy), 'openvino')
    about = json.loads((copy / 'deploy.json').read_text())
    (copy / 'deploy.json').write_text(json.dumps(about | dict(format=1)))
    with pytest.raises(DataError, match='is of format 1'):
        ExportedModel(str(copy))
    (copy / 'deploy.json').write_text('{')
    with pytest.raises(DataError, match='cannot read'):
        ExportedModel(str(copy))
    with pytest.raises(DataError, match='no exported network'):
        ExportedModel(str(tmp_path))


def test_a_classifier_takes_any_size_and_number(tmp_path):
    cfg = load_config(str(SHUFFLENET))
    model = random_classifier(cfg)
    checkpoint = save(model, tmp_path / 'classifier.pth')
    out = tmp_path / 'out'
    export(cfg, str(SHUFFLENET), checkpoint, out, list(FORMATS))
    about = read_description(out)
    assert about['input']['batch'] is about['input']['height'] is None
    assert about['resize'] == dict(rule='crop', short=256, crop=224)
    images = torch.from_numpy(np.stack([picture(96, 130, seed) for seed in range(3)]))
    data = dict(inputs=images, labels=[0, 1, 2], paths=['a', 'b', 'c'])
    with torch.no_grad():
        expected = model.test_step(dict(data, labels=torch.tensor([0, 1, 2])))
    assert list(about['engines']) == list(ENGINES)
    # pnnx has found the shuffles: one in each unit
    layers = (out / 'model.ncnn.param').read_text().splitlines()
    assert sum(layer.startswith('ShuffleChannel ') for layer in layers) == 16
    for engine in about['engines']:
        found = ExportedModel(str(out), engine).test_step(data)
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(b['logits'], a['logits'], atol=1e-5, rtol=1e-3)
    with pytest.raises(ConfigError, match='unknown engine'):
        ExportedModel(str(out), 'tensorrt')


def test_a_network_of_one_size_says_so():
    model = MODELS.build(load_config(str(ALEXNET)).model)
    source = exportable(model, None, dict(rule='crop', short=256, crop=224))
    assert source.size == (224, 224)
    assert source.axes == {0: 'batch'}
    with pytest.raises(ConfigError, match='does not tell the size'):
        exportable(model, None, None)


def test_a_backbone_alone_has_its_levels(tmp_path, cfg, files):
    out = tmp_path / 'out'
    export(cfg, 'light.py', str(files / 'light.pth'), out, ['openvino', 'ncnn'], backbone_only=True)
    about = read_description(out)
    assert about['outputs'] == ['level0', 'level1', 'level2']
    assert about['files'].keys() == {
        'model.xml', 'model.bin', 'model.ncnn.param', 'model.ncnn.bin',
    }  # fmt: skip
    with pytest.raises(ConfigError, match='holds a backbone, not a detector or classifier'):
        ExportedModel(str(out))

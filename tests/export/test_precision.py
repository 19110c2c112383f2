"""Exports in 8 and 16 bits: what they need, what they lose, and all that is refused."""
import importlib.util
import json
from pathlib import Path
from xml.etree import ElementTree

from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.compat.checkpoint import CheckpointError, read_checkpoint
from shufflenet_det.export import EngineError, ExportedModel, ExportError, export, exporting
from shufflenet_det.export.accuracy import Figure, Loss, Precision, measure, require_small
from shufflenet_det.export.calibration import calibration_images
from shufflenet_det.export.exporting import check_request
from shufflenet_det.export.networks import exportable
from shufflenet_det.export.resizing import read_resize
from shufflenet_det.export.writers import WRITERS
from shufflenet_runtime import Classifier
from shufflenet_runtime.description import read_description
from shufflenet_runtime.engines import ENGINES

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from ..conftest import ROOT
from .detectors import picture, random_classifier
from .one_stage import build

SHUFFLENET = ROOT / 'configs/imagenet/shufflenet-v1-0.25x-g3_in1k.py'
CLASSES, SIDE = 10, 64


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet's layout: 100 training images, 20 for validation, of a class for each colour."""
    root = tmp_path_factory.mktemp('data')
    for split, count in (('train', 10), ('val', 2)):
        for label in range(CLASSES):
            folder = root / split / f'n{label}'
            folder.mkdir(parents=True)
            for number in range(count):
                image = picture(SIDE, SIDE, seed=100 * label + number)
                image[label % 3] //= 2 + label // 3
                cv2.imwrite(str(folder / f'{split}{label}_{number}.png'), image.transpose(1, 2, 0))
    return root


@pytest.fixture(scope='module')
def cfg(data: Path) -> Config:
    cfg = load_config(str(SHUFFLENET))
    cfg.model.head.num_classes = CLASSES
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False, batch_size=4, pin_memory=False)
        loader.dataset.data_root = str(data)
    cfg.test_dataloader.dataset.pipeline[0].update(resize=SIDE, crop=SIDE)
    cfg.val_dataloader.dataset.pipeline[0].update(resize=SIDE, crop=SIDE)
    return cfg


@pytest.fixture(scope='module')
def checkpoint(cfg: Config, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp('weights') / 'classifier.pth'
    torch.save(dict(state_dict=random_classifier(cfg).state_dict(), meta={}), path)
    return str(path)


@pytest.fixture(scope='module')
def int8(cfg: Config, checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('int8') / 'exported'
    export(cfg, 'c.py', checkpoint, out, ['onnx'], precision=Precision('int8', max_loss=1))
    return out


def test_an_export_says_in_what_it_computes_and_what_that_costs(cfg, int8):
    engine = read_description(int8)['engines']['onnxruntime']
    assert engine['precision'] == 'int8' and 'validation' not in engine
    loss = engine['loss']
    assert loss['figure'] == 'top-1' and loss['images'] == 20
    assert loss['loss'] == pytest.approx(loss['expected'] - loss['found'])
    assert loss['found'] == pytest.approx(measure(ExportedModel(str(int8)), cfg).value)


def difference(cfg: Config, folder: Path) -> float:
    """Of an exported network's logits from PyTorch's, relative to the largest of them."""
    batch = dict(
        inputs=torch.from_numpy(picture(SIDE, SIDE, seed=9999)[None]), labels=[0], paths=['']
    )
    with torch.no_grad():
        (row,) = random_classifier(cfg).test_step(dict(batch, labels=torch.zeros(1)))
    (found,) = ExportedModel(str(folder), threads=1).test_step(batch)
    return float((found['logits'] - row['logits']).abs().max() / row['logits'].abs().max())


def test_int8_is_nearly_the_network(cfg, int8):
    classifier = Classifier(int8, threads=1)
    assert (classifier.engine, classifier.precision) == ('onnxruntime', 'int8')
    # rounded to 8 bits, and not to something else
    assert 1e-4 < difference(cfg, int8) < 0.1


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_16_bits_are_told_to_the_engine(cfg, checkpoint, tmp_path, precision):
    if precision not in ENGINES['openvino'].known_to_processor():
        pytest.skip(f'this processor has no {precision}')
    out = tmp_path / 'out'
    loss = export(
        cfg, 'c.py', checkpoint, out, ['openvino'], precision=Precision(precision, max_loss=1)
    )['openvino']
    assert isinstance(loss, Loss) and loss.expected.images == 20
    assert Classifier(out, threads=1).precision == precision
    assert 1e-5 < difference(cfg, out) < dict(bf16=0.05, fp16=0.01)[precision]
    # weights alone have 16 bits
    constants = [
        layer.find('data').attrib
        for layer in ElementTree.parse(out / 'model.xml').iter('layer')
        if layer.get('type') == 'Const'
    ]
    bytes_of = {
        kind: sum(int(c['size']) for c in constants if c['element_type'] == kind)
        for kind in ('f16', 'f32')
    }
    assert bytes_of['f16'] > 10 * bytes_of['f32'] > 0


def test_int8_of_openvino(cfg, checkpoint, tmp_path):
    if importlib.util.find_spec('nncf') is None:
        pytest.skip("nncf is not installed: pip install '.[quantize]'")
    loss = export(
        cfg, 'c.py', checkpoint, tmp_path / 'out', ['openvino'],
        precision=Precision('int8', max_loss=1),
    )['openvino']  # fmt: skip
    assert loss.precision == 'int8'
    text = (tmp_path / 'out/model.xml').read_text()
    assert text.count('type="FakeQuantize"') > 20
    assert Classifier(tmp_path / 'out', threads=1).precision == 'int8'


def test_the_head_of_a_one_stage_detector_stays_in_float32(tmp_path):
    if importlib.util.find_spec('nncf') is None:
        pytest.skip("nncf is not installed: pip install '.[quantize]'")
    source = exportable(build('light').eval(), None, None)
    images = [picture(96, 128, seed)[None] for seed in range(4)]
    WRITERS['openvino'](source, tmp_path, precision='int8', images=images)
    root = ElementTree.parse(tmp_path / 'model.xml').getroot()
    layers = {layer.get('id'): layer for layer in root.iter('layer')}
    edges = [(layers[e.get('from-layer')], layers[e.get('to-layer')]) for e in root.iter('edge')]
    quantised = {
        reader.get('name').split('/')[1]
        for writer, reader in edges
        if (writer.get('type'), reader.get('type')) == ('FakeQuantize', 'Convolution')
    }
    assert quantised == {'backbone', 'neck'}


def test_a_network_that_loses_too_much_is_not_kept(cfg, checkpoint, tmp_path, monkeypatch):
    figures = [
        Figure('mAP', 0.5, 20, dict(mug=0.6, fish=0.4)),
        Figure('mAP', 0.48, 20, dict(mug=0.6, fish=0.36)),
    ]
    left = []
    monkeypatch.setattr(exporting, 'measure', lambda *_: left.pop(0))
    arguments = cfg, 'c.py', checkpoint, tmp_path / 'out', ['onnx']
    left[:] = figures
    with pytest.raises(ExportError, match=r'loses 0\.0200 of mAP in onnxruntime') as caught:
        export(*arguments, precision=Precision('int8'))
    lines = [line.split() for line in str(caught.value).splitlines() if line.startswith('|')]
    assert [line[1] for line in lines] == ['class', 'fish', 'mug', 'all']
    assert list(tmp_path.iterdir()) == []
    left[:] = figures
    export(*arguments, precision=Precision('int8', keep_anyway=True))
    loss = read_description(tmp_path / 'out')['engines']['onnxruntime']['loss']
    assert loss == dict(figure='mAP', images=20, expected=0.5, found=0.48, loss=0.02)


def test_a_figure_that_is_no_number_is_a_loss():
    loss = Loss('openvino', 'int8', Figure('mAP', 0.5, 1), Figure('mAP', float('nan'), 1))
    with pytest.raises(ExportError):
        require_small(loss, ENGINES['openvino'], 0.01)


def test_images_to_calibrate_with_must_be_enough_and_of_the_same_kind(cfg, data, tmp_path):
    source = exportable(random_classifier(cfg), None, read_resize(cfg))
    arguments = cfg, source, read_resize(cfg)
    default = calibration_images(*arguments)
    assert len(default) == 100 and default[0].shape == (1, 3, SIDE, SIDE)
    assert default[0].dtype == np.uint8
    named = calibration_images(*arguments, [data / 'train'])
    # the same images, by the data set and by the runtime
    assert sum(int(a.sum()) for a in named) == sum(int(a.sum()) for a in default)
    with pytest.raises(DataError, match=r'val has 20 images .* at least 100 are needed'):
        calibration_images(*arguments, [data / 'val'])
    with pytest.raises(DataError, match='not found'):
        calibration_images(*arguments, [tmp_path / 'nowhere'])
    (tmp_path / 'grey').mkdir()
    for number in range(100):
        grey = picture(SIDE, SIDE, seed=number)[0]
        cv2.imwrite(str(tmp_path / f'grey/{number}.png'), grey)
    with pytest.raises(DataError, match='are grey .* those of the validation set are in colour'):
        calibration_images(*arguments, [tmp_path / 'grey'])


def test_precisions_that_are_not_there_are_refused_early(cfg, checkpoint, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    with pytest.raises(ConfigError, match='ncnn2table'):
        check_request(out, ['ncnn'], 'int8')
    with pytest.raises(EngineError, match='onnxruntime has no bf16: it has fp32, int8'):
        check_request(out, ['onnx'], 'bf16')
    openvino = type(ENGINES['openvino'])
    monkeypatch.setattr(openvino, 'known_to_processor', lambda self: ('fp32', 'int8'))
    with pytest.raises(EngineError, match='this processor has no bf16 .* fp32, int8'):
        check_request(out, ['openvino'], 'bf16')
    with pytest.raises(ConfigError, match='a backbone alone'):
        export(cfg, 'c.py', checkpoint, out, ['onnx'], (), True, Precision('int8'))
    assert list(tmp_path.iterdir()) == []


def test_a_runtime_refuses_what_its_engine_lacks(int8, tmp_path):
    about = json.loads((int8 / 'deploy.json').read_text())
    for precision, error in (('bf16', EngineError), ('int4', DataError)):
        about['engines']['onnxruntime']['precision'] = precision
        folder = tmp_path / precision
        folder.mkdir()
        (folder / 'model.onnx').write_bytes((int8 / 'model.onnx').read_bytes())
        (folder / 'deploy.json').write_text(json.dumps(about))
        with pytest.raises(error, match='fp32, .*int8'):
            Classifier(folder)


def test_an_exported_network_cannot_be_trained(int8):
    for path in (int8, int8 / 'model.onnx'):
        with pytest.raises(CheckpointError, match=r'exported network \(int8\).*classifier\.pth'):
            read_checkpoint(path)

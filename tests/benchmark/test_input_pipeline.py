from shufflenet_det.benchmark import input_pipeline
from shufflenet_det.benchmark.input_pipeline import (
    OURS,
    PLAIN,
    TASKS,
    measure_config,
    measure_detection,
    measure_input,
    reads_boxes,
    write_photos,
)
from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.data import ImageFolderDataset
from shufflenet_det.models import ClassifierPreprocessor

import pytest
import torch
from mmengine.config import Config
from PIL import Image
from torchvision import transforms as v1
from torchvision.datasets import ImageFolder

from ..conftest import ROOT
from ..data.image_files import write_tiny_imagenet


def test_photos_are_of_the_stated_size(tmp_path) -> None:
    write_photos(tmp_path, 3)
    files = sorted((tmp_path / 'scene').iterdir())
    assert {Image.open(file).size for file in files} == {(500, 375)}
    assert len({file.read_bytes() for file in files}) == 3
    assert 60e3 < sum(file.stat().st_size for file in files) / 3 < 160e3


def test_both_sides_of_the_evaluation_deliver_the_same_batch(tmp_path) -> None:
    write_photos(tmp_path, 2)
    plain, ours = TASKS['evaluation']
    expected = ImageFolder(str(tmp_path), v1.Compose(plain))[1][0]
    sample = ImageFolderDataset(tmp_path, pipeline=ours)[1]
    batch = dict(inputs=sample['inputs'][None], labels=torch.tensor([0]))
    found = ClassifierPreprocessor()(batch)['inputs'][0]
    assert found.dtype == expected.dtype and found.shape == expected.shape == (3, 224, 224)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_both_sides_of_the_training_deliver_crops_of_the_same_kind() -> None:
    (crop, flip, *_), (our_crop, our_flip) = TASKS['training']
    assert (crop.size, crop.scale, crop.ratio) == (
        tuple(our_crop.size), our_crop.scale, our_crop.ratio
    )
    assert flip.p == our_flip.p


def test_figures_are_those_of_all_images_and_rounds(tmp_path, monkeypatch) -> None:
    """A clock that moves on by a second between two looks: every turn takes one second."""
    write_photos(tmp_path, 3)
    ticks = iter(range(1000))
    monkeypatch.setattr(input_pipeline.time, 'process_time', lambda: next(ticks))
    threads = torch.get_num_threads()
    table, about = measure_input(tmp_path, images=2, rounds=3)
    assert [(row['what'], row['side']) for row in table.rows] == [
        (what, side) for what in ('decoding', 'training', 'evaluation') for side in (PLAIN, OURS)
    ]
    assert all(row['low'] == row['median'] == row['high'] == 2 for row in table.rows)
    assert [row.get('ratio') for row in table.rows] == [None, 1, None, 1, None, 1]
    assert about['images'] == 2 and about['machine']['cores'] >= 1
    assert torch.get_num_threads() == threads


def test_folder_without_images(tmp_path) -> None:
    with pytest.raises(DataError, match='no class folders'):
        measure_input(tmp_path, images=2, rounds=1)


def test_training_data_of_a_config_with_and_without_their_cache(tmp_path, monkeypatch) -> None:
    cfg = Config.fromfile(ROOT / 'configs' / 'tiny_imagenet' / 'claims.py')
    cfg.train_dataloader.batch_size = 4
    cfg.train_dataloader.dataset.update(
        data_root=str(write_tiny_imagenet(tmp_path / 'tiny')), cache=str(tmp_path / 'cache')
    )
    ticks = iter(range(1000))
    monkeypatch.setattr(input_pipeline.time, 'process_time', lambda: next(ticks))
    table, about = measure_config(cfg, images=11, rounds=2)
    sides = ['decoded each time', 'kept decoded', 'training step']
    assert [row['side'] for row in table.rows] == sides
    assert all(row['median'] == 8 for row in table.rows) and about['images'] == 8
    assert list((tmp_path / 'cache').glob('train-8-*.npy'))
    with pytest.raises(ConfigError, match='less than a batch of 4'):
        measure_config(cfg, images=3, rounds=1)


def test_training_data_of_a_detector_by_mmdetection_and_by_us(coco_root, monkeypatch) -> None:
    monkeypatch.setenv('COCO_DATA_ROOT', str(coco_root))
    cfg = Config.fromfile(ROOT / 'configs' / 'faster_rcnn_shufflenet.py')
    ticks = iter(range(1000))
    monkeypatch.setattr(input_pipeline.time, 'process_time', lambda: next(ticks))
    assert reads_boxes(cfg)
    table, about = measure_detection(cfg, images=3, rounds=2)
    assert [row['side'] for row in table.rows] == ['MMDetection', OURS]
    assert [row['median'] for row in table.rows] == [3, 3] and about['images'] == 3

"""Tiny ImageNet as it is published, and what can be wrong with it."""
import os
import shutil
from pathlib import Path

from shufflenet_det.common.errors import DataError
from shufflenet_det.data import ImageNetDataset, decode_rgb

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config

from ..conftest import ROOT
from .image_files import write_tiny_imagenet

PUBLISHED = Path(os.environ.get('TINY_IMAGENET_ROOT') or ROOT / 'data' / 'tiny-imagenet-200')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_imagenet(tmp_path / 'tiny')


def labels(root: Path, split: str) -> dict[str, int]:
    data = ImageNetDataset(root, split)
    infos = [data.get_data_info(i) for i in range(len(data))]
    return {info['img_path']: info['gt_label'] for info in infos}


def test_classes_are_sorted_wnids_with_names_for_people(root: Path) -> None:
    for split in ('train', 'val'):
        metainfo = ImageNetDataset(root, split).metainfo
        assert metainfo['classes'] == ('n02', 'n10', 'n30')
        assert metainfo['class_names'] == ('goldfish', 'n10', 'bullfrog')
    (root / 'words.txt').unlink()
    assert 'class_names' not in ImageNetDataset(root, 'val').metainfo


def test_train_has_its_images_and_no_boxes(root: Path) -> None:
    expected = {
        f'{wnid}/images/{wnid}_{i}.JPEG': label
        for label, wnid in enumerate(('n02', 'n10', 'n30'))
        for i in range(4)
    }
    assert labels(root, 'train') == expected


def test_val_has_the_labels_of_its_annotations(root: Path) -> None:
    # the annotations name n10, n02, n30 in turn
    expected = {f'images/val_{i}.JPEG': [1, 0, 2][i % 3] for i in range(6)}
    assert labels(root, 'val') == expected
    shutil.rmtree(root / 'train')
    assert labels(root, 'val') == expected, 'the classes are in wnids.txt, too'
    named = ImageNetDataset(root, 'val', ann_file='val/val_annotations.txt')
    assert [named.get_data_info(i)['gt_label'] for i in range(6)] == [1, 0, 2, 1, 0, 2]


def test_grey_images_come_out_in_colour(root: Path) -> None:
    data = ImageNetDataset(root, 'train')
    grey = [bool((s['inputs'] == s['inputs'][:1]).all()) for s in (data[i] for i in range(4))]
    assert grey.count(True) == 1
    assert all(data[i]['inputs'].shape == (3, 64, 64) for i in range(len(data)))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_config_reads_it_in_place(split: str, root: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv('TINY_IMAGENET_ROOT', str(root))
    cfg = Config.fromfile(ROOT / 'configs' / 'tiny_imagenet' / 'claims.py')
    dataset = cfg[f'{split}_dataloader'].dataset
    dataset.cache = str(tmp_path / 'cache')
    data = DATASETS.build(dataset)
    assert data[0]['inputs'].shape == (3, 64, 64) and data[0]['inputs'].dtype == torch.uint8
    path = Path(data[0]['paths'])
    if split == 'val':
        assert torch.equal(data[0]['inputs'], decode_rgb(path.read_bytes(), str(path)))


def test_other_class_folders_are_still_read(root: Path) -> None:
    """Many put the val images into class folders of their own."""
    for line in (root / 'val' / 'val_annotations.txt').read_text().splitlines():
        name, wnid, *_ = line.split('\t')
        (root / 'val' / wnid).mkdir(exist_ok=True)
        (root / 'val' / 'images' / name).rename(root / 'val' / wnid / name)
    (root / 'val' / 'images').rmdir()
    assert len(labels(root, 'val')) == 6


def cut_images(root: Path) -> None:
    (root / 'train' / 'n10' / 'images' / 'n10_3.JPEG').unlink()


def drop_images_folder(root: Path) -> None:
    shutil.rmtree(root / 'train' / 'n02' / 'images')


def drop_all_images_folders(root: Path) -> None:
    for wnid in ('n02', 'n10', 'n30'):
        (root / 'train' / wnid / 'images').rename(root / 'train' / wnid / 'pictures')


def drop_list(root: Path) -> None:
    (root / 'train' / 'n30' / 'n30_boxes.txt').unlink()


def drop_class(root: Path) -> None:
    shutil.rmtree(root / 'train' / 'n30')


def add_image(root: Path) -> None:
    images = root / 'train' / 'n30' / 'images'
    shutil.copy(images / 'n30_0.JPEG', images / 'n30_9.JPEG')


def drop_val_image(root: Path) -> None:
    (root / 'val' / 'images' / 'val_4.JPEG').unlink()


def drop_val_images(root: Path) -> None:
    shutil.rmtree(root / 'val' / 'images')


def drop_annotation(root: Path) -> None:
    path = root / 'val' / 'val_annotations.txt'
    path.write_text(''.join(path.read_text().splitlines(keepends=True)[:-1]))


def drop_annotations(root: Path) -> None:
    (root / 'val' / 'val_annotations.txt').unlink()


def add_class(root: Path) -> None:
    path = root / 'val' / 'val_annotations.txt'
    path.write_text(path.read_text().replace('\tn30\t', '\tn77\t'))


def spoil_annotation(root: Path) -> None:
    path = root / 'val' / 'val_annotations.txt'
    lines = path.read_text().splitlines()
    path.write_text('\n'.join([lines[0], lines[1].replace('\t', ' '), *lines[2:]]))


def drop_class_and_wnids(root: Path) -> None:
    drop_class(root)
    (root / 'wnids.txt').unlink()


@pytest.mark.parametrize(
    'spoil, split, message',
    [
        (cut_images, 'train', r'1 images that are listed and missing \(n10_3\.JPEG\)'),
        (drop_images_folder, 'train', r'1 class folders without `images` \(n02\)'),
        (drop_all_images_folders, 'train', r'3 class folders without `images` \(n02, n10, n30'),
        (drop_list, 'train', r'1 class folders without <wnid>_boxes.txt \(n30\)'),
        (drop_class, 'train', r'wnids.txt: 1 missing in train \(n30\)'),
        (add_image, 'train', r'1 images that are not listed \(n30_9\.JPEG\)'),
        (drop_val_image, 'val', r'1 images missing \(images/val_4\.JPEG\)'),
        (drop_val_images, 'val', '6 images missing'),
        (drop_annotation, 'val', r'1 images without a label \(images/val_5\.JPEG\)'),
        (drop_annotations, 'val', 'have no labels.*val_annotations.txt.*use val'),
        (add_class, 'val', r'1 classes of .*val_annotations.txt \(n77; n77 in line 3\)'),
        (drop_class, 'val', r'1 missing in train \(n30\)'),
        (drop_class_and_wnids, 'val', r'val_annotations.txt \(n30; n30 in line 3\).*training'),
        (spoil_annotation, 'val', 'line 2: expected image, wnid and box with tabs'),
    ],
)
def test_damage_is_named(spoil, split: str, message: str, root: Path) -> None:
    spoil(root)
    with pytest.raises(DataError, match=message) as caught:
        ImageNetDataset(root, split)
    assert 'again' in str(caught.value) or 'Set' in str(caught.value)


@pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason=f'{PUBLISHED} is missing: set TINY_IMAGENET_ROOT to the archive'
)
def test_published_archive() -> None:
    """200 classes of 500 images, and 10000."""
    train, val = ImageNetDataset(PUBLISHED, 'train'), ImageNetDataset(PUBLISHED, 'val')
    assert (len(train), len(val)) == (100_000, 10_000)
    assert train.metainfo == val.metainfo and len(train.metainfo['classes']) == 200
    assert train.metainfo['class_names'][:2] == ('goldfish', 'European fire salamander')
    counts = torch.bincount(torch.tensor([val.get_data_info(i)['gt_label'] for i in range(10_000)]))
    assert counts.tolist() == [50] * 200

"""The official flat ``val/`` with each kind of ground truth."""
from pathlib import Path

from shufflenet_det.common.errors import DataError
from shufflenet_det.data import ImageNetDataset
from shufflenet_det.data.imagenet_layouts import DEVKIT_TRUTH

import numpy as np
import pytest
from scipy.io import savemat

from .image_files import encoded, picture, write_folders

# ids of the devkit are not in the order of wnids; the last is an inner node of WordNet
WNIDS = ['n30', 'n10', 'n20', 'n00']
TRUTH = [3, 1, 2, 1]
LABELS = [1, 2, 0, 2]


def flat(root: Path) -> Path:
    (root / 'val').mkdir(parents=True)
    for number in range(1, 5):
        name = f'ILSVRC2012_val_{number:08d}.JPEG'
        (root / 'val' / name).write_bytes(encoded(picture(seed=number)))
    return root


def write_devkit(root: Path, truth: list = TRUTH) -> Path:
    folder = root / 'ILSVRC2012_devkit_t12' / 'data'
    folder.mkdir(parents=True, exist_ok=True)
    fields = [('ILSVRC2012_ID', 'O'), ('WNID', 'O'), ('words', 'O'), ('num_children', 'O')]
    rows = [(i + 1, wnid, 'a, b', 2 * (wnid == 'n00')) for i, wnid in enumerate(WNIDS)]
    savemat(folder / 'meta.mat', dict(synsets=np.array(rows, fields).reshape(-1, 1)))
    (folder / DEVKIT_TRUTH).write_text(''.join(f'{number}\n' for number in truth))
    return root


def labels(root: Path, **options) -> list[int]:
    data = ImageNetDataset(root, 'val', **options)
    assert data.metainfo['classes'] == ('n10', 'n20', 'n30')
    names = [Path(data.get_data_info(i)['img_path']).stem[-1] for i in range(len(data))]
    assert names == ['1', '2', '3', '4']
    return [data.get_data_info(i)['gt_label'] for i in range(len(data))]


@pytest.mark.parametrize('with_train', [False, True])
def test_devkit(tmp_path: Path, with_train: bool) -> None:
    if with_train:
        write_folders(tmp_path, dict(n10=1, n20=1, n30=1))
    assert labels(write_devkit(flat(tmp_path))) == LABELS


@pytest.mark.parametrize('name', ['val.txt', 'meta/val.txt', 'other.txt'])
@pytest.mark.parametrize('by_name', [False, True])
def test_label_file(tmp_path: Path, name: str, by_name: bool) -> None:
    write_folders(flat(tmp_path), dict(n10=1, n20=1, n30=1))
    wnids = sorted(WNIDS[:3])
    (tmp_path / 'meta').mkdir()
    (tmp_path / name).write_text(
        ''.join(
            f'ILSVRC2012_val_{i:08d}.JPEG {wnids[label] if by_name else label}\n'
            for i, label in enumerate(LABELS, 1)
        )
    )
    assert labels(tmp_path, ann_file=name if name == 'other.txt' else '') == LABELS


def test_all_sources_agree(tmp_path: Path) -> None:
    write_devkit(flat(tmp_path))
    lines = [f'ILSVRC2012_val_{i:08d}.JPEG {label}\n' for i, label in enumerate(LABELS, 1)]
    (tmp_path / 'truth.txt').write_text(''.join(lines))
    classes = ['n10', 'n20', 'n30']
    assert labels(tmp_path, ann_file='truth.txt', classes=classes) == labels(tmp_path)


def test_no_ground_truth_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'val\.txt.*meta/val\.txt.*devkit'):
        ImageNetDataset(flat(tmp_path), 'val')


@pytest.mark.parametrize(
    'truth, message',
    [
        (TRUTH[:3], r'1 images without a label \(ILSVRC2012_val_00000004'),
        ([*TRUTH, 1], r'1 images missing \(ILSVRC2012_val_00000005'),
        ([3, 9, 1, 2], "line 2: '9' is not the id of a class"),
        ([3, 'x', 1, 2], "line 2: 'x'"),
        ([4, 1, 2, 3], "line 1: '4'"),
    ],
)
def test_devkit_that_does_not_fit(tmp_path: Path, truth: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ImageNetDataset(write_devkit(flat(tmp_path), truth), 'val')


def test_images_that_shifted_are_noticed(tmp_path: Path) -> None:
    """As many images as labels, but one is missing and another too many."""
    write_devkit(flat(tmp_path))
    (tmp_path / 'val' / 'ILSVRC2012_val_00000002.JPEG').rename(tmp_path / 'val' / 'x.JPEG')
    with pytest.raises(DataError, match=r'00000002\.JPEG.*x\.JPEG'):
        ImageNetDataset(tmp_path, 'val')


def test_training_classes_that_the_devkit_exceeds(tmp_path: Path) -> None:
    write_folders(write_devkit(flat(tmp_path)), dict(n10=1, n20=1))
    with pytest.raises(DataError, match='n30 is not among the 2 classes'):
        ImageNetDataset(tmp_path, 'val')


@pytest.mark.parametrize('damage', ['missing', 'text', 'truncated'])
def test_unreadable_meta_is_named(tmp_path: Path, damage: str) -> None:
    write_devkit(flat(tmp_path))
    meta = tmp_path / 'ILSVRC2012_devkit_t12' / 'data' / 'meta.mat'
    content = dict(text=b'not a mat file', truncated=meta.read_bytes()[:300]).get(damage)
    meta.unlink()
    if content:
        meta.write_bytes(content)
    with pytest.raises(DataError, match=r'cannot read .*meta\.mat.*devkit_t12\.tar\.gz'):
        ImageNetDataset(tmp_path, 'val')

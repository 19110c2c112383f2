"""Decoded images in a memory-mapped file."""
import os
import pickle
from pathlib import Path

from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.data import EpochSampler, FastRandomCrop, ImageFolderDataset, pixels

import pytest
import torch
from torch.utils.data import DataLoader

from .image_files import encoded, picture, write_folders


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folders(tmp_path / 'data', dict(a=3, b=2))


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / 'cache')


def test_samples_are_those_that_are_decoded_each_time(root, cache) -> None:
    plain, kept = ImageFolderDataset(root, 'train'), ImageFolderDataset(root, 'train', cache=cache)
    for index in (0, 3, -1):
        assert torch.equal(plain[index]['inputs'], kept[index]['inputs'])
        assert plain[index]['labels'] == kept[index]['labels']
    first = ImageFolderDataset(root, 'train', cache=cache, indices=[4, 1])
    assert torch.equal(first[0]['inputs'], plain[4]['inputs'])
    for part in (kept.get_subset([4, 1]), pickle.loads(pickle.dumps(first))):
        assert torch.equal(part[1]['inputs'], plain[1]['inputs'])
    kept.get_subset_([2])
    assert torch.equal(kept[0]['inputs'], plain[2]['inputs'])


def test_images_are_decoded_once(root, cache, monkeypatch) -> None:
    ImageFolderDataset(root, 'train', cache=cache)
    monkeypatch.setattr('shufflenet_det.data.imagenet.decode_rgb', None)
    assert ImageFolderDataset(root, 'train', cache=cache)[4]['labels'] == 1


def test_changed_image_is_decoded_again_and_the_old_file_goes(root, cache) -> None:
    ImageFolderDataset(root, 'train', cache=cache)
    changed = root / 'train' / 'a' / 'a_1.JPEG'
    changed.write_bytes(encoded(picture(seed=77)))
    # of the same length and second, as far as a file system may tell
    os.utime(changed, ns=(1, 1))
    kept, plain = ImageFolderDataset(root, 'train', cache=cache), ImageFolderDataset(root, 'train')
    assert torch.equal(kept[1]['inputs'], plain[1]['inputs'])
    assert len(list(Path(cache).glob('*.npy'))) == 1


def test_a_sample_may_be_changed(root, cache) -> None:
    kept = ImageFolderDataset(root, 'train', cache=cache)
    kept[0]['inputs'].fill_(7)
    again = ImageFolderDataset(root, 'train', cache=cache)
    assert (again[0]['inputs'] != 7).any()


def test_worker_processes_share_it(root, cache) -> None:
    kept = ImageFolderDataset(root, 'train', cache=cache)
    plain = ImageFolderDataset(root, 'train')
    batches = []
    for data, workers in ((plain, 0), (kept, 2)):
        sampler = EpochSampler(data, seed=1)
        loader = DataLoader(data, batch_size=5, num_workers=workers, sampler=sampler)
        batches.append(next(iter(loader)))
    assert torch.equal(batches[0]['inputs'], batches[1]['inputs'])


def test_images_of_several_sizes_are_refused_and_leave_nothing(root, cache) -> None:
    (root / 'train' / 'b' / 'b_1.JPEG').write_bytes(encoded(picture(50, 80)))
    with pytest.raises(DataError, match=r'b_1\.JPEG has 80x50 pixels.*80x60.*one size'):
        ImageFolderDataset(root, 'train', cache=cache)
    assert not [f for f in Path(cache).iterdir() if f.suffix != '' and 'lock' not in f.name]


def test_interrupted_decoding_leaves_no_file_that_is_used(root, cache, monkeypatch) -> None:
    def interrupt(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(pixels.os, 'replace', interrupt)
    with pytest.raises(KeyboardInterrupt):
        ImageFolderDataset(root, 'train', cache=cache)
    assert not list(Path(cache).glob('*.npy'))


def test_folder_that_cannot_be_written(root, tmp_path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(DataError, match='cannot keep decoded images in .*file.*`cache`'):
        ImageFolderDataset(root, 'train', cache=tmp_path / 'file')


def test_crops_are_windows_of_the_padded_image() -> None:
    image = torch.randint(130, 256, (3, 10, 8), dtype=torch.uint8)
    padded = torch.tensor([1, 2, 3], dtype=torch.uint8).view(3, 1, 1).repeat(1, 16, 14)
    padded[:, 3:13, 3:11] = image
    crop = FastRandomCrop(6, padding=3, fill=(1, 2, 3))
    windows = {
        padded[:, y : y + 6, x : x + 6].numpy().tobytes(): (y, x)
        for y in range(11)
        for x in range(9)
    }
    drawn = [
        windows[crop(dict(inputs=image, labels=0))['inputs'].numpy().tobytes()]
        for _ in range(2000)
    ]
    # every one of 99 places, about 20 times each
    counts = torch.bincount(torch.tensor([9 * y + x for y, x in drawn]), minlength=99)
    assert len(windows) == len(counts) == 99 and counts.min() > 2 and counts.max() < 45
    assert crop(dict(inputs=image, labels=5))['labels'] == 5


def test_crop_that_does_not_fit() -> None:
    with pytest.raises(ConfigError, match='does not fit into an image of 8x10 with 1 pixels'):
        FastRandomCrop(12, padding=1)(dict(inputs=torch.zeros(3, 10, 8, dtype=torch.uint8)))
    with pytest.raises(ConfigError, match='negative'):
        FastRandomCrop(12, padding=-1)

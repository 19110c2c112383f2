"""The classification sample: its layout, its balance, its pictures."""
from collections import Counter

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.data.sample import (
    CATEGORIES,
    CLASSIFICATION_CLASSES,
    SURFACES,
    make_classification_sample,
    render_view,
)

import cv2
import numpy as np
import pytest
from torchvision.datasets import ImageFolder

from .sample_files import contents

TRAIN, VAL, SIZE = 70, 32, 40
CLASSES = len(CLASSIFICATION_CLASSES)


@pytest.fixture(scope='module')
def sample(tmp_path_factory):
    out = tmp_path_factory.mktemp('made') / 'sample'
    return make_classification_sample(out, train=TRAIN, val=VAL, size=SIZE, workers=2)


def pictures(folder):
    return {name: data for name, data in contents(folder).items() if name.endswith('.JPEG')}


def views(surface, count, size):
    return [render_view('heart', surface, size, np.random.default_rng(k)) for k in range(count)]


def test_classes_are_all_pairs_in_the_order_of_their_folders():
    pairs = {f'{category.name}_{surface}' for category in CATEGORIES for surface in SURFACES}
    assert set(CLASSIFICATION_CLASSES) == pairs and len(pairs) == CLASSES == 32
    assert list(CLASSIFICATION_CLASSES) == sorted(CLASSIFICATION_CLASSES)


@pytest.mark.parametrize('split, count', [('train', TRAIN), ('val', VAL)])
def test_torchvision_reads_it_balanced(sample, split, count):
    folder = ImageFolder(sample / split)
    assert tuple(folder.classes) == CLASSIFICATION_CLASSES
    assert len(folder) == count
    of_class = Counter(folder.targets)
    assert set(of_class.values()) <= {count // CLASSES, -(-count // CLASSES)}
    for image, _ in folder:
        assert image.size == (SIZE, SIZE) and image.mode == 'RGB'


def test_no_two_pictures_are_the_same(sample):
    data = pictures(sample)
    assert len(set(data.values())) == len(data) == TRAIN + VAL


def test_same_bytes_whatever_the_workers_and_the_number_of_pictures(sample, tmp_path):
    options = dict(train=CLASSES, val=CLASSES, size=SIZE)
    first = make_classification_sample(tmp_path / 'first', **options, workers=1)
    second = make_classification_sample(tmp_path / 'second', **options, workers=3)
    assert contents(first) == contents(second)
    assert pictures(first).items() <= pictures(sample).items()


def test_another_seed_gives_other_pictures(sample, tmp_path):
    out = tmp_path / 'other'
    make_classification_sample(out, seed=1, train=CLASSES, val=CLASSES, size=SIZE)
    same = pictures(sample)
    assert all(same[name] != data for name, data in pictures(out).items())


@pytest.mark.parametrize('wrong', [{'train': 31}, {'val': 31}, {'size': 31}])
def test_too_few_or_too_small_pictures_are_refused(tmp_path, wrong):
    options = dict(train=CLASSES, val=CLASSES, size=SIZE) | wrong
    with pytest.raises(ConfigError, match=f'{next(iter(wrong))} 31'):
        make_classification_sample(tmp_path / 'sample', **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('size', [32, 80, 161])
def test_views_have_their_size(size):
    for picture in views('dotted', 6, size):
        assert picture.shape[:2] == (size, size) and picture.dtype == np.uint8


def test_some_pictures_are_grey_and_few():
    channels = Counter(picture.ndim for picture in views('plain', 150, 32))
    assert 0 < channels[2] < 20


def test_pictures_are_those_of_this_version():
    # other pictures for the same seed need another CLASSIFICATION_VERSION, and users a new data set
    seed = np.random.SeedSequence([0, 0, CLASSIFICATION_CLASSES.index('mug_striped'), 0])
    picture = render_view('mug', 'striped', 80, np.random.default_rng(seed))
    tiles = cv2.resize(picture, (3, 3), interpolation=cv2.INTER_AREA).astype(int)
    expected = [
        [[179, 187, 198], [167, 163, 179], [166, 171, 183]],
        [[165, 162, 177], [184, 153, 182], [164, 136, 164]],
        [[161, 171, 181], [150, 142, 160], [157, 159, 172]],
    ]
    assert np.abs(tiles - expected).max() <= 1


def test_unknown_category_and_surface_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match='unknown category'):
        render_view('unicorn', 'plain', 80, rng)
    with pytest.raises(ConfigError, match='unknown surface'):
        render_view('ring', 'velvet', 80, rng)

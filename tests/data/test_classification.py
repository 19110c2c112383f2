from shufflenet_det.common.errors import ConfigError
from shufflenet_det.data import (
    FastRandomResizedCrop,
    ImageFolderDataset,
    ResizeCenterCrop,
    decode_rgb,
)

import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS
from PIL import Image
from scipy.stats import ks_2samp
from torchvision import transforms as v1
from torchvision.transforms import v2

from .image_files import encoded, picture, write_folders

SIZES = [
    (375, 500), (500, 375), (256, 256), (100, 80), (224, 300), (257, 1000), (1000, 255), (3, 5)
]


def by_pillow(content: bytes, path) -> np.ndarray:
    path.write_bytes(content)
    plain = v1.Compose([v1.Resize(256), v1.CenterCrop(224), v1.PILToTensor()])
    return plain(Image.open(path).convert('RGB')).numpy()


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
def test_evaluation_equals_pillow_and_torchvision(size, mode, tmp_path) -> None:
    content = encoded(picture(*size, mode), quality=92)
    sample = dict(inputs=decode_rgb(content, 'x'), labels=3, paths='x')
    out = ResizeCenterCrop(256, 224)(sample)
    np.testing.assert_array_equal(out['inputs'].numpy(), by_pillow(content, tmp_path / 'x.jpg'))
    assert out['labels'] == 3 and out['paths'] == 'x'


def test_evaluation_of_a_png_equals_pillow(tmp_path) -> None:
    content = encoded(picture(300, 200, 'RGBA'), 'PNG')
    out = ResizeCenterCrop()(dict(inputs=decode_rgb(content, 'x')))
    np.testing.assert_array_equal(out['inputs'].numpy(), by_pillow(content, tmp_path / 'x.png'))


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ConfigError, match='crop=224'):
        ResizeCenterCrop(resize=200, crop=224)


def test_pixels_of_the_training_crop_are_those_of_pillow() -> None:
    """Off by rounding at most, and not to one side, whether the crop shrinks or grows."""
    image = picture(375, 500)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    differences = []
    for seed in range(20):
        transform = FastRandomResizedCrop(96)
        torch.manual_seed(seed)
        found = transform(dict(inputs=pixels))['inputs']
        torch.manual_seed(seed)
        top, left, height, width = transform.draw_crop(375, 500)
        plain = v1.functional.resized_crop(image, top, left, height, width, [96, 96])
        assert found.shape == (3, 96, 96) and found.dtype == torch.uint8
        differences.append((found.int() - v1.functional.pil_to_tensor(plain).int()).float())
    differences = torch.stack(differences)
    assert differences.abs().max() <= 1
    assert differences.abs().mean() < 0.05 and differences.mean().abs() < 0.01


@pytest.mark.parametrize('size', [(375, 500), (500, 375), (60, 60), (40, 200)])
@pytest.mark.parametrize('scale', [(0.08, 1.0), (0.25, 1.0)])
def test_training_crops_are_distributed_as_those_of_torchvision(size, scale) -> None:
    """Area, aspect ratio and place of 3000 crops each, by the Kolmogorov-Smirnov distance."""
    ours, theirs = FastRandomResizedCrop(8, scale), v1.RandomResizedCrop(8, scale)
    image = torch.empty(3, *size, dtype=torch.uint8)
    found = np.array([ours.draw_crop(*size) for _ in range(3000)])
    expected = np.array(
        [theirs.get_params(image, theirs.scale, theirs.ratio) for _ in range(3000)]
    )

    def figures(crops: np.ndarray) -> tuple[np.ndarray, ...]:
        top, left, height, width = crops.T
        return height, width, height * width, width / height, top, left

    for one, other in zip(figures(found), figures(expected), strict=True):
        # exceeded by chance once in 10 million
        assert ks_2samp(one, other, method='asymp').statistic < 0.075
    assert (found >= 0).all()
    assert (found[:, :2] + found[:, 2:] <= size).all()


@pytest.mark.parametrize('size', [(10, 400), (400, 10)])
def test_crop_of_an_extreme_shape_is_central_as_in_torchvision(size) -> None:
    """No drawn crop of 90% fits here."""
    ours, theirs = FastRandomResizedCrop(8, (0.9, 1)), v1.RandomResizedCrop(8, (0.9, 1))
    image = torch.empty(3, *size, dtype=torch.uint8)
    assert ours.draw_crop(*size) == theirs.get_params(image, theirs.scale, theirs.ratio)


@pytest.mark.parametrize('option', [dict(scale=(1, 0.2)), dict(ratio=(0, 1))])
def test_impossible_ranges_are_refused(option) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        FastRandomResizedCrop(8, **option)


@pytest.mark.parametrize('name', ['RandAugment', 'ColorJitter', 'RandomErasing', 'Resize'])
def test_torchvision_transforms_are_registered(name: str) -> None:
    assert TRANSFORMS.get(f'torchvision/{name}') is getattr(v2, name)


def test_pipeline_changes_the_image_only(tmp_path) -> None:
    root = write_folders(tmp_path, dict(a=1, b=1))
    flip = dict(type='torchvision/RandomHorizontalFlip', p=1.0)
    plain = ImageFolderDataset(root, 'train')[1]
    flipped = ImageFolderDataset(root, 'train', pipeline=[flip])[1]
    assert torch.equal(flipped['inputs'], plain['inputs'].flip(-1))
    assert flipped['labels'] == plain['labels'] == 1 and flipped['paths'] == plain['paths']

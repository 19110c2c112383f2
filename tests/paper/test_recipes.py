"""The recipes of the claims beside the first: on enlarged images, and on a tenth of them."""
from shufflenet_det.paper.records import data_of, recipe_of

import torch
from mmdet.registry import TRANSFORMS
from mmengine.config import Config

from ..conftest import ROOT

RECIPE_FILE = ROOT / 'configs' / 'tiny_imagenet' / 'claims.py'


def through(steps: list[dict], image: torch.Tensor) -> torch.Tensor:
    sample = dict(inputs=image)
    for step in steps:
        sample = TRANSFORMS.build(step)(sample)
    return sample['inputs']


def test_enlarged_recipe_is_that_of_the_claims_on_images_twice_as_large():
    plain, enlarged = (Config.fromfile(RECIPE_FILE.with_stem(f'claims{s}')) for s in ('', '-128'))
    figures = recipe_of(enlarged)
    assert figures == recipe_of(plain) | dict(enlarge=2, epochs=enlarged.epochs)
    assert enlarged.param_scheduler[-1]['end'] == enlarged.epochs
    image = torch.arange(3 * 64 * 64).remainder(251).view(3, 64, 64).to(torch.uint8)
    # as on a GPU, but rounded to bytes
    expected = torch.nn.functional.interpolate(image[None].float(), scale_factor=2, mode='bilinear')
    for split in ('val', 'test'):
        steps = enlarged[f'{split}_dataloader'].dataset.pipeline
        seen = through(steps, image)
        assert seen.dtype == torch.uint8
        torch.testing.assert_close(seen.float(), expected[0], atol=1, rtol=0)
    assert through(enlarged.train_dataloader.dataset.pipeline, image).shape == (3, 128, 128)


def test_tenth_of_the_images_has_the_first_50_of_each_class():
    cfg = Config.fromfile(RECIPE_FILE.with_stem('claims-fit'))
    files = sorted(f'n01443537_{number}.JPEG' for number in range(500))
    chosen = cfg.train_dataloader.dataset.indices
    assert len(set(chosen)) == len(chosen) == 200 * 50
    for first in (0, 500, 99500):
        found = {files[i - first] for i in chosen if first <= i < first + 500}
        assert found == {f'n01443537_{number}.JPEG' for number in range(50)}
    assert data_of(cfg) != cfg.data_name == data_of(Config.fromfile(RECIPE_FILE))

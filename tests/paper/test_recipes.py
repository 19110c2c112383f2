"""The recipes of the claims beside the first: on enlarged images, and on a tenth of them."""
from shufflenet_det.paper.records import data_of, recipe_of

import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

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
    assert figures == recipe_of(plain) | dict(enlarge=2, epochs=12)
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


@pytest.mark.parametrize('name', sorted(path.stem for path in RECIPE_FILE.parent.glob('*.py')))
def test_rate_rises_in_the_warm_up_and_falls_to_the_end_of_the_run(name):
    cfg = Config.fromfile(RECIPE_FILE.with_stem(name))
    epochs, steps, peak = cfg.train_cfg.max_epochs, 10, cfg.optim_wrapper.optimizer.lr
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=peak)
    # the end of the run is what MMEngine's Runner fills in
    schedulers = [
        PARAM_SCHEDULERS.get(part.pop('type')).build_iter_from_epoch(
            optimizer, epoch_length=steps, **{'end': epochs, **part}
        )
        for part in cfg.param_scheduler
        if part.pop('convert_to_iter_based')
    ]
    rates = []
    for _ in range(epochs * steps):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    top = cfg.warmup_epochs * steps
    assert rates[0] == pytest.approx(peak / 100)
    assert rates[top - 1 : top + 1] == pytest.approx([peak, peak], rel=0.06)
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:])[::-1]
    # the last step of a cosine, before its zero
    assert 0 < rates[-1] < peak * 3 / (epochs * steps - top) ** 2

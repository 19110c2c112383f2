"""Every config of a classifier builds, takes a training step and predicts."""
from pathlib import Path

from shufflenet_det.paper.figures import CLASSIFIERS

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from PIL import Image

from ..conftest import ROOT

CONFIGS = sorted(
    p
    for p in (ROOT / 'configs').rglob('*.py')
    if '_base_' not in p.parts and not p.name.startswith(('faster', 'rtmdet'))
)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_config_trains_and_predicts(path: Path):
    cfg = Config.fromfile(path)
    assert len(path.read_text().splitlines()) <= 40
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    batch = dict(
        inputs=torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
        labels=torch.tensor([0, 1]),
        paths=['a', 'b'],
    )
    build_optim_wrapper(model, cfg.optim_wrapper)
    loss = model(**model.data_preprocessor(batch, True), mode='loss')['loss']
    assert torch.isfinite(loss)
    loss.backward()
    unused = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused
    model.eval()
    with torch.no_grad():
        results = model.val_step(batch)
    assert [r['logits'].shape for r in results] == [(cfg.model.head.num_classes,)] * 2


def test_every_network_of_the_papers_tables_has_its_config():
    names = {path.stem for path in CONFIGS}
    rows = {row.config for rows in CLASSIFIERS.values() for row in rows}
    assert len(rows) > 30
    assert not rows - names


def test_without_shuffle_only_the_shuffle_differs():
    for path in CONFIGS:
        if path.stem.endswith('-noshuffle_in1k'):
            without = Config.fromfile(path).model.to_dict()
            plain = Config.fromfile(str(path).replace('-noshuffle', '')).model.to_dict()
            assert without['backbone'].pop('shuffle') == 'none'
            assert without == plain


@pytest.mark.parametrize('split', ['train', 'val'])
def test_pipelines_read_imagenets_layout(split, tmp_path, monkeypatch):
    for folder in ('train', 'val'):
        for wnid in ('n01440764', 'n01443537'):
            (tmp_path / folder / wnid).mkdir(parents=True)
            Image.new('RGB', (300, 260), 'red').save(tmp_path / folder / wnid / 'a.JPEG', 'JPEG')
    monkeypatch.setenv('IMAGENET_ROOT', str(tmp_path))
    cfg = Config.fromfile(ROOT / 'configs' / 'imagenet' / 'shufflenet-v1-1x-g3_in1k.py')
    sample = DATASETS.build(cfg[f'{split}_dataloader'].dataset)[1]
    assert sample['inputs'].shape == (3, 224, 224)
    assert sample['inputs'].dtype == torch.uint8
    assert sample['labels'] == 1

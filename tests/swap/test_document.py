"""docs/swap.md, followed literally."""
from pathlib import Path

from mmengine.config import Config

from ..conftest import ROOT
from ..documents import run_document


def test_commands_run_as_written(tmp_path: Path):
    said = run_document(ROOT / 'docs' / 'swap.md', tmp_path)
    document = (ROOT / 'docs' / 'swap.md').read_text()
    for line in (
        'model.neck.in_channels: [256, 512, 1024, 2048] -> [24, 240, 480, 960]',
        "custom_imports: dict(imports=['shufflenet_det'], allow_failed_imports=False) (added)",
    ):
        assert line in said and line in document
    cfg = Config.fromfile(tmp_path / 'retinanet_shufflenet.py')
    assert cfg.model.neck.in_channels == [24, 240, 480, 960]
    with_weights = Config.fromfile(tmp_path / 'faster-rcnn_shufflenet.py')
    init_cfg = with_weights.model.backbone.init_cfg
    assert init_cfg.checkpoint == 'shufflenet://mmpretrain-1x-g3'

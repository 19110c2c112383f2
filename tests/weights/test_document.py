"""docs/weights.md, followed literally on weights that stand in for the public ones."""
from pathlib import Path

from shufflenet_det.common.tables import as_markdown
from shufflenet_det.weights import describe_checkpoint
from shufflenet_det.weights.listing import public_table

import torch

from ..conftest import ROOT
from ..documents import run_document
from .networks import AuthorsNet

DOCUMENT = ROOT / 'docs' / 'weights.md'


def test_commands_run_as_written(tmp_path: Path):
    (tmp_path / 'downloads').mkdir()
    torch.save(AuthorsNet(3, 1.0).state_dict(), tmp_path / 'downloads' / '1.0x-g3.pth')
    run_document(DOCUMENT, tmp_path)
    orders = {
        name: describe_checkpoint(str(tmp_path / 'weights' / name)).shuffle
        for name in ('authors-1x-g3.safetensors', 'for-mmpretrain.pth')
    }
    assert list(orders.values()) == ['transposed', 'standard']


def test_the_list_is_that_of_the_tool():
    table = as_markdown([public_table()]).split('\n\n', 1)[1]
    assert table in DOCUMENT.read_text()

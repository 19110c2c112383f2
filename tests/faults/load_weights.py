"""python load_weights.py CHECKPOINT ORIGINAL: load a checkpoint into a network, as the tools do."""
import sys

from shufflenet_det.common import cli
from shufflenet_det.common.errors import DataError
from shufflenet_det.compat.checkpoint import read_checkpoint
from shufflenet_det.models import ShuffleNetV1

import torch
from mmengine.runner import load_checkpoint


def main() -> None:
    network = ShuffleNetV1(groups=3, widen_factor=0.25)
    load_checkpoint(network, sys.argv[1], map_location='cpu')
    original = read_checkpoint(sys.argv[2])
    loaded = network.state_dict()
    same = all(torch.equal(loaded[name], value) for name, value in original.items())
    report = read_checkpoint(sys.argv[1])
    named = report.get('state_dict', report)
    if not same and all(torch.equal(loaded[n], v) for n, v in original.items() if n in named):
        raise DataError('incomplete, and said so')
    print('weights are', 'equal' if same else 'different')


if __name__ == '__main__':
    cli.run(main)

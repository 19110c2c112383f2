"""`shufflenet-det train`, in a checkout: shufflenet_det/tools/train.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.train import main

if __name__ == '__main__':
    cli.run(main)

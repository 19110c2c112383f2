"""`shufflenet-det swap`, in a checkout: shufflenet_det/tools/swap_backbone.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.swap_backbone import main

if __name__ == '__main__':
    cli.run(main)

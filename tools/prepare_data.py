"""`shufflenet-det prepare-data`, in a checkout: shufflenet_det/tools/prepare_data.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.prepare_data import main

if __name__ == '__main__':
    cli.run(main)

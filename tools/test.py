"""`shufflenet-det test`, in a checkout: shufflenet_det/tools/test.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.test import main

if __name__ == '__main__':
    cli.run(main)

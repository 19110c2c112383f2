"""`shufflenet-det convert`, in a checkout: shufflenet_det/tools/convert_weights.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.convert_weights import main

if __name__ == '__main__':
    cli.run(main)

"""`shufflenet-det export`, in a checkout: shufflenet_det/tools/export.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.export import main

if __name__ == '__main__':
    cli.run(main)

"""`shufflenet-det report`, in a checkout: shufflenet_det/tools/report.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.report import main

if __name__ == '__main__':
    cli.run(main)

"""`shufflenet-det benchmark`, in a checkout: shufflenet_det/tools/benchmark.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.benchmark import main

if __name__ == '__main__':
    cli.run(main)

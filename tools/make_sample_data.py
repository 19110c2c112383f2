"""`shufflenet-det make-sample-data`, in a checkout: shufflenet_det/tools/make_sample_data.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.make_sample_data import main

if __name__ == '__main__':
    cli.run(main)

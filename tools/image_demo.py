"""`shufflenet-det image-demo`, in a checkout: shufflenet_det/tools/image_demo.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.image_demo import main

if __name__ == '__main__':
    cli.run(main)

"""`shufflenet-det predictions-to-coco`, in a checkout: shufflenet_det/tools/predictions_to_coco.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.predictions_to_coco import main

if __name__ == '__main__':
    cli.run(main)

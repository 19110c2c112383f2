"""`shufflenet-det predictions-to-coco`, in a checkout: the module of this name in the package."""
from shufflenet_det.common import cli
from shufflenet_det.tools.predictions_to_coco import main

if __name__ == '__main__':
    cli.run(main)

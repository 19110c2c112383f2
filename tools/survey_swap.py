"""`shufflenet-det survey-swap`, in a checkout: shufflenet_det/tools/survey_swap.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.survey_swap import main

if __name__ == '__main__':
    cli.run(main)

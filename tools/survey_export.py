"""`shufflenet-det survey-export`, in a checkout: shufflenet_det/tools/survey_export.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.survey_export import main

if __name__ == '__main__':
    cli.run(main)

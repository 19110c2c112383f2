"""`shufflenet-det paper-tables`, in a checkout: shufflenet_det/tools/paper_tables.py."""
from shufflenet_det.common import cli
from shufflenet_det.tools.paper_tables import main

if __name__ == '__main__':
    cli.run(main)

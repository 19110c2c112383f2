"""The command lines: `shufflenet-det COMMAND ...` where the package is installed, `tools/*.py` in
a checkout. Each module is one, and short: the work is done on the floors below."""
import os
import sys
from pathlib import Path

COMMANDS = {
    'train': ('train', 'train a detector or a classifier'),
    'test': ('test', 'test one, or an exported network'),
    'image-demo': ('image_demo', 'detect on images'),
    'prepare-data': ('prepare_data', 'check images and annotations of your own, write a config'),
    'swap': ('swap_backbone', 'exchange the backbone of a config'),
    'convert': ('convert_weights', 'convert public weights'),
    'export': ('export', 'write a network for ONNX Runtime, OpenVINO or ncnn'),
    'report': ('report', 'a page to look at, about one run or several'),
    'predictions-to-coco': ('predictions_to_coco', 'detections as a data set to be corrected'),
    'benchmark': ('benchmark', 'measure speed and memory'),
    'paper-tables': ('paper_tables', "the paper's tables beside our figures"),
    'make-sample-data': ('make_sample_data', 'render sample data'),
    'survey-swap': ('survey_swap', 'try an exchange of backbones on many configs'),
    'survey-export': ('survey_export', 'export many configs, and compare the engines'),
}
"""Name of the command to the module and what it does."""


def command_of(tool: str) -> list[str]:
    """How to start another tool in the way in which this process was started.

    Args:
        tool: name of its module.
    """
    started = Path(sys.argv[0])
    if started.suffix == '.py' and started.with_name(f'{tool}.py').is_file():
        return ['python', os.path.relpath(started.with_name(f'{tool}.py'))]
    name = next(name for name, (module, _) in COMMANDS.items() if module == tool)
    return ['shufflenet-det', name]

"""Numbers on command lines; the tools refuse what would do nothing or end in a traceback."""
import argparse

from shufflenet_det.common.options import not_negative, positive

import pytest

from ..conftest import ROOT
from ..zygote import run_forked


def test_numbers_are_read():
    assert (positive('1'), positive('12'), not_negative('0')) == (1, 12, 0)
    for read, text in ((positive, '0'), (positive, '1.5'), (not_negative, '-1'), (positive, '')):
        with pytest.raises(argparse.ArgumentTypeError, match='no whole number'):
            read(text)


@pytest.mark.parametrize(
    'arguments',
    [
        ('claims.py', '--jobs', '0'),
        ('claims.py', '--seeds', '-1'),
        ('demo.py', '--pictures', '0'),
        ('image_demo.py', 'image', 'config', 'checkpoint', '--batch-size', '0'),
        ('report.py', 'run', '--images', '-1'),
        ('survey_export.py', '--jobs', '0'),
        ('survey_swap.py', '--jobs', '0'),
    ],
    ids=' '.join,
)
def test_tools_refuse_impossible_numbers(arguments: tuple[str, ...]):
    tool, *rest = arguments
    process = run_forked([f'{ROOT}/tools/{tool}', *rest])
    assert process.returncode == 2
    assert f'argument {rest[-2]}: {rest[-1]!r} is no whole number of' in process.stderr

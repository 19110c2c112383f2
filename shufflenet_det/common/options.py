"""Values of command line options, checked while they are read."""
import argparse


def positive(text: str) -> int:
    """A number of 1 or more, as a ``type`` of argparse."""
    return _at_least(1, text)


def not_negative(text: str) -> int:
    """A number of 0 or more, as a ``type`` of argparse."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number of {least} or more')
    return number

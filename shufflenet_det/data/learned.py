"""What a data set learns of its annotations, and what it leaves out, said once."""
import logging
from collections.abc import Sequence

from mmengine.logging import print_log

from ..common.errors import DataError


class Learned:
    """Counts annotations against the instances that MMDetection makes of them.

    MMDetection leaves out boxes below a pixel and boxes outside their image, and does not say so.

    Args:
        ann_file: for messages.
    """

    def __init__(self, ann_file: str) -> None:
        self._ann_file = ann_file
        self._total = self._crowds = self._left_out = self._below_one = 0
        self._first = ''

    def add(self, image: str, annotations: Sequence[dict], instances: Sequence[dict]) -> None:
        """Count those of an image."""
        self._total += len(annotations)
        self._crowds += sum(instance['ignore_flag'] for instance in instances)
        if len(instances) < len(annotations):
            self._first = self._first or f'one of {image}'
            self._left_out += len(annotations) - len(instances)
        self._below_one += sum(max(a['bbox']) <= 1 for a in annotations)

    def report(self, test_mode: bool) -> None:
        """Say what is left out, and of a data set to learn from that there is nothing to learn.

        Raises:
            DataError: all boxes are parts of their image, from 0 to 1, rather than pixels.
        """
        if self._total and self._below_one == self._total:
            raise DataError(
                f'{self._ann_file}: these look normalised: all {self._total} boxes lie between 0 '
                'and 1. Export them in pixels, or multiply them by the size of their image.'
            )
        if not self._total and not test_mode:
            self._say('none is of the classes: there is nothing but background to learn')
        if self._left_out:
            self._say(
                f'{self._left_out} are smaller than a pixel or outside their image and are left '
                f'out ({self._first})'
            )
        if self._crowds:
            self._say(
                f'{self._crowds} are crowds (iscrowd or ignore): they are neither learned nor '
                'counted. If they are single objects, set iscrowd to 0'
            )

    def _say(self, what: str) -> None:
        print_log(
            f'{self._ann_file}: of {self._total} annotations {what}.', 'current', logging.WARNING
        )

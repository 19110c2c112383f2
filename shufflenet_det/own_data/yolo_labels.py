"""Reads label files in YOLO's layout: a text file for each image, a line for each object."""
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..common.faults import Faults
from .records import Box

# exporters round, and boxes at the border end behind it by as much
_ROUNDING = 1e-3


@dataclass
class LabelReader:
    """Reads label files, and gathers what is wrong with them.

    Attributes:
        names: of the classes, by number.
        keypoints: numbers behind each box, of data sets of poses.
        faults: what is wrong, by file and line.
        mixed: the first lines of boxes in files that have outlines, too.
    """

    names: Sequence[str]
    keypoints: int
    faults: Faults
    mixed: list[str] = field(default_factory=list)

    def read(self, file: Path) -> tuple[Box, ...]:
        """The objects of a file, in parts of the image; none of an empty one."""
        try:
            text = file.read_text(encoding='utf-8-sig')
        except UnicodeDecodeError:
            self.faults.add('label file that is not text. Export it again', str(file))
            return ()
        boxes, kinds = [], {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            box = self._box(line.split(), f'{file}, line {number}')
            if box is not None:
                boxes.append(box)
                kinds.setdefault(bool(box.outline), number)
        if len(kinds) == 2:
            self.mixed.append(f'{file}, line {kinds[False]}')
        return tuple(boxes)

    def _box(self, words: Sequence[str], where: str) -> Box | None:
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = [math.nan]
        if not all(map(math.isfinite, numbers)):
            return self._refuse('label line that is not numbers only', where, words)
        values = numbers[1:]
        if self.keypoints and len(values) == 4 + self.keypoints:
            values = values[:4]
        if len(values) != 4 and (len(values) < 6 or len(values) % 2):
            return self._refuse(
                'label line that is neither a box (class, x and y of the centre, width, height) '
                'nor an outline (class, x and y of three points or more). Correct it',
                where, words,
            )  # fmt: skip
        number = numbers[0]
        if not number.is_integer() or not 0 <= number < len(self.names):
            return self._refuse(
                f'class number without a name: names are there for 0 to {len(self.names) - 1}. '
                'Correct the line, or add the name',
                where, words,
            )  # fmt: skip
        if min(values) < -_ROUNDING or max(values) > 1 + _ROUNDING:
            return self._refuse(
                'label outside 0 to 1, which are parts of the width and height. Export it again, '
                'or divide pixels by the size of the image',
                where, words,
            )  # fmt: skip
        name = self.names[int(number)]
        where = f'{where} ({name})'
        if len(values) == 4:
            x, y, width, height = values
            return Box(name, (x - width / 2, y - height / 2, width, height), where, parts=True)
        xs, ys = values[::2], values[1::2]
        bbox = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
        return Box(name, bbox, where, parts=True, outline=(tuple(values),))

    def _refuse(self, kind: str, where: str, words: Sequence[str]) -> None:
        shown = ' '.join(words[:6]) + (' ...' if words[6:] else '')
        self.faults.add(kind, f'{where} ({shown})')

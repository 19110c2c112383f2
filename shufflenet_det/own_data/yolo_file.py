"""``data.yaml`` of a data set in YOLO's layout: its classes, and where its images are."""
import re
from collections.abc import Iterator
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path

from shufflenet_runtime.files import list_images

import yaml

from ..common.errors import DataError, shorten
from ..common.faults import Faults


@dataclass(frozen=True)
class Part:
    """The images of training or of validation.

    Attributes:
        images: absolute paths, and where each was named.
        folders: that they are in; labels lie in folders of the same shape.
    """

    images: dict[Path, str]
    folders: tuple[Path, ...]


class DataFile:
    """What ``data.yaml`` says, or ``classes.txt``, a name a line, beside the folder ``images``.

    Attributes:
        root: the folder that its paths are below, if it is right.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.suffix.lower() == '.txt':
            lines = map(str.strip, text_of_file(path).splitlines())
            content = dict(names=[line for line in lines if line], train='images')
        else:
            content = self._load(path)
        self._content = content
        self._lines = path.read_bytes().decode(errors='replace').splitlines()
        here = path.absolute().parent
        written = self._path_of(self.text_of('path') or '.')
        self._bases = [Path(normpath(b)) for b in (here / written, here, written.absolute())]
        self.root = next((base for base in self._bases if base.is_dir()), here)

    @staticmethod
    def _load(path: Path) -> dict:
        try:
            # all as text: to YAML the class `no` is a truth value
            content = yaml.load(path.read_bytes(), Loader=yaml.BaseLoader)
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, 'problem_mark', None)
            where = f', line {mark.line + 1}' if mark else ''
            hint = ''
            if 'escape' in str(error):
                hint = ' In double quotes a backslash is no part of a path: write / in its place.'
            reason = getattr(error, 'problem', None) or str(error)
            raise DataError(f'cannot read {path}{where}: {reason}.{hint}') from None
        if not isinstance(content, dict):
            raise DataError(f'{path} is no data.yaml of YOLO: it has no keys such as train, names.')
        return content

    def text_of(self, key: str) -> str:
        """A value, or nothing."""
        value = self._content.get(key, '')
        return '' if not isinstance(value, str) or value in ('~', 'null') else value

    def line_of(self, key: str) -> str:
        """Where a key stands, for messages."""
        pattern = re.compile(rf'\s*["\']?{key}["\']?\s*:')
        numbers = (n for n, line in enumerate(self._lines, 1) if pattern.match(line))
        return f'{self.path}, line {next(numbers, 1)}'

    @staticmethod
    def _path_of(text: str) -> Path:
        return Path(text.replace('\\', '/'))

    def names(self) -> tuple[str, ...]:
        """Names of the classes, by number.

        Raises:
            DataError: there are none, a number has none, or two have one.
        """
        written, where = self._content.get('names'), self.line_of('names')
        if isinstance(written, dict):
            if sorted(written, key=lambda k: (len(k), k)) != [str(n) for n in range(len(written))]:
                raise DataError(
                    f'{where}: names must have the numbers 0 to {len(written) - 1}, they have '
                    f'{shorten(written)}.'
                )
            written = [written[str(number)] for number in range(len(written))]
        if not isinstance(written, list) or not written or not all(
            isinstance(name, str) and name for name in written
        ):
            raise DataError(f'{where}: give names, as a list or by number; here is {written!r}.')
        twice = sorted({name for name in written if written.count(name) > 1})
        if twice:
            raise DataError(f'{where}: two classes have one name: {shorten(twice)}.')
        count = self.text_of('nc')
        if count and count != str(len(written)):
            raise DataError(f'{self.line_of("nc")}: nc is {count}, and there are {len(written)} '
                            'names. Correct one of the two.')  # fmt: skip
        return tuple(written)

    def keypoints(self) -> int:
        """Numbers behind each box: points times numbers of each, of data sets of poses."""
        shape = self._content.get('kpt_shape') or []
        if not shape:
            return 0
        if len(shape) != 2 or not all(isinstance(n, str) and n.isdecimal() for n in shape):
            raise DataError(f'{self.line_of("kpt_shape")}: give two numbers, points and values.')
        return int(shape[0]) * int(shape[1])

    def part(self, keys: tuple[str, ...], faults: Faults) -> Part | None:
        """The images that a key names, by folders or by lists of files; None without the key."""
        key = next((key for key in keys if self._content.get(key) not in (None, '', [])), None)
        if key is None:
            return None
        written, where = self._content[key], self.line_of(key)
        images: dict[Path, str] = {}
        folders: dict[Path, None] = {}
        for text in [written] if isinstance(written, str) else written:
            if not isinstance(text, str):
                faults.add('path that is no text', f'{where}: {key}: {text}')
                continue
            found = self._find(text)
            if found is None:
                tried = shorten(self._candidates(text))
                faults.add(
                    'path that does not exist. Correct it, or `path`, which it is below',
                    f'{where}: {key}: {text} (tried {tried})',
                )
            elif found.is_dir():
                names = list_images(found).images
                if not names:
                    faults.add('folder without an image', f'{where}: {key}: {found}')
                images |= {found / name: where for name in names}
                folders[found] = None
            else:
                for image, line in self._listed(found, faults):
                    if image in images:
                        faults.add(
                            'image that is listed twice. Take out one of the two',
                            f'{line}: {image} (and {images[image]})',
                        )
                    images[image] = line
                    folders[image.parent] = None
        return Part(images, tuple(folders))

    def _candidates(self, text: str) -> list[Path]:
        """Where a path may lead, below `path` or beside the file.

        Roboflow writes a `../` too many, and files come from other machines.
        """
        path = self._path_of(text)
        # not resolved: a link to a folder of images stands for the place that it is in
        tried = [base / path for base in self._bases]
        parts = [part for part in path.parts if part != '..']
        if len(parts) < len(path.parts):
            tried += [base.joinpath(*parts) for base in self._bases]
        tried += self._from_elsewhere(path)
        return list(dict.fromkeys(Path(normpath(each)) for each in tried))

    def _from_elsewhere(self, path: Path) -> list[Path]:
        """Where the end of an absolute path of another machine may be on this one."""
        if not path.is_absolute() and not re.match('[A-Za-z]:', path.as_posix()):
            return []
        parts = path.parts[1:]
        return [
            base.joinpath(*parts[start:])
            for start in range(len(parts) - 1)
            for base in self._bases
        ]

    def _find(self, text: str) -> Path | None:
        return next((path for path in self._candidates(text) if path.exists()), None)

    def _listed(self, file: Path, faults: Faults) -> Iterator[tuple[Path, str]]:
        """The images of a list, and where each stands."""
        for number, line in enumerate(text_of_file(file).splitlines(), 1):
            if not line.strip():
                continue
            path, where = self._path_of(line.strip()), f'{file}, line {number}'
            tried = [Path(normpath(base / path)) for base in (file.parent, *self._bases)]
            tried += self._from_elsewhere(path)
            found = next((each for each in tried if each.is_file()), None)
            if found is None:
                faults.add(
                    'listed image that does not exist',
                    f'{where}: {line.strip()} (tried {shorten(dict.fromkeys(tried), 3)})',
                )
            else:
                yield found, where


def text_of_file(file: Path) -> str:
    """The text of a file.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        return file.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise DataError(
            f'{file} is not UTF-8 text (byte {error.start + 1}). Save it as UTF-8.'
        ) from None

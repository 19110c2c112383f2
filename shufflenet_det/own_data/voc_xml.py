"""Reads annotations in Pascal VOC's layout: an XML file for each image."""
import math
import re
from pathlib import Path
from xml.etree import ElementTree

from ..common.errors import DataError, shorten
from ..common.faults import Faults
from .records import Box, Picture

_DECLARATION = re.compile(
    rb"""(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']+)["'][^>]*\?>"""
)
_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


def read_voc(folder: Path) -> tuple[tuple[str, ...], list[Picture]]:
    """Classes, sorted, and images of a folder of XML files; folders in it count, too.

    VOC's corners count pixels from 1 and both belong to the box (VOC2012 development kit, section
    on annotation); COCO's count from 0 and the right lower one is outside. An object marked
    ``difficult`` becomes a crowd: as in VOC's evaluation, to find it or to miss it counts nothing.

    Raises:
        DataError: there is no XML file, or some are damaged or incomplete: the message names them.
    """
    # not `._NAME`, which macOS leaves beside NAME
    files = sorted(file for file in folder.rglob('*.xml') if not file.name.startswith('.'))
    if not files:
        here = [entry.name for entry in sorted(folder.iterdir())]
        raise DataError(
            f'{folder} holds no XML file ({shorten(here) or "it is empty"}). Name the folder of '
            'the VOC files, often called Annotations, a COCO JSON file, or for YOLO labels the '
            'data.yaml with the names of their classes.'
        )
    faults = Faults()
    pictures = [picture for file in files if (picture := _picture(file, folder, faults))]
    faults.check(folder)
    classes = {box.category for picture in pictures for box in picture.boxes}
    return tuple(sorted(classes)), pictures


def _picture(file: Path, folder: Path, faults: Faults) -> Picture | None:
    name = file.relative_to(folder).as_posix()
    try:
        root = _parse(file.read_bytes())
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        where, reason = name, str(error)
        if isinstance(error, ElementTree.ParseError):
            line, column = error.position
            where, reason = f'{name}, line {line}, column {column + 1}', reason.partition(':')[0]
        faults.add('unreadable XML. Export the file again', f'{where} ({reason})')
        return None
    if root.tag != 'annotation':
        faults.add(
            'XML that is no VOC annotation (its root is not <annotation>). Take it out',
            f'{name} (<{root.tag}>)',
        )
        return None
    boxes = [
        _box(element, f'{name}, object {number}', faults)
        for number, element in enumerate(root.findall('object'), 1)
    ]
    # the name in the file is often that of before a renaming: the name of the file comes second
    names = [(root.findtext('filename') or '').strip(), name.removesuffix('.xml')]
    return Picture(
        tuple(filter(None, names)),
        _size(root),
        tuple(box for box in boxes if box is not None),
        name,
    )


def _parse(content: bytes) -> ElementTree.Element:
    """The root of an XML file.

    The parser knows few encodings, and refuses a file whose declaration names another than it is
    in, as that of a text that a program has written as UTF-8 and declared as UTF-16.

    Raises:
        ElementTree.ParseError: it is no XML.
        ValueError, LookupError: it is not in the encoding that it declares, or nobody knows that.
    """
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        declaration = _DECLARATION.match(content)
        if not declaration:
            raise
        declared = declaration[1].decode('ascii', 'replace').lower()
        # files that declare GB2312 have characters of its supersets, too
        encodings = ['gb18030' if declared in ('gb2312', 'gbk') else declared, 'utf-8']
        for encoding in encodings:
            try:
                return ElementTree.fromstring(content[declaration.end() :].decode(encoding))
            except (ElementTree.ParseError, ValueError, LookupError):
                # the first error says what is wrong
                continue
        raise error


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    # some tools leave the size out, or leave it 0
    values = [_number(root.findtext(f'size/{side}')) for side in ('width', 'height')]
    return (int(values[0]), int(values[1])) if all(values) else None


def _box(element: ElementTree.Element, where: str, faults: Faults) -> Box | None:
    category = (element.findtext('name') or '').strip()
    if not category:
        faults.add('object without a <name>', where)
        return None
    corners = [_number(element.findtext(f'bndbox/{corner}')) for corner in _CORNERS]
    if None in corners:
        faults.add(f'object without the numbers {", ".join(_CORNERS)} in <bndbox>', where)
        return None
    left, top, right, bottom = corners
    marks = [(element.findtext(key) or '').strip().lower() for key in ('difficult', 'ignore')]
    difficult = any(mark in ('1', 'true', 'yes') for mark in marks)
    bbox = (left - 1, top - 1, right - left + 1, bottom - top + 1)
    return Box(category, bbox, f'{where} ({category})', difficult)


def _number(text: str | None) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None

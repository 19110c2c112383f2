"""The layout of a JPEG file (ITU T.81, annex B), as far as it tells whether one is whole."""
from dataclasses import dataclass

START, END = b'\xff\xd8', b'\xff\xd9'
_MARKER, _START_OF_SCAN, _START_OF_FRAME = 0xFF, 0xDA, range(0xC0, 0xD0)
_NOT_OF_FRAME = (0xC4, 0xC8, 0xCC)


@dataclass(frozen=True)
class Header:
    """What comes before the pixels.

    Attributes:
        components: 1 of grey, 3 of colour, 4 of CMYK.
        scan: where the pixels start, behind any thumbnail with an end of its own.
    """

    components: int
    scan: int


def read_header(content: bytes) -> Header | None:
    """The segments before the pixels, or None where the bytes are no JPEG, or end in them."""
    if not content.startswith(START):
        return None
    components, position = 0, 2
    while position + 9 < len(content) and content[position] == _MARKER:
        kind = content[position + 1]
        if kind == _START_OF_SCAN:
            return Header(components, position)
        if kind in _START_OF_FRAME and kind not in _NOT_OF_FRAME:
            components = content[position + 9]
        position += 2 + int.from_bytes(content[position + 2 : position + 4], 'big')
    return None


def is_cut_off(content: bytes) -> bool:
    """Whether the bytes are a JPEG without an end. Among pixels an end cannot occur by chance."""
    header = read_header(content)
    if header is None:
        return False
    # nearly always the end is at the end: the pixels need not be searched
    near_end = max(header.scan, len(content) - 64)
    return content.find(END, near_end) < 0 and content.find(END, header.scan) < 0

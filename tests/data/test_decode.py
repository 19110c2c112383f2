import struct
from io import BytesIO

from shufflenet_det.common.errors import DataError
from shufflenet_det.data.decode import _is_plain_jpeg, decode_rgb

import numpy as np
import pytest
import torch
from PIL import Image

from .image_files import encoded, picture


def by_pillow(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)).convert('RGB'))


def decoded(content: bytes) -> np.ndarray:
    return decode_rgb(content, 'x.JPEG').permute(1, 2, 0).numpy()


ROTATED = Image.Exif()
ROTATED[0x0112] = 6
BROKEN_EXIF = b'Exif\0\0II*\0' + struct.pack('<I', 2**31) + b'garbage'
JPEGS = {
    '4:4:4': encoded(picture(), subsampling=0),
    '4:2:2': encoded(picture(), subsampling=1),
    '4:2:0': encoded(picture(), subsampling=2),
    'odd size': encoded(picture(17, 33)),
    'one pixel': encoded(picture(1, 1)),
    'progressive': encoded(picture(), progressive=True),
    'stored as RGB': encoded(picture(), keep_rgb=True),
    'grey': encoded(picture(mode='L')),
    'CMYK': encoded(picture(mode='CMYK')),
    'rotated by EXIF': encoded(picture(), exif=ROTATED),
    'corrupt EXIF': encoded(picture(), exif=BROKEN_EXIF),
    'bytes after the end': encoded(picture()) + bytes(3000),
}
OTHERS = {
    'PNG': encoded(picture(), 'PNG'),
    'grey PNG': encoded(picture(mode='L'), 'PNG'),
    'palette': encoded(picture().convert('P'), 'PNG'),
    'palette with transparency': encoded(picture().convert('P'), 'PNG', transparency=3),
    'RGBA': encoded(picture(mode='RGBA'), 'PNG'),
    'grey with alpha': encoded(picture(mode='LA'), 'PNG'),
    'one bit': encoded(picture(mode='1'), 'PNG'),
    'BMP': encoded(picture(), 'BMP'),
    'WebP': encoded(picture(), 'WEBP'),
    'CMYK TIFF': encoded(picture(mode='CMYK'), 'TIFF'),
}


@pytest.mark.filterwarnings('ignore:Corrupt EXIF', 'ignore:Palette images')
@pytest.mark.parametrize('content', [*JPEGS.values(), *OTHERS.values()], ids=[*JPEGS, *OTHERS])
def test_pixels_are_those_of_pillow(content: bytes) -> None:
    np.testing.assert_array_equal(decoded(content), by_pillow(content))


def test_orientation_of_exif_is_ignored() -> None:
    assert decode_rgb(JPEGS['rotated by EXIF'], 'x').shape == (3, 60, 80)


def test_result_is_rgb_bytes_in_the_decoders_order() -> None:
    pixels = decode_rgb(encoded(Image.new('RGB', (8, 4), (250, 20, 20)), quality=95), 'x')
    assert pixels.dtype == torch.uint8 and pixels.shape == (3, 4, 8)
    assert pixels[0].min() > 240 and pixels[1:].max() < 30
    assert pixels.permute(1, 2, 0).is_contiguous()


def test_grey_of_16_bits_keeps_its_range() -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    content = encoded(Image.fromarray(values), 'PNG')
    np.testing.assert_array_equal(decoded(content), np.repeat(values[..., None] >> 8, 3, axis=2))


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
@pytest.mark.parametrize('keep', [0.01, 0.5, 0.9])
def test_truncated_image_is_named(kind: str, keep: float) -> None:
    content = encoded(picture(), kind)
    with pytest.raises(DataError, match=r'a/b\.JPEG'):
        decode_rgb(content[: int(len(content) * keep)], 'a/b.JPEG')


def test_jpeg_without_its_last_bytes_is_an_error() -> None:
    assert _is_plain_jpeg(JPEGS['4:2:0']) and not _is_plain_jpeg(JPEGS['4:2:0'][:-10])
    with pytest.raises(DataError, match='truncated'):
        decode_rgb(JPEGS['4:2:0'][:-10], 'x')


def test_thumbnail_does_not_hide_that_the_image_is_cut_off() -> None:
    thumbnail = encoded(picture(24, 32))
    content = encoded(picture(), exif=b'Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0' + thumbnail)
    end = content.index(thumbnail) + len(thumbnail)
    cut = content[: end + 700]
    assert b'\xff\xda' in cut[end:], 'the cut lies behind the start of the pixels'
    # asked too, because OpenCV before 5 fills what is missing with grey
    assert not _is_plain_jpeg(cut)
    with pytest.raises(DataError):
        decode_rgb(cut, 'x')


@pytest.mark.parametrize(
    'content, reason',
    [
        (b'', 'empty'),
        (b'<html>404</html>', 'not an image'),
        (b'\xff\xd8\xff' + bytes(50), 'x.JPEG'),
        (encoded(Image.fromarray(np.ones((4, 4), np.float32)), 'TIFF'), 'no known range'),
    ],
    ids=['empty', 'text', 'start of a JPEG', 'floats'],
)
def test_what_is_no_image_is_named_with_the_remedy(content: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        decode_rgb(content, 'x.JPEG')
    assert 'x.JPEG' in str(caught.value) and 'Replace' in str(caught.value)

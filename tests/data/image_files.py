"""Encoded images and folders of them, for the tests of classification data."""
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def picture(height: int = 60, width: int = 80, mode: str = 'RGB', seed: int = 0) -> Image.Image:
    """Smooth colours with some noise, so that resizing and chroma matter."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, 4 if mode == 'CMYK' else 3), dtype=np.uint8)
    image = Image.fromarray(coarse, mode='CMYK' if mode == 'CMYK' else 'RGB')
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noisy = (pixels + rng.integers(-12, 13, pixels.shape)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(noisy, mode=image.mode).convert(mode)


def encoded(image: Image.Image, kind: str = 'JPEG', **options) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def write_folders(root: Path, classes: dict[str, int], split: str = 'train', **size: int) -> Path:
    """``root/split/<class>/<class>_<i>.JPEG``, as many of a class as ``classes`` says."""
    for number, (name, images) in enumerate(classes.items()):
        folder = root / split / name
        folder.mkdir(parents=True)
        for index in range(images):
            content = encoded(picture(**size, seed=100 * number + index))
            (folder / f'{name}_{index}.JPEG').write_bytes(content)
    return root

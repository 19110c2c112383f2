"""Encoded images and folders of them, for the tests of classification data."""
from collections.abc import Sequence
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


def write_tiny_imagenet(
    root: Path, classes: Sequence[str] = ('n10', 'n02', 'n30'), train: int = 4, val: int = 6
) -> Path:
    """Tiny ImageNet's layout, as published; every third image is grey.

    Args:
        root: data root, made here.
        classes: wnids in the order of ``wnids.txt``.
        train: training images of a class.
        val: validation images in all, of the classes in turn.
    """
    def write(path: Path, seed: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(64, 64, 'L' if seed % 3 == 2 else 'RGB', seed)))

    for number, wnid in enumerate(classes):
        names = [f'{wnid}_{index}.JPEG' for index in range(train)]
        for index, name in enumerate(names):
            write(root / 'train' / wnid / 'images' / name, 100 * number + index)
        boxes = ''.join(f'{name}\t0\t10\t63\t58\n' for name in names)
        (root / 'train' / wnid / f'{wnid}_boxes.txt').write_text(boxes)
    lines = []
    for index in range(val):
        write(root / 'val' / 'images' / f'val_{index}.JPEG', 1000 + index)
        lines.append(f'val_{index}.JPEG\t{classes[index % len(classes)]}\t0\t32\t44\t62\n')
    (root / 'val' / 'val_annotations.txt').write_text(''.join(lines))
    (root / 'wnids.txt').write_text(''.join(f'{wnid}\n' for wnid in classes))
    words = 'n00\tentity\nn02\tgoldfish, Carassius auratus\nn30\tbullfrog\n'
    (root / 'words.txt').write_text(words)
    return root

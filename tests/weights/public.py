"""Stand-ins for the public files: random weights of the networks that their publishers have."""
import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

from shufflenet_det.weights import public_files, public_names
from shufflenet_det.weights.public_files import Digest, PublicFile

import pytest
import torch
from torch import Tensor, nn

from .networks import AuthorsNet, as_zcls, randomise


def saved(content: dict) -> bytes:
    torch.save(content, buffer := io.BytesIO())
    return buffer.getvalue()


def zipped(**files: bytes) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f'{name}.pth', content)
    return buffer.getvalue()


def digest_of(content: bytes, kind: str) -> Digest:
    if kind == 'git':
        digits = hashlib.sha1(f'blob {len(content)}\0'.encode() + content).hexdigest()
    else:
        digits = hashlib.new(kind, content).hexdigest()
    return Digest(kind, {'sha256': digits[:8], 'md5': digits[-8:]}.get(kind, digits))


def factor_and_groups(file: PublicFile) -> tuple[float, int]:
    factor, groups = file.name.split('-')[-2:]
    return float(factor.removesuffix('x')), int(groups.removeprefix('g'))


def pytorchcv_net(name: str, classes: int = 7) -> nn.Module:
    """A network of the package pytorchcv, for images of any size."""
    models = pytest.importorskip(
        'pytorchcv.models.shufflenet', reason='pytorchcv, which is compared with, is not installed'
    )
    net = getattr(models, name)(num_classes=classes)
    net.features.final_pool = nn.AdaptiveAvgPool2d(1)
    return net


def stand_in(file: PublicFile, images: Tensor | None = None) -> tuple[nn.Module, bytes]:
    """Random weights in the place of those of a public file: their network, the file's content.

    Args:
        file: one that is downloaded.
        images: whose statistics the batch norms get, (N, 3, H, W) as the network gets them.
    """
    factor, groups = factor_and_groups(file)
    if file.collection == 'pytorchcv':
        net = pytorchcv_net(file.published_as)
    elif file.collection == 'mmpretrain':
        from .test_convert import MMPretrain

        net = MMPretrain(groups, factor)
    else:
        net = AuthorsNet(groups, factor)
    if images is not None:
        randomise(net, images)
    content = {
        'pytorchcv': lambda: net.state_dict(),
        'mmpretrain': lambda: dict(state_dict=net.net.state_dict(), meta={}),
        'authors': lambda: {f'module.{n}': t for n, t in net.state_dict().items()},
        'zcls': lambda: as_zcls(net.state_dict()),
    }[file.collection]()
    return net, saved(content)


def publish(
    monkeypatch: pytest.MonkeyPatch, *changed: PublicFile, home: Path | None = None
) -> None:
    """Have the list hold changed entries, and the cache be in a folder."""
    names = {file.name: file for file in changed}
    files = tuple(names.get(file.name, file) for file in public_files.public_files())
    for module in (public_names, public_files):
        monkeypatch.setattr(module, 'public_files', lambda: files)
    if home is not None:
        monkeypatch.setenv('TORCH_HOME', str(home))


def keep(monkeypatch: pytest.MonkeyPatch, file: PublicFile, content: bytes, home: Path) -> Path:
    """Put content where a public file is kept, as the one that was published."""
    changed = replace(file, digest=digest_of(content, file.digest.kind))
    publish(monkeypatch, changed, home=home)
    path = home / 'hub' / 'checkpoints' / file.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = zipped(weights=content) if file.filename.endswith('.zip') else content
    path.write_bytes(packed)
    return path

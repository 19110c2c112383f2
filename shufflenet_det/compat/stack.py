"""Which MMDetection is there: OpenMMLab's packages or the fork of them by OneDL.

Both have the same import names, and pip cannot say "one or the other". So none of them is among
the requirements, and what pip does not see is said here, before the first import fails somewhere
inside: nothing is installed, two packages that overwrite each other are, or versions that refuse
each other. Only the standard library is imported for it.
"""
import contextlib
import importlib
import io
import sys
import warnings
from importlib import metadata
from importlib.util import find_spec

DISTRIBUTIONS = {
    'mmengine': ('mmengine', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
}
"""Import names, and who provides them: OpenMMLab's first, OneDL's last."""

_EXTRAS = (
    "pip install 'shufflenet_det[lite]'       # OpenMMLab's packages, with mmcv-lite",
    "pip install 'shufflenet_det[onedl]'      # the maintained fork of them",
    "pip install 'shufflenet_det[openmmlab]'  # OpenMMLab's, beside compiled mmcv of your own",
)
# what OneDL's packages print when they are imported, without its data platform
_CHATTER = 'Could not import OneDL'


def check() -> None:
    """Raise where MMDetection cannot be imported, or would be a mixture of two packages.

    Raises:
        ImportError: what is wrong, with the commands that mend it.
    """
    present = {name: version for names in DISTRIBUTIONS.values() for name in names
               if (version := _version(name))}  # fmt: skip
    for package, names in DISTRIBUTIONS.items():
        own = [name for name in names[:-1] if name in present]
        if own and names[-1] in present:
            raise ImportError(_both(own[0], names[-1], present), name=package)
    for package, names in DISTRIBUTIONS.items():
        if not _is_package(package):
            owner = next((name for name in names if name in present), None)
            raise ImportError(_lost(package, owner, present), name=package)
    if 'mmengine' in present and find_spec('pkg_resources') is None:
        warnings.warn(
            f'mmengine {present["mmengine"]} needs pkg_resources for configs with `mmdet::` in '
            "their bases, and setuptools 82 removed it: pip install 'setuptools<82'", stacklevel=2
        )
    try:
        importlib.import_module('mmdet')
    except AssertionError as error:
        raise ImportError(_refused(error, present), name='mmdet') from error


def import_quietly(*names: str) -> None:
    """Import modules without the lines that OneDL's packages print then; others are printed."""
    warnings.filterwarnings('ignore', message='faster_coco_eval is not installed')
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            for name in names:
                importlib.import_module(name)
    finally:
        lines = said.getvalue().splitlines(keepends=True)
        sys.stdout.write(''.join(line for line in lines if _CHATTER not in line))


def distributions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of the distributions that provide import packages, by distribution.

    A package that no distribution provides (a folder on the path) is left out.
    """
    providers = metadata.packages_distributions()
    found = {}
    for package in packages:
        for name in sorted(set(providers.get(package, ()))):
            found[name] = metadata.version(name)
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_package(name: str) -> bool:
    """Whether there is code of this name; a folder that was left behind has no ``__init__``."""
    spec = find_spec(name)
    return spec is not None and spec.origin is not None


def _pinned(names: dict[str, str]) -> str:
    return ' and '.join(f'{name} {version}' for name, version in names.items())


def _anew(present: dict[str, str]) -> str:
    return (f'Take all of them out, and install one of the two again:\n'
            f'    pip uninstall -y {" ".join(present)}\n    ' + '\n    '.join(_EXTRAS[:2]))


def _both(own: str, fork: str, present: dict[str, str]) -> str:
    two = {name: present[name] for name in (own, fork)}
    return (f'{_pinned(two)} are both installed. They write the same files, so that what is there '
            f'now is a mixture of both, which pip does not see. {_anew(present)}')


def _lost(package: str, owner: str | None, present: dict[str, str]) -> str:
    if owner:
        return (f'{owner} {present[owner]} is installed, but its files are gone, as they are when '
                f'another package with the same ones is uninstalled. {_anew(present)}')
    return (f'{package} is not installed. shufflenet_det asks for no MMDetection by itself, '
            f'because there are two that overwrite each other. Choose one:\n    '
            + '\n    '.join(_EXTRAS))


def _refused(error: AssertionError, present: dict[str, str]) -> str:
    return (f'{error} Installed are {_pinned(present)}, which do not belong together. '
            f'{_anew(present)}')

"""Metadata is in setup.cfg. This adds two folders to the installed package: ``shufflenet_det/.mim``
with the configs, the tools and the model index, where OpenMMLab's tools look for them, and
``shufflenet_det/.runtime`` with the runtime, which as a package of its own belongs to the
distribution in ``shufflenet_runtime/``."""
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# the last three: what makes the runtime a distribution, and what building that leaves in its folder
NOT_SHARED = shutil.ignore_patterns('__pycache__', 'pyproject.toml', 'build', '*.egg-info')
SHARED = {'.mim': ('configs', 'tools', 'model-index.yml'), '.runtime': ('shufflenet_runtime',)}


class BuildWithShared(build_py):
    """Copies the shared files into a wheel; links to them in an editable installation."""

    def run(self) -> None:
        super().run()
        for folder, names in SHARED.items():
            if self.editable_mode:
                self._link(ROOT / 'shufflenet_det' / folder, names)
            else:
                self._copy(Path(self.build_lib, 'shufflenet_det', folder), names)

    def _link(self, target: Path, names: tuple[str, ...]) -> None:
        target.mkdir(exist_ok=True)
        for name in names:
            link = target / name
            link.unlink(missing_ok=True)
            link.symlink_to(Path('..', '..', name))

    def _copy(self, target: Path, names: tuple[str, ...]) -> None:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in names:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, target / name, ignore=NOT_SHARED)
            else:
                shutil.copy(source, target / name)


setup(cmdclass={'build_py': BuildWithShared})

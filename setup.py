"""Metadata is in setup.cfg. This adds what OpenMMLab's tools look for inside an installed package:
``shufflenet_det/.mim`` with the configs, the tools and the model index."""
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHARED = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Copies the shared files into a wheel; links to them in an editable installation."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            self._link(ROOT / 'shufflenet_det' / '.mim')
        else:
            self._copy(Path(self.build_lib, 'shufflenet_det', '.mim'))

    def _link(self, target: Path) -> None:
        target.mkdir(exist_ok=True)
        for name in SHARED:
            link = target / name
            link.unlink(missing_ok=True)
            link.symlink_to(Path('..', '..', name))

    def _copy(self, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        for name in SHARED:
            source = ROOT / name
            if source.is_dir():
                ignore = shutil.ignore_patterns('__pycache__')
                shutil.copytree(source, target / name, ignore=ignore)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target / name)


setup(cmdclass={'build_py': BuildWithMim})

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..zygote import Ended, Zygote
from . import tiny


@pytest.fixture(scope='package')
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.close()


class Training:
    """Runs of the tiny detector, each in a folder of its own."""

    def __init__(self, zygote: Zygote, root: Path) -> None:
        self.zygote, self.root = zygote, root
        self.data = tiny.write_data(root / 'data')
        self.config = tiny.write_config(root / 'tiny.py')

    def command(self, name: str, *more: str, config: Path | None = None) -> dict:
        argv = ['tools/train.py', config or self.config, '--work-dir', self.root / name, *more]
        return dict(argv=argv, log=self.root / f'{name}.log', SAMPLE_DATA_ROOT=str(self.data))

    def start(self, name: str, *more: str, config: Path | None = None, **options) -> int:
        return self.zygote.start(**self.command(name, *more, config=config), **options)

    def run(self, name: str, *more: str, config: Path | None = None, **options) -> Ended:
        return self.zygote.run(**self.command(name, *more, config=config), **options)

    def output(self, name: str) -> str:
        log = self.root / f'{name}.log'
        return log.read_text(errors='replace') if log.exists() else ''

    def end(self, name: str) -> dict:
        return tiny.state_of(self.root / name / f'epoch_{tiny.EPOCHS}.pth')


@pytest.fixture(scope='package')
def training(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Training:
    return Training(zygote, tmp_path_factory.mktemp('tiny'))


@pytest.fixture(scope='package')
def whole(training: Training) -> dict:
    """The end of a run that nothing has happened to."""
    ended = training.run('whole')
    assert ended.status == 0, ended.output[-3000:]
    return training.end('whole')

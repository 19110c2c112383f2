"""`shufflenet-det COMMAND ...`, or `python -m shufflenet_det.tools COMMAND ...` under torchrun."""
import sys
from importlib import import_module

from shufflenet_runtime import __main__ as runtime

from ..common import cli
from ..common.config import suggest
from ..version import __version__
from . import COMMANDS


def main() -> None:
    """Run the command that the first argument names."""
    name, *arguments = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        print(_usage())
    elif name == '--version':
        print(__version__)
    elif name == 'runtime':
        sys.argv = ['shufflenet-det runtime', *arguments]
        runtime.main()
    elif name in COMMANDS:
        sys.argv = [f'shufflenet-det {name}', *arguments]
        cli.run(import_module(f'.{COMMANDS[name][0]}', __package__).main)
    else:
        known = [*COMMANDS, 'runtime']
        sys.exit(f'error: {name} is no command of shufflenet-det: it has {", ".join(known)}.'
                 + suggest(name, known))


def _usage() -> str:
    about = {name: text for name, (_, text) in COMMANDS.items()}
    about['runtime'] = 'run an exported network on images and videos'
    rows = '\n'.join(f'  {name:16}  {text}' for name, text in about.items())
    return f'usage: shufflenet-det COMMAND ...\n\n{rows}\n\nshufflenet-det COMMAND --help has more.'


if __name__ == '__main__':
    main()

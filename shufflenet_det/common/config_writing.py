"""A config that inherits another and states what differs, as people write them."""
import os
from pathlib import Path

import mmdet
from mmengine.config import Config

from .cli import check_writable, write_atomically
from .config_differences import as_code, overrides, plain
from .errors import ConfigError
from .model_zoo import remembered

_PACKAGED = Path(mmdet.__file__).resolve().parent / '.mim' / 'configs'


def check_output(out: str | Path, force: bool) -> Path:
    """The file to write, if it may be written.

    Raises:
        ConfigError: it exists, has another ending than ``.py``, or its folder is missing
            or refuses files.
    """
    out = Path(out)
    if out.suffix != '.py':
        raise ConfigError(f'--out {out}: the name of a config ends in .py.')
    if out.is_dir():
        raise ConfigError(f'--out {out} is a folder: name a file.')
    if out.exists() and not force:
        raise ConfigError(f'--out {out} exists: choose another name, or replace it with --force.')
    if not out.parent.is_dir():
        raise ConfigError(f'--out {out}: there is no folder {out.parent}.')
    check_writable(out.parent, '--out')
    return out


def base_reference(base: str, out: Path) -> str:
    """How a config names the one that it inherits: a name of MMDetection, or a relative path."""
    if '::' in base:
        return base
    path = Path(base).absolute()
    if path.resolve().is_relative_to(_PACKAGED):
        return f'mmdet::{path.resolve().relative_to(_PACKAGED).as_posix()}'
    # not resolved: what a link leads to may inherit from where the link is
    return os.path.relpath(path, out.absolute().parent).replace(os.sep, '/')


def write_config(base: str, old: Config, new: Config, out: Path, heading: str) -> None:
    """Write a config that inherits ``base`` and overrides what differs; prove that it reads so.

    Args:
        base: what the new config inherits, as it was given to ``load_config``.
        old: the config that ``base`` reads as.
        new: what the written config must read as.
        out: file to write, as a whole or not at all.
        heading: what to say in the first lines, without the ``#``.

    Raises:
        ConfigError: the file cannot be written or would not read as ``new``, or ``base`` inherits
            from it.
    """
    # the text of a config names each file that it was read from
    names = (line for line in old.text.splitlines() if line.endswith('.py'))
    if any(Path(name).resolve() == out.resolve() for name in names):
        raise ConfigError(f'{base} is, or inherits, {out}: choose another name for the new config.')
    settings = overrides(plain(old), plain(new))
    text = ''.join(f'# {line}\n' for line in heading.splitlines())
    text += f'_base_ = {base_reference(base, out)!r}\n'
    text += ''.join(f'{k} = {as_code(v, 97 - len(k))}\n' for k, v in settings.items())
    # beside the real one, because relative paths in it must lead to the same files
    draft = out.with_name(f'.{out.stem}_draft.py')
    try:
        write_atomically(draft, text)
    except OSError as error:
        raise ConfigError(f'cannot write {out}: {error.strerror}. Choose another path.') from None
    try:
        with remembered():
            read = Config.fromfile(draft)
        reason = '' if plain(read) == plain(new) else 'it reads otherwise'
    except Exception as error:
        # a config is a program, and mmengine has its own rules for what may inherit what
        reason = f'{type(error).__name__}: {error}'
    finally:
        draft.unlink(missing_ok=True)
    if reason:
        raise ConfigError(
            f'{base} cannot be inherited and changed by a config file ({reason}). In Python, '
            f'Config.dump({str(out)!r}) writes all of it.'
        )
    write_atomically(out, text)

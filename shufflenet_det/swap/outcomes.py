"""Outcomes of a survey, in a file with one JSON object a line that a later run goes on from."""
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from ..common import cli
from ..common.errors import ConfigError

Outcome = TypeVar('Outcome')
"""A dataclass."""


def load_outcomes(path: Path, kind: type[Outcome]) -> list[Outcome]:
    """Outcomes that an earlier run wrote.

    Raises:
        ConfigError: the file is another one.
    """
    outcomes = []
    for line in path.read_text().splitlines() if path.exists() else ():
        # the end of a run that was killed while it wrote
        if line.endswith('}'):
            try:
                outcomes.append(kind(**json.loads(line)))
            except (TypeError, ValueError):
                raise ConfigError(
                    f'{path} is not a file of outcomes: name another with --out.'
                ) from None
    return outcomes


def collect(
    survey: Callable[[Sequence[Outcome]], Iterable[Outcome]],
    kind: type[Outcome],
    total: int,
    path: Path | None,
    say: Callable[[Outcome], str],
) -> list[Outcome]:
    """Run a survey: keep each outcome as it comes, and say how far it is and what is left.

    Args:
        survey: yields all outcomes, of which it is given those that are known.
        kind: class of the outcomes.
        total: how many there will be.
        path: file for them; those in it are known.
        say: what to print of one.

    Raises:
        ConfigError: the file is another one, or cannot be written.
    """
    known = load_outcomes(path, kind) if path else []
    if path:
        cli.check_writable(path.absolute().parent, '--out')
        # a run that was killed may have left half a line
        cli.write_atomically(path, ''.join(map(_line, known)))
    start, outcomes, fresh = monotonic(), [], 0
    for outcome in survey(known):
        outcomes.append(outcome)
        if outcome in known:
            continue
        fresh += 1
        if path:
            with path.open('a') as file:
                file.write(_line(outcome))
        left = (monotonic() - start) / fresh * (total - len(outcomes))
        print(
            f'{len(outcomes)}/{total}, {left / 60:.0f} min left: {say(outcome)}', file=sys.stderr
        )
    return outcomes


def _line(outcome: Any) -> str:
    return json.dumps(asdict(outcome)) + '\n'


def short(reason: str) -> str:
    """A reason on one line of a table."""
    reason = reason.replace('\n', ' ')
    return reason if len(reason) < 200 else reason[:197] + '...'

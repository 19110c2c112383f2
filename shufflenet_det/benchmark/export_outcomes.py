"""How far configs of a survey of exports came, and tables that count them."""
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shufflenet_runtime.engines import FORMATS

from ..common.tables import Column, Table
from ..swap.outcomes import short

AGREES = 'agrees'


@dataclass(frozen=True)
class Outcome:
    """How far one config came.

    Attributes:
        config: path below MMDetection's ``configs``.
        family: type of the model, and of its head.
        backbone: name of the backbone that was put in.
        step: ``'no model'`` (a fragment of a config), ``'refused'`` (by the exchange or by the
            export), ``'not built'``, or ``'compared'``.
        reason: why it came no further.
        engines: by engine ``'agrees'``, or why it does not.
        like: the config whose exported form is the same, and was compared in the place of this one.
        seconds: what it took.
    """

    config: str
    family: str
    backbone: str
    step: str
    reason: str = ''
    engines: Mapping[str, str] = field(default_factory=dict)
    like: str = ''
    seconds: float = 0.0


def summary(outcomes: Sequence[Outcome], formats: Sequence[str]) -> list[Table]:
    """Counts by family of detectors, and what is refused or differs, with the reasons."""
    engines = [FORMATS[name].name for name in formats]
    families: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.step in ('compared', 'not built'):
            families.setdefault(outcome.family, []).append(outcome)
    rows = [
        _counts(family, group, engines)
        for family, group in sorted(families.items(), key=lambda f: (-len(f[1]), f[0]))
    ]
    every = [outcome for group in families.values() for outcome in group]
    columns = (
        Column('family', 'detector and head'),
        Column('configs', 'configs', 'd'),
        Column('forms', 'exported forms', 'd'),
        *(Column(engine, f'agree in {engine}', 'd') for engine in engines),
    )
    tables = [Table('Exported and compared', columns, [*rows, _counts('all', every, engines)])]
    refused = Counter((o.family, short(o.reason)) for o in outcomes if o.step == 'refused')
    failed: Counter = Counter()
    for outcome in every:
        reasons = outcome.engines.items() if outcome.engines else [('', outcome.reason)]
        for engine, reason in reasons:
            if reason != AGREES:
                failed[f'{outcome.family} {engine}'.strip(), short(reason)] += 1
    reasons = {'Refused': refused, 'Without agreement': failed}
    return tables + [_reasons(title, counts) for title, counts in reasons.items() if counts]


def _counts(family: str, outcomes: Sequence[Outcome], engines: Sequence[str]) -> dict[str, Any]:
    return dict(
        family=family,
        configs=len(outcomes),
        forms=sum(not o.like for o in outcomes),
        **{e: sum(o.engines.get(e) == AGREES for o in outcomes) for e in engines},
    )


def _reasons(title: str, counts: Counter) -> Table:
    columns = (Column('family', 'detector'), Column('configs', 'configs', 'd'),
               Column('reason', 'reason'))  # fmt: skip
    rows = [
        dict(family=family, configs=number, reason=reason)
        for (family, reason), number in sorted(counts.items(), key=lambda r: (-r[1], r[0]))
    ]
    return Table(title, columns, rows)

"""What the experiments of :mod:`.claims` found: tables, a file and pictures, from records."""
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev

from ..common.cli import write_atomically
from ..common.errors import DataError
from ..common.tables import Column, Table, markdown_table
from .claims import CLAIMS, NETWORKS, compared, paper_error
from .claims_pictures import plot_curves, plot_errors
from .records import Record, require_one_recipe

TABLES, JSON, ERRORS, CURVES = FILES = (
    'claims-tables.md',
    'claims.json',
    'claims.png',
    'claims-curves.png',
)
_NETWORK_COLUMNS = (
    Column('network', 'network'),
    Column('paper', "paper's error, ImageNet", '.1f'),
    Column('training', 'top-1 error in training'),
    Column('training_seeds', 'by seed'),
    Column('learned', 'without crops', '.1f'),
    Column('error', 'top-1 error, validation'),
    Column('seeds', 'by seed'),
    Column('top5', 'top-5 error', '.1f'),
)
_CLAIM_COLUMNS = (
    Column('about', 'claim'),
    Column('better', 'better'),
    Column('worse', 'worse'),
    Column('paper', "paper's gain", '+.1f'),
    Column('training', 'gain in training'),
    Column('validation', 'gain on validation images'),
)


def by_network(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each network by seed, in the order of ``NETWORKS``.

    Raises:
        DataError: a record is of a network that is in no claim.
    """
    for record in records:
        if record.network not in NETWORKS:
            raise DataError(f'{record.source}: {record.network} is in none of the comparisons.')
    found = {
        name: sorted((r for r in records if r.network == name), key=lambda r: r.seed)
        for name in NETWORKS
    }
    return {name: runs for name, runs in found.items() if runs}


def errors_of(records: Sequence[Record], which: str = 'top1_error') -> dict[str, list[float]]:
    """Errors in percent over the seeds, by network.

    Args:
        records: of the networks.
        which: of the errors of a record.

    Raises:
        DataError: networks of one comparison were trained differently.
    """
    runs = by_network(records)
    for about in dict.fromkeys(claim.about for claim in CLAIMS):
        names = {n for c in CLAIMS if c.about == about for n in (c.better, c.worse)}
        require_one_recipe([r for name in NETWORKS if name in names for r in runs.get(name, ())],
                           about)
    return {name: [getattr(run, which) for run in of_name] for name, of_name in runs.items()}


def networks_table(records: Sequence[Record]) -> str:
    """Errors in percent by network, as Markdown: mean, standard deviation and each seed's."""
    rows = []
    for name, runs in by_network(records).items():
        error, seeds = _over_seeds([run.top1_error for run in runs])
        training, training_seeds = _over_seeds([run.last_train_error for run in runs])
        learned = [run.train_top1_error for run in runs if run.train_top1_error is not None]
        rows.append(
            dict(
                network=name,
                paper=paper_error(name),
                training=training,
                training_seeds=training_seeds,
                learned=mean(learned) if learned else None,
                error=error,
                seeds=seeds,
                top5=mean(run.top5_error for run in runs),
            )
        )
    return markdown_table(Table('', _NETWORK_COLUMNS, rows))


def _over_seeds(errors: Sequence[float]) -> tuple[str, str]:
    """Mean with standard deviation, and all values."""
    spread = f' ± {stdev(errors):.1f}' if len(errors) > 1 else ''
    return f'{mean(errors):.1f}{spread}', ', '.join(f'{error:.1f}' for error in errors)


def claims_table(records: Sequence[Record]) -> str:
    """Claims, the paper's gain, ours in training and on new images, and what is seen, as Markdown.
    """
    in_training = compared(errors_of(records, 'last_train_error'))
    on_others = compared(errors_of(records))
    if not on_others:
        return 'No claim has both of its networks yet.'
    rows = [
        {key: found[key] for key in ('about', 'better', 'worse', 'paper')}
        | dict(training=_gain(training), validation=_gain(found))
        for training, found in zip(in_training, on_others, strict=True)
    ]
    return markdown_table(Table('', _CLAIM_COLUMNS, rows))


def _gain(found: dict) -> str:
    """A gain in words: by how much, and whether that counts."""
    p_value = '' if found['p_value'] is None else f' (p = {found["p_value"]:.2g})'
    return f'{found["difference"]:+.1f}, {found["verdict"]}{p_value}'


def recipe_text(records: Sequence[Record]) -> str:
    """How many runs there are, on what and how they were trained."""
    recipes = dict.fromkeys(
        f'{r.data}, {", ".join(f"{k} {v:g}" for k, v in r.recipe.items())}; {r.device}, '
        f'{r.precision}, torch {r.versions.get("torch", "?")}'
        for r in records
    )
    hours = sum(r.seconds for r in records) / 3600
    return f'{len(records)} runs, {hours:.1f} hours in all: {" / ".join(recipes)}'


def tables_text(records: Sequence[Record]) -> str:
    """All that is said in words."""
    parts = [
        recipe_text(records),
        networks_table(records),
        claims_table(records),
    ]
    return '\n\n'.join(parts) + '\n'


def write_report(records: Sequence[Record], folder: Path) -> None:
    """Write the ``FILES`` into a folder: tables, figures, and the pictures of errors and curves.

    Raises:
        DataError: what is to be compared was trained differently; nothing is written.
    """
    errors, in_training = errors_of(records), errors_of(records, 'last_train_error')
    write_atomically(folder / TABLES, tables_text(records))
    content = dict(
        errors=errors,
        errors_in_training=in_training,
        claims=compared(errors),
        claims_in_training=compared(in_training),
        runs=[{k: v for k, v in asdict(r).items() if k not in ('curves', 'source')}
              for r in records],
    )
    write_atomically(folder / JSON, json.dumps(content, indent=2) + '\n')
    plot_errors({'top-1 error in training, percent': in_training,
                 'top-1 error on validation images, percent': errors}, folder / ERRORS)
    plot_curves(by_network(records), folder / CURVES)

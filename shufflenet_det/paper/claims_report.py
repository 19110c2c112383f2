"""What the experiments of :mod:`.claims` found: tables, a file and a picture."""
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from ..common.cli import write_atomically
from .claims import CLAIMS, NETWORKS, verdict

Errors = Mapping[str, Sequence[float]]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return '\n'.join(f'| {" | ".join(row)} |' for row in (header, ['---'] * len(header), *rows))


def networks_table(errors: Errors) -> str:
    """Mean, standard deviation and single top-1 errors in percent by network, as Markdown."""
    rows = [
        (
            name,
            f'{mean(errors[name]):.1f}',
            f'{stdev(errors[name]):.1f}' if len(errors[name]) > 1 else '',
            ', '.join(f'{e:.1f}' for e in errors[name]),
        )
        for name in NETWORKS
        if name in errors
    ]
    return _table(('network', 'mean error', 'standard deviation', 'by seed'), rows)


def compared(errors: Errors) -> list[dict]:
    """Every claim of which both networks have two results or more, with its verdict."""
    found = []
    for claim in CLAIMS:
        better, worse = errors.get(claim.better, ()), errors.get(claim.worse, ())
        if min(len(better), len(worse)) < 2:
            continue
        difference, p_value, word = verdict(better, worse)
        found.append(
            dict(
                about=claim.about,
                better=claim.better,
                worse=claim.worse,
                paper=claim.paper and round(claim.paper[1] - claim.paper[0], 1),
                difference=difference,
                p_value=p_value,
                verdict=word,
            )
        )
    return found


def claims_table(errors: Errors) -> str:
    """Claims, the paper's difference, ours, and what is seen, as Markdown."""
    rows = [
        (
            c['about'],
            c['better'],
            c['worse'],
            '' if c['paper'] is None else f'{c["paper"]:+.1f}',
            f'{c["difference"]:+.1f}',
            f'{c["p_value"]:.3f}',
            c['verdict'],
        )
        for c in compared(errors)
    ]
    header = ('claim', 'better', 'worse', "paper's gain", 'our gain', 'p', 'here')
    return _table(header, rows)


def write_report(errors: Errors, folder: Path) -> None:
    """Write ``claims.md`` (tables), ``claims.json`` and ``claims.png`` into a folder."""
    text = f'{networks_table(errors)}\n\n{claims_table(errors)}\n'
    write_atomically(folder / 'claims.md', text)
    content = dict(errors={name: list(e) for name, e in errors.items()}, claims=compared(errors))
    write_atomically(folder / 'claims.json', json.dumps(content, indent=2) + '\n')
    plot(errors, folder / 'claims.png')


def plot(errors: Errors, path: Path) -> None:
    """Top-1 errors of every network: a mark for each seed, a bar for the mean."""
    from matplotlib.figure import Figure

    names = [name for name in NETWORKS if name in errors]
    figure = Figure(figsize=(8, 0.34 * len(names) + 1.2), layout='constrained')
    axes = figure.add_subplot()
    for row, name in enumerate(reversed(names)):
        ours = name.startswith('shufflenet') and not name.endswith('noshuffle')
        axes.barh(row, mean(errors[name]), color='#0072b2' if ours else '#c9c9c9', height=0.7)
        axes.plot(errors[name], [row] * len(errors[name]), 'o', color='black', markersize=3)
    axes.set_yticks(range(len(names)), reversed(names))
    axes.set_xlabel('top-1 error on the classification sample, percent (dots: seeds, bars: means)')
    axes.grid(axis='x', color='#eeeeee')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=110)

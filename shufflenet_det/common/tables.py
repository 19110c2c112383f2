"""Tables as text, Markdown and JSON."""
import json
from collections.abc import Sequence
from dataclasses import dataclass

from terminaltables import AsciiTable, GithubFlavoredMarkdownTable


@dataclass(frozen=True)
class Column:
    """How a figure is shown.

    Attributes:
        key: of the figure in a row.
        heading: of the column, with the unit.
        style: format specification of a number; empty for text.
        unit: behind each number.
        scale: factor from the figure to what is shown.
        always: shown even where no row has the figure.
    """

    key: str
    heading: str
    style: str = ''
    unit: str = ''
    scale: float = 1
    always: bool = False

    def show(self, row: dict) -> str:
        value = row.get(self.key)
        if value is None:
            return ''
        shown = value * self.scale if self.scale != 1 else value
        return f'{shown:{self.style}}{self.unit}'


@dataclass(frozen=True)
class Table:
    """A table with exact figures in its rows, rounded only when it is shown.

    Attributes:
        title: what it is.
        columns: what is shown; a column without any figure is left out, unless it is ``always``.
        rows: figures by key. ``note`` becomes a numbered note on the row's first cell.
    """

    title: str
    columns: tuple[Column, ...]
    rows: list[dict]

    def notes(self) -> list[str]:
        """The different notes, in order."""
        return list(dict.fromkeys(row['note'] for row in self.rows if row.get('note')))

    def shown(self) -> list[Column]:
        """The columns with at least one figure, and those shown always."""
        return [
            column
            for column in self.columns
            if column.always or any(row.get(column.key) is not None for row in self.rows)
        ]

    def cells(self) -> list[list[str]]:
        """Heading and rows as text."""
        cells = [[column.heading for column in self.shown()]]
        for row in self.rows:
            cells.append([column.show(row) for column in self.shown()])
            if row.get('note'):
                cells[-1][0] += f' [{self.notes().index(row["note"]) + 1}]'
        return cells


def as_text(tables: Sequence[Table]) -> str:
    """For a terminal."""
    return '\n\n'.join(
        '\n'.join([table.title, _aligned(AsciiTable, table), *_numbered(table)]) for table in tables
    )


def as_markdown(tables: Sequence[Table]) -> str:
    """For a document: a heading and a table each, and a list of notes."""
    return '\n\n'.join(
        '\n\n'.join(
            [f'### {table.title}', markdown_table(table)]
            + ['\n'.join(f'- {note}' for note in _numbered(table))] * bool(table.notes())
        )
        for table in tables
    )


def markdown_table(table: Table) -> str:
    """The table alone, without title and notes."""
    return _aligned(GithubFlavoredMarkdownTable, table)


def as_json(tables: Sequence[Table]) -> str:
    """For programs: all figures, also those not shown, without rounding."""
    return json.dumps([dict(title=table.title, rows=table.rows) for table in tables], indent=2)


def _numbered(table: Table) -> list[str]:
    return [f'[{number}] {note}' for number, note in enumerate(table.notes(), start=1)]


def _aligned(kind: type, table: Table) -> str:
    aligned = kind(table.cells())
    numbers = [index for index, column in enumerate(table.shown()) if column.style]
    aligned.justify_columns = dict.fromkeys(numbers, 'right')
    return aligned.table

"""Results as tables that a notebook shows."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

#: A table wider than its page is moved in it, so that the page is not.
_SCROLLED = (
    '<div style="overflow-x: auto"><table><thead><tr>{heading}</tr></thead>'
    "<tbody>{body}</tbody></table></div>"
)


class Html(str):
    """A cell that is HTML already."""


def as_html(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    notes: Iterable[str] = (),
    align: str = "right",
) -> str:
    """A table with a title above it and notes below.

    Args:
        title: in bold, above.
        headings: of the columns; without any there is no table.
        rows: the cells, which are escaped unless they are `Html`.
        notes: below, each in a line.
        align: of the cells, as CSS has it; numbers stand to the right.
    """
    style = f"text-align: {align}; padding: 0.2em 0.6em; white-space: pre"
    heading = "".join(f'<th style="{style}">{_escaped(text)}</th>' for text in headings)
    body = "".join(
        "<tr>" + "".join(f'<td style="{style}">{_escaped(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    parts = [
        f"<strong>{_escaped(title)}</strong>" if title else "",
        _SCROLLED.format(heading=heading, body=body) if heading else "",
        *(f"<div>{_escaped(note)}</div>" for note in notes),
    ]
    return "\n".join(part for part in parts if part)


def _escaped(text: str) -> str:
    return text if isinstance(text, Html) else html.escape(text)

"""Tables for spreadsheets. Pure Python."""

from __future__ import annotations

from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\n")


def safe_cell(value: Any) -> Any:
    """A cell of a CSV file that no spreadsheet takes for a formula.

    Names of files and classes come from anybody, and a spreadsheet works out a text that begins with =, +, -
    or @. Such a text gets an apostrophe in front, as OWASP's page on CSV injection recommends; numbers and
    all other texts stay as they are.
    """
    if not isinstance(value, str):
        return value
    # Python's csv leaves a lone \r without quotes: it would end the row
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(FORMULA) else text

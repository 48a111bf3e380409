"""What stands in the project's documents, where a test holds it true."""

import re


def section(text: str, heading: str) -> str:
    """From a heading to the next one of its level or above."""
    level = re.match("#+", heading)[0]
    return re.split(rf"\n#{{1,{len(level)}}} ", text.split(f"\n{heading}\n")[1])[0]


def rows(text: str) -> list[list[str]]:
    """The rows of all tables, without heads."""
    tables = re.findall(r"\|[^\n]*\|\n\|[-| ]+\|\n((?:\|[^\n]*\|\n?)+)", text)
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for table in tables for line in table.strip().splitlines()]

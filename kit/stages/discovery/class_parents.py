"""Finds the parents of classes in columns with the names of taxonomic ranks, such as genus and family."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kit.stages.discovery.file_scan import TableFile

# the nearest to a species first
RANKS = (
    "genus",
    "tribe",
    "subfamily",
    "family",
    "superfamily",
    "suborder",
    "order",
    "class",
    "phylum",
    "kingdom",
)


def find_parents(sheet: TableFile, label: str, taken: Collection[str]) -> tuple[tuple[str, ...], str]:
    """Returns the columns with the parents of each class, and a finding; empty if they are not a tree.

    `label` is the column with the class.
    """
    columns_by_name = {column.strip().casefold(): column for column in sheet.columns if column not in taken}
    labels = sheet.file.column(label)
    chosen: list[str] = []
    nodes: Sequence[str] = labels
    for rank in RANKS:
        if rank not in columns_by_name or columns_by_name[rank] == label:
            continue
        parents = sheet.file.column(columns_by_name[rank])
        if not 1 < len(set(parents)) < len(set(nodes)) or not all(map(str.strip, parents)):
            continue
        if len(set(zip(nodes, parents, strict=True))) > len(set(nodes)):
            continue  # some class or parent has two of them
        chosen.append(columns_by_name[rank])
        nodes = parents
    if not chosen:
        return (), ""
    return tuple(chosen), f"parents of the classes: {', '.join(chosen)}, for loss=levels and metric=level"

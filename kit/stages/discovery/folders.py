"""Finds the data section for folders of images: one folder per class, or labels in file names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kit.data.label_columns import LABEL
from kit.errors import ConfigError
from kit.stages.discovery import choosing, name_matching, reading, roles, trees
from kit.stages.discovery.discovery import Discovery, check_headers, count_rows, explain_no_match
from kit.stages.discovery.file_scan import Scan
from kit.stages.discovery.names_with_labels import NamedLabels, find_named_labels
from kit.stages.discovery.near_misses import near_misses


def discover_without_table(
    seen: Scan, root: Path, options: Mapping[str, str], val: trees.ValUse, may_be_root: bool
) -> Discovery:
    """Returns the labelled rows of folders, or else of file names."""
    try:
        folder, named_labels = trees.class_folder(seen, root, may_be_root), None
    except ConfigError:
        named_labels = find_named_labels(seen, None, None)
        if named_labels is None:
            raise
        folder = named_labels.folder
    return discover_folders(seen, root, folder, options, val, named_labels)


def discover_folders(
    seen: Scan,
    root: Path,
    folder: str,
    init_options: Mapping[str, str],
    val: trees.ValUse,
    named_labels: NamedLabels | None = None,
) -> Discovery:
    """Returns the data section of folders of images, each a class, or with labels in their names."""
    folder = folder.rstrip("/")
    to_predict = set() if folder else trees.test_folders(seen)
    others = {
        subfolder: names
        for subfolder, names in seen.folders.items()
        if not trees.is_within(subfolder, folder) or subfolder.partition("/")[0] in to_predict
    }
    inside = replace(seen, folders=others)
    pool = {}
    for sheet in seen.sheets:
        if column_matches := inside.matches(sheet):
            pool[sheet] = name_matching.choose_naming(column_matches, roles.TEST, roles.TRAIN)
    sample = choosing.sample_table(seen, pool, None, init_options)
    if sample:
        check_headers(
            [sample], {sample.name: choosing.explain_missing_header(seen, sample, inside.matches(sample))}
        )
    test = None
    if "test" in init_options and not (root / init_options["test"]).is_dir():
        test = choosing.find_table(seen, init_options["test"], "--test")
    elif "test" not in init_options and sample not in pool:
        test = choosing.choose_test_table(pool, sample)
    data: dict[str, Any] = {"sample": sample.name if sample else None}
    findings = []
    if test and test in pool:
        data |= {"test": test.name, "test_images": name_matching.pattern(pool[test], test.columns[0], test)}
        data["id"] = test.columns[0]
        findings.append(count_rows(test, f"rows to predict, images: {data['test_images']}"))
    elif sample and sample in pool:
        data["test_images"] = name_matching.pattern(pool[sample], sample.columns[0], sample)
        findings.append(count_rows(sample, f"rows to predict, images: {data['test_images']}"))
    elif sample and "test_images" not in init_options:
        text = "rows to predict; their images were not found: kit init --test-images PATTERN"
        findings += [count_rows(sample, text), *explain_no_match(inside, sample)]
    if sample is None:
        findings.append("no sample submission found: kit init --sample FILE where there is one")
    tree = trees.find_trees(seen, root, folder, {**data, **init_options}, sample is not None, val)
    used = [sheet for sheet in (sample, test) if sheet]
    options, unlike = choosing.csv_options(used) if used else ({}, [])
    given: dict[str, Any] = {key: value for key, value in init_options.items() if key not in ("join", "on")}
    if "join" in init_options:
        join_table = choosing.find_table(seen, init_options["join"], "--join")
        on, _, key = init_options.get("on", "id").partition("=")
        given["join"] = [{"table": join_table.name, "on": on, **({"key": key} if key else {})}]
        used.append(join_table)
    data = {**tree.data, **data, **options, **given}
    findings = [*tree.findings, *findings, *unlike]
    if named_labels is not None:
        data |= {"label": init_options.get("label", LABEL), "label_from": {"regex": named_labels.regex}}
        findings[0] = named_labels.finding
    aside = [sheet for sheet in seen.sheets if sheet not in used]
    if aside:
        findings.append(f"left aside: {', '.join(sheet.name for sheet in aside)}")
        findings += [f"{miss.case}; {miss.mended}" for miss in near_misses(seen, aside)]
    findings += [f"not read: {line}" for line in seen.unreadable]
    rows = seen.files_below(folder) - sum(map(seen.files_below, to_predict))
    more = [seen.files_below(data[key]) for key in ("val", "test") if data.get(key)]
    images = rows + sum(more) + (len(sample.file) if sample else 0)
    how = reading.read_folders(root, seen.folders, str(data["train"]))
    all_findings = (*findings, *how.findings)
    return Discovery({**data, **how.data}, all_findings, tree.splitter, rows, images, how.config, how.sizes)

"""Names: a function is a verb and not a participle, and a class name means one thing in the whole package."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORDS = """
    added agreed aligned answered answering appended asked asking augmented averaged begun blended broken
    brought built calibrated called changed checked checking choosing chosen cleaned climbed clipped
    closed closing coded compared confused connected converted cooked counted covered damaged dealt
    decided decoded defined derived described differing doing doubling drawing drawn embedding ended
    enlarged evened exchanged expanded explained failed fanning feeding felt filled filling finalising
    finding finished fitted fitting fixed floating focused folded forgotten found frozen fused gained
    gathered gathering given gone grouping grown heard held hidden hurting joined judged judging kept
    known labelled labelling laid learning led left linked listed listing lit loaded loading located
    locked looked looking lost made making mapped meant measured measuring mended merged misplaced missing
    mixed moved named naming nested opened ordered overridden packed padded paid paired parked parsed
    parted passed passing pictured pinned placed pooled powered predicted predicting preferred preparing
    quarantined quoted ranked reached reading rehearsing removed renamed rendered repeated resized
    resolved respecified restored restoring retrieving reweighted said saved scaled scattered scored
    scoring searched seeded seen sent sharding shared sharing shifted showing shown signed sized sizing
    sold sorted souping spared spelled spent stacked standing started starting stolen stopped stored
    stratified submitting suggested summed suspected sweeping sworn taken talking tasted taught teaching
    thought threaded thrown tidied timed told torn tracked trained training tried trimmed truncated trying
    turned unclaimed undeclared understood unexpected unneeded unused unvaried updating validated varied
    viewed waiting wanted watched watching weighed weighted won worked working worn wound written
"""
PARTICIPLES = frozenset(WORDS.split())
# nouns of the field, and terms that end in a noun
NOUNS = frozenset({"training", "embedding", "finding"})
TERMS = frozenset({"connected_components"})  # scipy's name
PROPERTIES = {"property", "cached_property", "setter"}


# locals, parameters and fields: a noun or a verb tells more
VAGUE = frozenset({"found", "made", "told", "judged", "asked", "office", "room"})
STORED = {  # keys of files that kit wrote before
    "LabellingRecord.told",
    "CheckpointProvenance.asked",
}


def definitions(tree: ast.AST, kinds: tuple[type[ast.AST], ...]) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def modules(*folders: str, pattern: str = "") -> Iterator[tuple[str, ast.Module]]:
    """Path and tree of each module with a match of the pattern; parsing takes longer than a search."""
    for folder in folders or ("kit",):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            if re.search(pattern, text):
                yield str(path.relative_to(ROOT)), ast.parse(text)


def is_property(node: ast.FunctionDef) -> bool:
    names = [ast.unparse(each).split("(")[0].rpartition(".")[2] for each in node.decorator_list]
    return any(name in PROPERTIES for name in names)


def is_participle(name: str) -> bool:
    first, _, rest = name.partition("_")
    if name.endswith("__") or name in TERMS or (first in NOUNS and rest):
        return False
    return first in PARTICIPLES


def test_no_function_is_named_by_a_participle() -> None:
    faults = [
        f"{path}: {node.name}"
        for path, tree in modules()
        for node in definitions(tree, (ast.FunctionDef, ast.AsyncFunctionDef))
        if isinstance(node, ast.FunctionDef)
        and not is_property(node)
        and is_participle(node.name.lstrip("_"))
    ]
    assert faults == [], "a function is a verb that says what it does (STYLE.md)"


def test_the_rule_knows_participles_from_verbs_and_nouns() -> None:
    assert all(map(is_participle, ("told", "kept_apart", "training")))
    assert not any(
        map(is_participle, ("read_table", "training_rows", "with_scores", "fit", "connected_components"))
    )


def vague_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each vague local, parameter, field and function, such as a fixture."""
    stored = {
        id(line.target)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and f"{node.name}.{ast.unparse(line.target)}" in STORED
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg in VAGUE:
            yield node.lineno, node.arg
        if isinstance(node, ast.FunctionDef | ast.ExceptHandler) and node.name in VAGUE:
            yield node.lineno, node.name
        is_bound = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in stored
        if is_bound and isinstance(node, ast.Name) and node.id in VAGUE:
            yield node.lineno, node.id


def test_locals_parameters_and_fields_are_named_by_what_they_hold() -> None:
    words = rf"\b({'|'.join(VAGUE)})\b"
    trees = modules("kit", "plugins", "tools", "tests", "benchmarks", pattern=words)
    faults = [f"{path}:{line}: {name}" for path, tree in trees for line, name in vague_names(tree)]
    assert faults == [], "a local carries meaning (STYLE.md)"


def test_a_vague_name_is_noticed() -> None:
    code = "def f(asked, rows):\n    found = [made for made in rows]\n    return found\n\nclass Run:\n    told: int\n"
    assert sorted(name for _, name in vague_names(ast.parse(code))) == ["asked", "found", "made", "told"]
    fixture = "def told(): ...\n\ntry: ...\nexcept OSError as found: ...\n"
    assert [name for _, name in vague_names(ast.parse(fixture))] == ["told", "found"]
    assert not list(vague_names(ast.parse("class LabellingRecord:\n    told: int\n")))


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in modules():
        for node in definitions(tree, (ast.ClassDef,)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}

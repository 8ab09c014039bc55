"""Provenance: the JSON of prediction files is what earlier versions of kit wrote, and damaged values are named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kit.data.predictions import Provenance
from kit.errors import CheckpointError, InvalidError
from kit.model.checkpoints import CheckpointProvenance

# as kit wrote them before provenance was a class
FOLD = {"run": "a", "fold": 0, "rows": "oof", "checkpoints": {"0": "0002:ab"}}
POOLED: dict[str, Any] = {
    "run": "a",
    "views": "hflip-greedy",
    "merge": "mean",
    "classes": ["cat", "dog"],
    "plugins": {"views/hflip": "12"},
    "spec": {"name": "hflip"},
    "checkpoints": {"0": "0002:ab", "1": "0002:cd"},
    "rows": "oof",
    "folds": "34",
    "images": "56",
    "policy": {
        "views": {"name": "hflip"},
        "names": ["plain", "hflip-1"],
        "recipe": {"name": "greedy", "weights": [1, 1]},
        "members": ["a@plain", "a@hflip-1"],
    },
    "scores": {},
    "fold_scores": {"0": {"accuracy": 0.5}, "1": {}},
}
RETRIEVED = {
    **{key: POOLED[key] for key in ("run", "merge", "classes", "plugins", "checkpoints")},
    "views": "plain-vote",
    "retrieval": {"embeddings": "plain", "scorer": {"name": "vote"}, "rerankers": [{"name": "pairs"}]},
    "rows": "test",
    "ids": "78",
    "images": "56",
}
LABELLED = {
    "round": 1,
    "teachers": ["a@plain"],
    "checkpoints": {"a@plain": {"0": "0002:ab"}},
    "ensembler": {"name": "mean"},
    "rule": {"threshold": 0.9},
    "labels": "soft",
    "told": ["test"],
    "folds": "34",
    "folds_taught": [0, 1],
    "test": "9a",
}
FILES = {"fold": FOLD, "pooled": POOLED, "retrieved": RETRIEVED, "labelled": LABELLED, "empty": {}}


@pytest.mark.parametrize("content", FILES.values(), ids=list(FILES))
def test_what_earlier_versions_wrote_is_read_and_written_alike(content: dict[str, Any]) -> None:
    provenance = Provenance.from_json(json.loads(json.dumps(content)))
    assert provenance.to_json() == content
    assert Provenance.from_json(provenance.to_json()) == provenance
    assert provenance.other == {}


def test_values_stand_in_typed_fields() -> None:
    provenance = Provenance.from_json(POOLED)
    assert provenance.classes == ("cat", "dog")
    assert provenance.checkpoint(1) == "0002:cd"
    assert provenance.policy is not None
    assert provenance.policy.names == ("plain", "hflip-1")
    assert provenance.list_fitted_records() == ["policy"]
    assert provenance.require_scores() == {}
    labelled = Provenance.from_json(LABELLED).labelling
    assert labelled is not None
    assert (labelled.round, labelled.folds_taught) == (1, (0, 1))
    assert labelled.checkpoints == {"a@plain": {"0": "0002:ab"}}


def test_keys_of_another_version_are_kept() -> None:
    provenance = Provenance.from_json({**FOLD, "weather": "rain"})
    assert replace(provenance, run="b").to_json() == {**FOLD, "run": "b", "weather": "rain"}


def test_a_key_of_before_the_first_release_is_left_out() -> None:
    assert "average_group" not in Provenance.from_json({**FOLD, "average_group": None}).to_json()


@pytest.mark.parametrize("missing", ["checkpoints", "scores", "fold_scores"])
def test_a_missing_key_that_is_needed_names_the_file(missing: str) -> None:
    less = {key: value for key, value in POOLED.items() if key != missing}
    provenance = Provenance.from_json(less, "runs/a/oof.parquet")
    needed = {
        "checkpoints": lambda: provenance.checkpoint(0),
        "scores": provenance.require_scores,
        "fold_scores": provenance.require_fold_scores,
    }
    with pytest.raises(InvalidError, match=rf"D40 runs/a/oof.parquet[\s\S]*{missing}"):
        needed[missing]()


@pytest.mark.parametrize(
    "damaged",
    [
        {"scores": 7},
        {"checkpoints": ["0002:ab"]},
        {"classes": 3},
        {"views": {"name": "hflip"}},
        {"policy": {"views": "hflip"}},
        {"retrieval": None},
        {"told": ["test"]},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_value_of_another_form_is_an_error_that_names_the_file(damaged: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="D40 oof.parquet is not a predictions file of kit"):
        Provenance.from_json({**FOLD, **damaged}, "oof.parquet")


# ------------------------------------------------------------------------------------------ checkpoints

CHECKPOINT = {
    "run": "a",
    "fold": 0,
    "classes": ["cat", "dog"],
    "class_counts": [3, 4],
    "class_groups": [],
    "class_factors": [["fur", "small"], ["fur", "large"]],
    "total": 7,
    "target": "class_index",
    "config": {"image_size": 16, "backbone": {"name": "small"}},
    "asked": {"precision": "auto"},
    "normalisation": [[0.5, 0.5, 0.5], [0.25, 0.25, 0.25]],
    "folds": "34",
    "versions": {"torch": "2.6.0"},
    "machine": {"host": "node", "device": "cpu"},
}


def lacks(key: str) -> CheckpointError:
    return CheckpointError(f"lacks {key}", code="D51")


@pytest.mark.parametrize(
    "more",
    [{}, {"soup": ["a", "b"]}, {"weather": "rain"}, {"class_levels": [["genus", ["Felis", "Canis"]]]}],
    ids=str,
)
def test_a_checkpoints_json_is_that_of_earlier_versions(more: dict[str, Any]) -> None:
    content = CHECKPOINT | more
    provenance = CheckpointProvenance.from_json(json.loads(json.dumps(content)), lacks)
    assert json.loads(json.dumps(provenance.to_json())) == content
    assert provenance.class_factors == (("fur", "small"), ("fur", "large"))
    assert provenance.require_normalisation() == ((0.5,) * 3, (0.25,) * 3)
    assert provenance.require_fold() == 0


def test_a_checkpoint_of_a_kit_that_recorded_less_is_read() -> None:
    provenance = CheckpointProvenance.from_json({"classes": ["cat"]}, lacks)
    assert provenance == CheckpointProvenance(classes=("cat",))
    for needed in (provenance.require_config, provenance.require_fold, provenance.require_normalisation):
        with pytest.raises(CheckpointError, match="D51 lacks"):
            needed()


@pytest.mark.parametrize("key", ["classes", "config", "fold", "normalisation"])
def test_a_checkpoints_value_of_another_form_is_an_error(key: str) -> None:
    with pytest.raises(CheckpointError, match=f"D51 lacks {key}"):
        CheckpointProvenance.from_json({**CHECKPOINT, key: object()}, lacks)


def test_a_key_that_a_checkpoints_config_lacks_is_an_error() -> None:
    provenance = CheckpointProvenance.from_json(CHECKPOINT, lacks)
    with pytest.raises(CheckpointError, match="D51 lacks epochs"):
        provenance.require_config()["epochs"]

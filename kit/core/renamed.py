"""Names from before the first release and their present names, which messages about an unknown name propose."""

from __future__ import annotations

from collections.abc import Mapping

# by group
COMMANDS: Mapping[str, Mapping[str, str]] = {
    "kit": {"look": "plot", "pseudo": "pseudo-labels", "submit": "submission"},
    "kit board": {"gap": "explain-gap", "pick": "choose-final"},
    "kit submission": {"command": "upload-command"},
}

# by command, without the leading hyphens
COMMAND_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "kit board": {"left": "submissions-left"},
    "kit embed": {"name": "untrained"},
    "kit pairs": {"share": "positive-rate"},
    "kit predict": {"bad-test": "on-unreadable-test"},
    "kit pseudo-labels": {
        "agree": "unanimous",
        "balanced": "class-balanced",
        "top": "top-fraction",
    },
    "kit sweep": {"each": "config-set"},
    "kit train": {"fresh": "restart", "from": "init-from"},
    "kit tta": {"policy": "choose-views", "train": "rows both"},
    "kit watch": {"once": "snapshot"},
}

# by section, the top of config.json first
CONFIG_KEYS: Mapping[str, Mapping[str, str]] = {
    "": {
        "crop_share": "center_crop",
        "layout": "memory_format",
        "pseudo": "pseudo_labels",
        "start_from": "init_from",
    },
    "data": {
        "average_group": "answer",
        "average_predictions_by": "answer",
        "bad_test": "on_unreadable_test",
        "bad_train": "on_unreadable_train",
        "bins": "label_from.bins",
        "class_groups": "superclasses",
        "classes": "class_list",
        "decode": "jpeg_scaling",
        "external_images": "external.images",
        "external_train": "external.train",
        "file_labels": "label_from.files",
        "label_factors": "label_parts",
        "rename": "label_from.rename",
        "score_weight": "weight",
        "source": "external.source_column",
    },
}

# by key
CONFIG_VALUES: Mapping[str, Mapping[str, str]] = {
    "data.external": {"allowed": '{"policy": "allowed"}', "forbidden": '{"policy": "forbidden"}'},
    "data.on_unreadable_test": {"prior": "class_prior"},
    "data.on_unreadable_train": {"drop": "skip"},
    "resize": {"squash": "stretch"},
}

_MOVES = {"flip": "hflip", "turn": "rotate", "shift": "translate"}
_CUTOUT = {"hole": "cutout_size", "cutout": "cutout_prob"}
_AUXILIARY = {"weight": "auxiliary_weight"}
_MIXING = {"until": "stop_after"}

PLUGINS: Mapping[str, Mapping[str, str]] = {
    "ensembler": {
        "cutoffs": "class_thresholds",
        "prior": "prior_correction",
        "thresholds": "class_factors",
    },
    "executor": {"inline": "in_process"},
    "format": {"positive": "binary_probability"},
    "views": {"pick": "subset"},
}

OPTIONS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("augmenter", "copies"): {"count": "variants"},
    ("augmenter", "heavy"): {**_MOVES, **_CUTOUT},
    ("augmenter", "light"): _MOVES,
    ("augmenter", "randaugment"): {"flip": "hflip", "grey": "fill"},
    ("augmenter", "resize"): {"crop_share": "center_crop"},
    ("augmenter", "retail"): {**_MOVES, **_CUTOUT, "compression": "compression_prob", "moved": "affine_prob"},
    ("ensembler", "class_factors"): {"most": "max_factor"},
    ("ensembler", "boosting"): {
        "rate": "learning_rate",
        "leaves": "max_leaves",
        "least": "min_rows_per_leaf",
        "penalty": "l2",
    },
    ("ensembler", "greedy"): {"least": "min_gain"},
    ("ensembler", "hill_climb"): {"share": "bag_fraction"},
    ("ensembler", "stacking"): {"c": "inverse_l2"},
    ("ensembler", "vote"): {"ties": "tie_break_weight"},
    ("loss", "asymmetric"): {"gamma_no": "gamma_neg", "gamma_yes": "gamma_pos", "shift": "clip"},
    ("loss", "contrastive"): _AUXILIARY,
    ("loss", "cutmix"): _MIXING,
    ("loss", "cutmix_or_mixup"): {**_MIXING, "cutmix": "cutmix_prob"},
    ("loss", "distillation"): {"weight": "teacher_weight"},
    ("loss", "group_smoothing"): {"within": "within_group"},
    ("loss", "metric_learning"): {**_AUXILIARY, "of": "loss"},
    ("loss", "mixup"): _MIXING,
    ("reranker", "database_augmentation"): {"top": "neighbours_averaged"},
    ("reranker", "pairs"): {"top": "top_k"},
    ("reranker", "query_expansion"): {"top": "neighbours_averaged"},
    ("sampler", "m_per_class"): {"m": "rows_per_class", "classes": "classes_per_block"},
    ("sampler", "repeat_factor"): {"share": "frequency_threshold"},
    ("scorer", "mixture"): {"share": "neighbour_weight"},
    ("scorer", "unknown"): {"share": "unknown_rate"},
    ("splitter", "holdout"): {"share": "holdout_fraction"},
    ("views", "subset"): {"of": "base", "numbers": "view_indices"},
}

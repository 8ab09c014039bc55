"""Initial weights: loads those of any file into a network by name, or explains why they do not fit."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from kit.device.torch_internals import import_timm
from kit.errors import CheckpointError, KitWarning
from kit.kinds.network import Original
from kit.model.weight_files import WeightFile, common_start
from kit.model.weight_mismatch import Match, explain

State = Mapping[str, Any]
# parts of other networks that do not belong to a backbone: classifiers, and layers for pretraining
HEADS = frozenset(
    (
        "head",
        "heads",
        "fc",
        "_fc",
        "classifier",
        "classifiers",
        "cls",
        "cls_head",
        "last_linear",
        "logits",
        "linear",
        "output",
        "output_layer",
        "out",
        "fc_out",
        "head_dist",
        "arcface",
        "metric_fc",
        "margin",
        "aux",
        "aux_classifier",
        "AuxLogits",
        "proj_head",
        "projection_head",
        "projection",
        "projector",
        "predictor",
        "prediction_head",
        "dino_head",
        "ibot_head",
        "mask_token",
        "decoder",
        "decoder_embed",
        "decoder_pos_embed",
        "decoder_blocks",
        "decoder_norm",
        "decoder_pred",
        "lm_head",
        "pre_logits",
        "queue",
        "queue_ptr",
    )
)
AVERAGES = ("ema", "teacher", "averag")  # of two networks in a file, the averaged one predicts better


def fill(original: Original, file: WeightFile) -> None:
    """Loads the weights of a file into a network.

    A prefix that the file's names share is taken off, such as `module.` or `backbone.`. Weights outside the prefix,
    the classifier, and weights behind the last feature map are left out; `fc_norm` becomes the final norm. A warning
    names what was chosen and left out.
    Raises CheckpointError D53 if names or shapes differ, D54 if a value is not finite.
    """
    network = original.network
    match = best_match(network.state_dict(), file.state, original)
    if match.wrong:
        raise explain(file, match, original)
    check_finite(match.values, str(file.path))
    network.load_state_dict({**network.state_dict(), **match.values})
    notes = list(file.notes)
    if match.prefix:
        notes.append(f"without the prefix {match.prefix}")
    if match.unused:
        notes.append(f"{len(match.unused)} weights not used: {_join(modules(match.unused))}")
    if notes:
        warnings.warn(KitWarning(f"W71 {file.path}: {'; '.join(notes)}"), stacklevel=4)


def best_match(wanted: Mapping[str, Tensor], state: State, original: Original) -> Match:
    """Returns the match with the fewest faults: of the names as they are, without their prefix, or converted."""
    match = _match(wanted, state, original)
    if not match.wrong or original.convert is None:
        return match
    matches = [match]
    for weights in (state, *([bare] if (bare := _without_common_prefix(state)) else [])):
        try:
            converted = original.convert(weights)
        except Exception:  # the filter was written for weights of its family, and these may be any
            continue
        matches.append(_match(wanted, converted, original))
    return min(matches, key=lambda weights: weights.wrong)


def check_finite(values: State, source: str) -> None:
    """Raises CheckpointError D54 for weights that are NaN or infinite, and for a negative variance."""
    wrong = [
        (name, fault)
        for name, value in values.items()
        if torch.is_tensor(value) and value.is_floating_point() and (fault := _value_fault(name, value))
    ]
    if wrong:
        raise CheckpointError(
            f"{source}: {len(wrong)} of {len(values)} weights have values that no network can use",
            code="D54",
            cases=[f"{name}: {fault}" for name, fault in wrong],
            hint="download the file again; a run that broke wrote it: take one of its earlier checkpoints",
        )


def _value_fault(name: str, value: Tensor) -> str:
    if count := int(value.isnan().sum()):
        return f"{count} of {value.numel()} values are NaN"
    if count := int(value.isinf().sum()):
        return f"{count} of {value.numel()} values are infinite"
    if name.endswith("running_var") and (count := int((value < 0).sum())):
        return f"{count} of {value.numel()} variances are negative"
    return ""


def _match(wanted: Mapping[str, Tensor], state: State, original: Original) -> Match:
    prefix = common_prefix(wanted, state)
    inside = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    outside = [name for name, value in state.items() if not name.startswith(prefix) and _is_weight(value)]
    renamed = {_final_norm(name, wanted, inside): value for name, value in inside.items()}
    values = {name: _reshape(renamed[name], value) for name, value in wanted.items() if name in renamed}
    shapes = {name: fault for name, value in values.items() if (fault := _shape_fault(wanted[name], value))}
    missing = [name for name in wanted if name not in values and not _is_optional(name)]
    left = [
        name
        for name, value in renamed.items()
        if name not in wanted and _is_weight(value) and not _is_optional(name)
    ]
    classifiers = tuple(f"{name}." for name in original.classifiers)
    left = [name for name in left if not name.startswith(classifiers)]
    unused = [*outside, *_behind(left, renamed, wanted, original, is_whole=not (missing or shapes))]
    left = [name for name in left if name not in unused]
    left_over = [name for name in unused if not name.startswith(classifiers)]
    return Match(values, prefix, tuple(missing), tuple(left), shapes, tuple(left_over))


def common_prefix(wanted: Collection[str], state: State) -> str:
    """Returns the prefix before the network's own names in a file.

    Averaged weights are preferred to others, then shorter prefixes.
    """
    counts: Counter[str] = Counter()
    for name in state:
        start = 0
        while True:
            if name[start:] in wanted:
                counts[name[:start]] += 1
            start = name.find(".", start) + 1
            if not start:
                break
    if not counts:
        return ""
    most = max(counts.values())
    best = [prefix for prefix, count in counts.items() if count == most]
    return min(best, key=lambda prefix: (not _is_average(prefix), len(prefix)))


def _is_average(prefix: str) -> bool:
    return any(word in prefix.lower() for word in AVERAGES)


def _without_common_prefix(state: State) -> dict[str, Any]:
    """Returns the weights without the first words that all names share; empty if they share none."""
    weights = [name for name, value in state.items() if _is_weight(value)]
    length = common_start(weights)
    if not length:
        return {}
    shared = weights[0][:length]
    return {name.removeprefix(shared): value for name, value in state.items() if name.startswith(shared)}


def _behind(
    left: list[str], state: State, wanted: Collection[str], original: Original, is_whole: bool
) -> list[str]:
    """Returns the weights that a network may leave out: layers of its library after its last map, and any classifier.

    A single linear layer is a classifier if the file has all other weights, so that the network `is_whole`.
    """
    if not left:
        return []
    known = set(original.names())
    tops = {name.partition(".")[0] for name in wanted}
    unused = [
        name
        for name in left
        if name in known or ((top := name.partition(".")[0]) in HEADS and top not in tops)
    ]
    rest = [name for name in left if name not in unused]
    return unused + (rest if is_whole and _is_linear(rest, state) else [])


def _is_linear(names: list[str], state: State) -> bool:
    """Whether these are the weights of one linear layer, which is a classifier if nothing else of the file is left."""
    module = names[0].rpartition(".")[0] if names else ""
    if (
        not module
        or not {*names} <= {f"{module}.weight", f"{module}.bias"}
        or f"{module}.weight" not in names
    ):
        return False
    weight, bias = state[f"{module}.weight"], state.get(f"{module}.bias")
    is_matrix = weight.dim() == 2 or (weight.dim() == 4 and tuple(weight.shape[2:]) == (1, 1))
    return bool(is_matrix and (bias is None or bias.shape == weight.shape[:1]))


def _final_norm(name: str, wanted: Collection[str], state: State) -> str:
    """Maps `fc_norm.weight` to the final norm, for a network that pools before it: here tokens are pooled after it."""
    final = name.removeprefix("fc_")
    return final if name.startswith("fc_norm.") and final in wanted and final not in state else name


def _reshape(weight: Any, wanted: Tensor) -> Any:
    """Reshapes a matrix to a 1 x 1 convolution, or the reverse, if a network without pooling has the other one.

    The kernels of three colours are adapted to other channels as in timm, which repeats and scales them.
    """
    if (
        torch.is_tensor(weight)
        and weight.dim() == wanted.dim() == 4
        and _is_of_other_channels(weight, wanted)
    ):
        adapted: Tensor = import_timm().models.adapt_input_conv(wanted.shape[1], weight)
        return adapted
    if torch.is_tensor(weight) and sorted((weight.dim(), wanted.dim())) == [2, 4]:
        shapes = (*weight.shape, 1, 1)[:4], (*wanted.shape, 1, 1)[:4]
        return weight.reshape(wanted.shape) if shapes[0] == shapes[1] else weight
    return weight


def _is_of_other_channels(weight: Tensor, wanted: Tensor) -> bool:
    others = (weight.shape[0], *weight.shape[2:]) == (wanted.shape[0], *wanted.shape[2:])
    return others and weight.shape[1] == 3 != wanted.shape[1]


def _shape_fault(wanted: Tensor, weight: Any) -> str:
    if not torch.is_tensor(weight):
        return f"is no tensor but {type(weight).__name__}"
    if weight.shape == wanted.shape:
        return ""
    return f"has the shape {tuple(weight.shape)}, the network {tuple(wanted.shape)}"


def _is_weight(value: Any) -> bool:
    """Whether a value is a weight, not a counter or an option."""
    return bool(torch.is_tensor(value) and value.dim() > 0)


def _is_optional(name: str) -> bool:
    """Whether a weight is optional: torch wrote no counters before 0.4.1, and predictions do not use them."""
    return name.rpartition(".")[2] == "num_batches_tracked"


def modules(names: Iterable[str]) -> list[str]:
    """Returns the outermost modules of weights, in order."""
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def _join(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

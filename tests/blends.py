"""Blends that are submitted: the stage `blend` may also return scores or a submission without a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.stages.blending.blend import Submitted, blend


def submit_blend(
    workspace: Workspace | StrPath,
    members: StrPath | Sequence[StrPath],
    ensembler: str | Mapping[str, Any] | None = None,
    name: str | None = None,
    top_k: int | None = None,
) -> Submitted:
    """The blend of members, of which a submission with a score was written."""
    submission = blend(workspace, members, ensembler, name, top_k)
    assert isinstance(submission, Submitted)
    return submission

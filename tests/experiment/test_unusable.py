"""The settings that errors of unusable images name."""

from __future__ import annotations

import pytest

from kit.errors import Case
from kit.experiment.unusable import repair_hint, suggest_settings


@pytest.mark.parametrize(
    ("code", "details", "settings"),
    [
        ("D15", ["has 4 channels, not 3 (channels=4)"], "channels=4"),
        ("D15", ["has 4 channels, not 3 (channels=4)", "has 2 channels, not 3 (channels=2)"], "channels"),
        ("D12", ["float32 values from 0 to 1 (data.reader.range=[0,1])"], "data.reader.range=[0,1]"),
        ("D10", ["claims 3.6 Gpx, more than the limit 100 Mpx (data.max_pixels)"], "data.max_pixels"),
        (
            "D11",
            ["16-bit PNG (values up to 1023: data.bit_depth=16 data.max_value=1023)"],
            "data.bit_depth=16 data.max_value=1023",
        ),
        (
            "D12",
            ["float TIFF (data.bit_depth=32, and data.max_value if white is not 1)"],
            "data.bit_depth=32 data.max_value",
        ),
        ("D12", ["multi-page TIFF (3 pages; data.page=0 uses the first)"], "data.page=0"),
        ("D12", ["5 of 9 values are infinite"], ""),
        ("D05", ["corrupt PNG (channels=4)"], ""),
    ],
)
def test_the_setting_that_reads_the_images_is_named(code: str, details: list[str], settings: str) -> None:
    cases = [Case(detail, code=code) for detail in details]
    assert suggest_settings(cases, len(cases)) == settings
    damaged = "repair them, or set KEY to continue without them"
    wanted = f"set {settings} if the images are right; otherwise {damaged}" if settings else damaged
    assert repair_hint(cases, len(cases), "KEY") == wanted


def test_a_few_images_of_other_channels_or_of_other_faults_are_damaged() -> None:
    channels = Case("has 4 channels, not 3 (channels=4)", code="D15")
    assert suggest_settings([channels], 2) == ""
    assert suggest_settings([channels, Case("x (data.page=0)", code="D12")], 2) == ""

"""Shift: compares the images of the test set with those of the training set, by measures of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kit.core.pixel_types import to_bytes
from kit.core.progress import Progress, Work
from kit.errors import Case, DataError
from kit.images.cache import Cache
from kit.images.channels import to_rgb
from kit.images.containers import measure
from kit.stages.checks.finding import Finding

MIN_KS_DISTANCE = 0.15  # minimum Kolmogorov-Smirnov distance of a finding
MAX_P_VALUE = 1e-4  # and maximum p-value
MAX_ASPECT_RATIO = 4.0  # ratio of length to width


@dataclass(frozen=True, eq=False)
class Measures:
    """Measures of each image: width, height, longer side by shorter, bytes, brightness, contrast, colour, and
    its format.
    """

    numbers: Mapping[str, np.ndarray]  # (rows,) float, NaN without an image
    formats: np.ndarray  # (rows,) of str

    def take(self, rows: slice | np.ndarray) -> Measures:
        """Returns the measures of some rows."""
        return Measures({name: values[rows] for name, values in self.numbers.items()}, self.formats[rows])


def measure_images(cache: Cache) -> Work[Measures]:
    """Measures every image: its size and format from the file's header, its light from the cache's pixels."""
    names = ("width", "height", "aspect", "bytes", "brightness", "contrast", "colour")
    values = {name: np.full(len(cache), np.nan) for name in names}
    formats = np.full(len(cache), "", dtype=object)
    for row, path in enumerate(cache.paths):
        if row % 256 == 0:
            yield Progress("measures", row, len(cache))
        if cache.places[row, 0] < 0:
            continue
        width, height, formats[row] = _header(path)
        pixels = to_bytes(cache[row][::2, ::2]).astype(np.float32)
        values["width"][row], values["height"][row] = width, height
        values["aspect"][row] = max(width, height) / max(min(width, height), 1)
        values["bytes"][row] = path.stat().st_size if path.is_file() else np.nan  # of a container: not known
        values["brightness"][row], values["contrast"][row] = pixels.mean(), pixels.std()
        values["colour"][row] = _colourful(cache[row])
    return Measures(values, formats.astype(str))


def _colourful(image: np.ndarray) -> float:
    """Returns the mean over pixels of the strongest channel minus the weakest.

    Channel by channel it is many times as fast.
    """
    red, green, blue = (np.ascontiguousarray(to_rgb(image)[::2, ::2, n]) for n in range(3))
    strongest, weakest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return float(strongest.mean() - weakest.mean())


def _header(path: Path) -> tuple[float, float, str]:
    try:
        return measure(path)
    except DataError:  # of a container or another format; or it changed since it was decoded
        return np.nan, np.nan, ""


def check_shift(train: Measures, test: Measures) -> Iterator[Finding]:
    """Yields K10 if a measure or the formats of the test images have another distribution.

    Source: the two-sample Kolmogorov-Smirnov test, scipy.stats.ks_2samp.
    """
    from scipy import stats

    cases = []
    for name, values in train.numbers.items():
        one, other = (part[~np.isnan(part)] for part in (values, test.numbers[name]))
        if not len(one) or not len(other):
            continue
        apart = stats.ks_2samp(one, other)
        if apart.statistic >= MIN_KS_DISTANCE and apart.pvalue <= MAX_P_VALUE:
            middle = f"median {np.median(one):.4g} in train, {np.median(other):.4g} in test"
            cases.append(Case(f"{middle} (distance {apart.statistic:.2f})", name))
    shares = [_shares(part.formats) for part in (train, test)]
    for name in sorted({*shares[0], *shares[1]} - {""}):
        here, there = (share.get(name, 0.0) for share in shares)
        if abs(here - there) >= MIN_KS_DISTANCE:
            cases.append(Case(f"{here:.0%} of train, {there:.0%} of test", f"format {name}"))
    if cases:
        yield Finding(
            "K10",
            "warning",
            f"test images differ from training images in {len(cases)} measures",
            "cross-validation on training images predicts the test score less well: expect a gap that "
            "grows with the difference",
            "augment the training images to look like test images (kit plot augment), or hold out "
            "similar rows (splitter=column)",
            tuple(cases),
        )


def _shares(formats: np.ndarray) -> dict[str, float]:
    """Returns the share of each format."""
    names, counts = np.unique(formats, return_counts=True)
    return {str(name): count / len(formats) for name, count in zip(names, counts.tolist(), strict=True)}


def find_outliers(measures: Measures, ids: np.ndarray) -> Iterator[Finding]:
    """Yields K11 for images that are very thin, or of one colour."""
    thin = np.flatnonzero(measures.numbers["aspect"] >= MAX_ASPECT_RATIO)
    plain = np.flatnonzero(measures.numbers["contrast"] < 1.0)
    sides = measures.numbers["width"], measures.numbers["height"]
    cases = [Case(f"{sides[0][row]:.0f} x {sides[1][row]:.0f} pixels", id=str(ids[row])) for row in thin]
    cases += [Case("has one colour", id=str(ids[row])) for row in plain]
    parts = [
        (
            len(thin),
            f"{len(thin)} images have an aspect ratio of {MAX_ASPECT_RATIO:g} or more",
            "a centre crop shows only a small part of such an image",
            "resize=pad shows the whole image",
        ),
        (
            len(plain),
            f"{len(plain)} images have only one colour",
            "a model learns nothing from an image of one colour",
            "check these images: if they are transparent, data.alpha_fill=black, or =none for the stored "
            "colours",
        ),
    ]
    texts = [texts_of_part for count, *texts_of_part in parts if count]
    if texts:
        summary, effect, answer = ("; ".join(texts_of_part) for texts_of_part in zip(*texts, strict=True))
        yield Finding("K11", "note", summary, effect, answer, tuple(cases))

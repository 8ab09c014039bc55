"""Plugin: the base class of every technique of every kind.

A plugin is a frozen pydantic model: its fields are its options. It is a recipe that can be written down with
its name, compared, hashed and pickled. Fields marked `bound_field()` are not options: `with_classes` fills
them from the competition's table (class counts, superclasses).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticUndefined, to_jsonable_python

from kit.core.files import StrPath, fingerprint
from kit.core.renamed import OPTIONS
from kit.errors import Case, ConfigError, did_you_mean
from kit.kinds import registry
from kit.kinds.score_context import ScoreContext
from kit.kinds.targets import SEE_LABELS, LabelKind

if TYPE_CHECKING:
    import numpy as np


def bound_field(default: Any = ()) -> Any:
    """Marks a field that is not an option.

    `with_classes` fills it from the attribute of Classes with its name. Other fields are filled by other
    methods, such as `in_workspace`.
    """
    return Field(default, exclude=True, repr=False, json_schema_extra={"known": True})


def is_bound(field: Any) -> bool:
    return bool(isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("known"))


class Plugin(BaseModel):
    """A recipe of one kind; kit.kinds lists the kinds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=False)

    kind: ClassVar[str] = ""
    label_kinds: ClassVar[tuple[LabelKind, ...]] = (
        "class_index",
    )  # the labels that it takes, if its kind depends on labels
    replaced_options: ClassVar[
        Mapping[str, str]
    ] = {}  # former options, and the config key that replaced each

    @classmethod
    def find_fault(cls) -> str:
        """Returns the error of the class itself, such as a constant with an invalid value.

        It is empty if the class is valid.
        """
        return ""

    def takes_labels(self, labels: LabelKind) -> bool:
        """Whether it and the plugins nested in it take labels of this kind."""
        if self.kind not in SEE_LABELS:
            return True
        return labels in self.label_kinds and all(
            plugin.takes_labels(labels) for plugin in self.inner_plugins()
        )

    def inner_plugins(self) -> list[Plugin]:
        """Returns the plugins among its options, single ones and those in tuples."""
        fields = [getattr(self, name) for name in type(self).model_fields]
        inner = [item for value in fields for item in (value if isinstance(value, tuple) else (value,))]
        return [item for item in inner if isinstance(item, Plugin)]

    def take_rows(self, rows: np.ndarray) -> Self:
        """Returns the same recipe with metrics that know only the rows at these positions or in this mask."""
        context = self.row_context()
        return self if context is None else self.with_known(context=context.take(rows))

    def row_context(self) -> ScoreContext | None:
        """Returns the row information shared by it and the plugins nested in it, or None."""
        own = getattr(self, "context", None)
        if isinstance(own, ScoreContext) and own.has_rows:
            return own
        inner = (plugin.row_context() for plugin in self.inner_plugins())
        return next((context for context in inner if context is not None), None)

    @classmethod
    def plugin_name(cls) -> str:
        """Returns the name of the file that defines the plugin."""
        return registry.location_of(cls).name

    def slug(self) -> str:
        """Returns a name for files that differs between recipes: with 6 hex digits if options differ from
        their defaults.
        """
        name = self.plugin_name()
        return name if self == type(self)() else f"{name}-{fingerprint(self.spec())[:6]}"

    def input_files(self) -> tuple[Path, ...]:
        """Returns files beside the images that the result depends on, such as weights. A run records their content."""
        return ()

    @classmethod
    def option_fields(cls) -> dict[str, Any]:
        """Returns the options' pydantic fields by name."""
        return {name: field for name, field in cls.model_fields.items() if not is_bound(field)}

    @classmethod
    def from_options(cls, options: Mapping[str, Any], root: Path | None = None) -> Self:
        """Returns the plugin with these options. Nested plugins' specs are opened with the workspace's plugins.

        Raises pydantic's ValidationError, which names each option by its path: `base.gama`.
        """
        fields = cls.option_fields()
        unknown = [key for key in options if key not in fields]
        if unknown:
            raise ValidationError.from_exception_data(
                cls.__name__, [_no_option(cls, key, fields, options[key]) for key in unknown]
            )
        return cls.model_validate(_with_default_names(fields, options), context={"root": root})

    @classmethod
    def open(cls, spec: Any, root: StrPath | None = None, where: str = "") -> Self:
        """Opens `"focal"` or `{"name": "focal", "gamma": 1.5}` as a plugin of this kind.

        `root` is the workspace whose plugins count too, `where` the config key that errors name. Raises
        PluginError for an unknown or broken plugin, ConfigError for options that do not fit.
        """
        try:
            return registry.open_spec(cls, cls.kind, spec, None if root is None else Path(root))
        except ValidationError as error:
            raise explain_validation_error(error, where or cls.kind) from None

    def with_known(self, **values: Any) -> Self:
        """Returns the same recipe with these values in its `bound_field` fields, and in those of its nested plugins."""
        fields = type(self).model_fields
        updates = {key: value for key, value in values.items() if key in fields and is_bound(fields[key])}
        for name in self.option_fields():
            value = getattr(self, name)
            if isinstance(value, Plugin):
                updates[name] = value.with_known(**values)
            elif isinstance(value, tuple) and any(isinstance(item, Plugin) for item in value):
                updates[name] = tuple(
                    item.with_known(**values) if isinstance(item, Plugin) else item for item in value
                )
        return self.model_copy(update=updates) if updates else self

    @model_validator(mode="wrap")
    @classmethod
    def _open(cls, value: Any, handler: Callable[[Any], Self], info: ValidationInfo) -> Self:
        """On a kind, opens a spec through the registry; on a technique, checks its options."""
        if "kind" not in cls.__dict__:
            return handler(value)
        if isinstance(value, cls):
            return value
        root = (info.context or {}).get("root")
        return registry.open_spec(cls, cls.kind, value, root)

    @model_serializer(mode="plain")
    def spec(self) -> dict[str, Any]:
        """Returns name and options as plain JSON values; opening them gives an equal plugin."""
        options = {name: to_jsonable_python(getattr(self, name)) for name in self.option_fields()}
        return {"name": self.plugin_name(), **options}

    def __hash__(self) -> int:
        return hash((type(self), self.model_dump_json()))

    def __reduce__(self) -> tuple[Any, ...]:
        location = registry.location_of(type(self))
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return _rebuild, (location.root, location.kind, location.name, fields)


def _no_option(cls: type[Plugin], key: str, fields: Mapping[str, Any], value: Any) -> InitErrorDetails:
    kind, name = cls.kind, cls.plugin_name()
    if key in cls.replaced_options:
        there = cls.replaced_options[key]
        message = (
            f"{kind} '{name}' no longer has the option '{key}': {there} replaces it, for all "
            "scores and for the file"
        )
        number = int(value) if isinstance(value, bool) else value
        instead = {"instead": f"remove {key} from {kind}, and set {there}={number}"}
        return {"type": PydanticCustomError("no_option", message, instead), "loc": (key,), "input": key}
    options, renamed = ", ".join(fields) or "none", OPTIONS.get((kind, name))
    message = (
        f"{kind} '{name}' has no option '{key}'{did_you_mean(key, fields, renamed)} (its options: {options})"
    )
    return {"type": PydanticCustomError("no_option", message.replace("{", "{{")), "loc": (key,), "input": key}


def explain_validation_error(error: ValidationError, where: str = "") -> ConfigError:
    """Returns pydantic's findings in kit's words: the path of each key, the problem, the given value."""
    cases, hints = [], []
    for fault in error.errors(include_url=False):
        hints += [fault["ctx"]["instead"]] if "instead" in fault.get("ctx", {}) else []
        path = ".".join(str(part) for part in ((where,) if where else ()) + fault["loc"])
        given = "" if fault["type"] in ("no_option", "missing") else f", not {fault['input']!r}"
        cases.append(Case(f"{fault['msg'].removeprefix('Value error, ')}{given}", path))
    return ConfigError(
        f"{len(cases)} invalid option{'s' * (len(cases) > 1)}",
        code="C02",
        cases=cases,
        hint="; ".join(hints),
    )


def _with_default_names(fields: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the default plugin's name to options of a nested plugin without one: `splitter.base.folds=3`."""
    filled = dict(options)
    for key, value in options.items():
        default = fields[key].get_default(call_default_factory=True)
        if isinstance(value, Mapping) and "name" not in value and isinstance(default, Plugin):
            filled[key] = {"name": default.plugin_name(), **value}
    return filled


def _rebuild(root: Path | None, kind: str, name: str, fields: dict[str, Any]) -> Plugin:
    plugin = registry.load_plugin_class(registry.find(kind, name, root), Plugin)
    return plugin(**fields)


def default_of(field: Any) -> Any:
    """Returns a pydantic field's default, or None if the option is required."""
    value = field.get_default(call_default_factory=True)
    return None if value is PydanticUndefined else value

"""TFRecord files as TensorFlow writes them: the framing by TensorBoard, tf.train.Example by the protobuf library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorboard.summary.writer.record_writer import RecordWriter

LISTS = {"BytesList": "bytes", "FloatList": "float", "Int64List": "int64"}


@cache
def example_class() -> Any:
    """The class of tensorflow/core/example/example.proto."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    feature = descriptor_pb2.DescriptorProto(name="Feature", oneof_decl=[{"name": "kind"}])
    for number, (name, kind) in enumerate(LISTS.items(), 1):
        values = file.message_type.add(name=name)
        values.field.add(name="value", number=1, label=3, type=getattr(field, f"TYPE_{kind.upper()}"))
        feature.field.add(
            name=f"{kind}_list", number=number, label=1, type=11, type_name=f".t.{name}", oneof_index=0
        )
    file.message_type.append(feature)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry", options={"map_entry": True})
    entry.field.add(name="key", number=1, label=1, type=9)
    entry.field.add(name="value", number=2, label=1, type=11, type_name=".t.Feature")
    features.field.add(name="feature", number=1, label=3, type=11, type_name=".t.Features.FeatureEntry")
    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, label=1, type=11, type_name=".t.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


def example(features: Mapping[str, Any]) -> bytes:
    """A serialised Example; a feature is text, bytes, a number or a list of such."""
    message = example_class()()
    for name, value in features.items():
        values = [value] if isinstance(value, str | bytes | int | float) else list(value)
        if isinstance(values[0], str | bytes):
            texts = [each.encode() if isinstance(each, str) else each for each in values]
            message.features.feature[name].bytes_list.value.extend(texts)
        elif isinstance(values[0], float):
            message.features.feature[name].float_list.value.extend(values)
        else:
            message.features.feature[name].int64_list.value.extend(map(int, values))
    content: bytes = message.SerializeToString()
    return content


def write_tfrecord(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A file with a record per row."""
    with file.open("wb") as stream:
        writer = RecordWriter(stream)
        for row in rows:
            writer.write(example(row))

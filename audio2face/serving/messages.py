"""Messages and services on the wire, built when the program starts from the tables below.

Clients find a method by its path and a field by its number and type; the messages' own names do not travel, but for
`EmotionAggregate`, whose name stands in the `Any` of a frame's metadata. The descriptors live in a pool of their own, so that
a client's generated modules of the same messages may be loaded in the same process. Needs protobuf (the extra `serve`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "audio2face.wire"
AGGREGATE_NAME = "nvidia_ace.emotion_aggregate.v1.EmotionAggregate"

# message: its fields as "number name type", with `?` for an optional field, `*` for a repeated one, map<key,value>, and
# `|` before the fields of the oneof `stream_part`. A type that is not a scalar is a message or an enum of this table.
FIELDS = {
    "Empty": "",
    "FloatArray": "1 values float*",
    "FloatArrayWithTimeCode": "1 time_code double; 2 values float*",
    "AudioHeader": "1 audio_format AudioFormat; 2 channel_count uint32; 3 samples_per_second uint32; 4 bits_per_sample uint32",
    "FaceParameters": "1 float_params map<string,float>; 2 integer_params map<string,int32>; "
    "3 float_array_params map<string,FloatArray>",
    "BlendShapeParameters": "1 bs_weight_multipliers map<string,float>; 2 bs_weight_offsets map<string,float>; "
    "3 enable_clamping_bs_weight bool?",
    "EmotionParameters": "1 live_transition_time float?; 2 beginning_emotion map<string,float>",
    "EmotionPostProcessingParameters": "1 emotion_contrast float?; 2 live_blend_coef float?; 3 enable_preferred_emotion bool?; "
    "4 preferred_emotion_strength float?; 5 emotion_strength float?; 6 max_emotions int32?",
    "EmotionWithTimeCode": "1 time_code double; 2 emotion map<string,float>",
    "AudioWithEmotion": "1 audio_buffer bytes; 2 emotions EmotionWithTimeCode*",
    "AudioStreamHeader": "1 audio_header AudioHeader; 2 face_params FaceParameters; "
    "3 emotion_post_processing_params EmotionPostProcessingParameters; 4 blendshape_params BlendShapeParameters; "
    "5 emotion_params EmotionParameters",
    "AudioStream": "|1 audio_stream_header AudioStreamHeader; |2 audio_with_emotion AudioWithEmotion; |3 end_of_audio Empty",
    "SkelAnimationHeader": "1 blend_shapes string*; 2 joints string*",
    "AnimationDataStreamHeader": "1 audio_header AudioHeader?; 2 skel_animation_header SkelAnimationHeader?; "
    "3 start_time_code_since_epoch double; 4 metadata map<string,Any>",
    "SkelAnimation": "1 blend_shape_weights FloatArrayWithTimeCode*",  # 2 to 4, the joints', stay empty
    "AudioWithTimeCode": "1 time_code double; 2 audio_buffer bytes",
    "AnimationData": "1 skel_animation SkelAnimation?; 2 audio AudioWithTimeCode?; 4 metadata map<string,Any>",
    "Event": "1 event_type EventType; 2 metadata Any?",
    "Status": "1 code StatusCode; 2 message string",
    "AnimationDataStream": "|1 animation_data_stream_header AnimationDataStreamHeader; |2 animation_data AnimationData; "
    "|3 event Event; |4 status Status",
    "EmotionAggregate": "1 input_emotions EmotionWithTimeCode*; 2 a2e_output EmotionWithTimeCode*; "
    "3 a2f_smoothed_output EmotionWithTimeCode*",
    "ConfigsTypeRequest": "1 config_type ConfigType",
    "A2XConfig": "1 name string; 2 content string",
    "HealthCheckRequest": "1 service string",
    "HealthCheckResponse": "1 status ServingStatus",
    "AudioClip": "1 audio_header AudioHeader; 2 content bytes",
    "AudioClipHandle": "1 audio_clip_id string; 2 blendshape_names string*",
    "FacePoseRequest": "1 audio_hash string; 2 preferred_emotions map<string,float>; 3 time_stamp float; "
    "4 face_params FaceParameters; 5 emotion_pp_params EmotionPostProcessingParameters; "
    "6 blendshape_params BlendShapeParameters",
    "BlendShapeData": "1 blendshapes float*; 2 time_code float; 3 emotions map<string,float>",
}
ENUMS = {
    "AudioFormat": ("AUDIO_FORMAT_PCM",),
    "EventType": ("END_OF_A2F_AUDIO_PROCESSING",),
    "StatusCode": ("SUCCESS", "INFO", "WARNING", "ERROR"),
    "ConfigType": ("YAML", "JSON"),
    "ServingStatus": ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"),
}
SERVICES = {  # service: {method: (request, response, which of them are streams)}
    "nvidia_ace.services.a2f_controller.v1.A2FControllerService": {
        "ProcessAudioStream": ("AudioStream", "AnimationDataStream", "both"),
    },
    "grpc.health.v1.Health": {
        "Check": ("HealthCheckRequest", "HealthCheckResponse", "none"),
        "Watch": ("HealthCheckRequest", "HealthCheckResponse", "response"),
    },
    "nvidia_ace.services.a2x_export_config.v1.A2XExportConfigService": {
        "GetConfigs": ("ConfigsTypeRequest", "A2XConfig", "response"),
    },
    "nvidia_ace.services.a2f_authoring.v1.A2FAuthoringService": {
        "UploadAudioClip": ("AudioClip", "AudioClipHandle", "none"),
        "GetAvatarFacePose": ("FacePoseRequest", "BlendShapeData", "none"),
    },
}
_FIELD = re.compile(r"(\|?)(\d+) (\w+) (?:map<(\w+),(\w+)>|(\w+)([?*]?))")


def _fields(text: str) -> Iterator[re.Match[str]]:
    for part in filter(None, (p.strip() for p in text.split(";"))):
        found = _FIELD.fullmatch(part)
        assert found, part
        yield found


def _set_type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    """The type of a field: a scalar, an enum or a message of the tables, or google.protobuf.Any."""
    scalar = getattr(field, f"TYPE_{kind.upper()}", None)
    if scalar is not None:
        field.type = scalar
    elif kind in ENUMS:
        field.type, field.type_name = field.TYPE_ENUM, f".{PACKAGE}.{kind}"
    else:
        field.type = field.TYPE_MESSAGE
        field.type_name = ".google.protobuf.Any" if kind == "Any" else f".{PACKAGE}.{kind}"


def _build_message(message: descriptor_pb2.DescriptorProto, text: str) -> None:
    for found in _fields(text):
        one_of, number, name, key, value, kind, sign = found.groups()
        field = message.field.add(name=name, number=int(number), label=1)
        if one_of:
            if not message.oneof_decl:
                message.oneof_decl.add(name="stream_part")
            field.oneof_index = 0
        if key:
            entry = message.nested_type.add(name="".join(p.capitalize() for p in name.split("_")) + "Entry")
            entry.options.map_entry = True
            for place, (part, part_kind) in enumerate((("key", key), ("value", value)), 1):
                _set_type(entry.field.add(name=part, number=place, label=1), part_kind)
            field.label, field.type = field.LABEL_REPEATED, field.TYPE_MESSAGE
            field.type_name = f".{PACKAGE}.{message.name}.{entry.name}"
            continue
        _set_type(field, kind)
        if sign == "*":
            field.label = field.LABEL_REPEATED
        elif sign == "?":
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{name}")


@cache
def _classes() -> dict[str, type[Any]]:
    file = descriptor_pb2.FileDescriptorProto(name="audio2face/wire.proto", package=PACKAGE, syntax="proto3")
    file.dependency.append(any_pb2.DESCRIPTOR.name)
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=f"{name}_{value}", number=number)
    for name, text in FIELDS.items():
        _build_message(file.message_type.add(name=name), text)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in FIELDS}


def message(name: str) -> type[Any]:
    """The class of a message of the table."""
    return _classes()[name]


def number(enum: str, value: str) -> int:
    """The number of an enum's value."""
    return ENUMS[enum].index(value)

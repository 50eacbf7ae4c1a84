"""Run by a Python with bpy: what an FBX file holds, as it is written and as Blender reads it, into an .npz."""

import sys

import bpy
import numpy as np
from io_scene_fbx import parse_fbx

PATH, OUT = sys.argv[1:3]
found = {}

root, _ = parse_fbx.parse(PATH)


def child(element, name):
    return next(e for e in element.elems if e.id == name)


settings = {e.props[0]: e.props[4:] for e in child(child(root, b"GlobalSettings"), b"Properties70").elems}
found["unit"], found["up"] = settings[b"UnitScaleFactor"][0], settings[b"UpAxis"][0]
objects = child(root, b"Objects").elems
for element in objects:
    if element.id == b"Geometry" and element.props[2] == b"Mesh":
        name = element.props[1].split(b"\0")[0].decode()
        found[f"written_{name}"] = np.array(child(element, b"Vertices").props[0]).reshape(-1, 3)
    if element.id == b"Model":
        for entry in child(element, b"Properties70").elems:
            if entry.props[0] in (b"Lcl Rotation", b"Lcl Scaling", b"Lcl Translation"):
                what = entry.props[0].decode().split()[1]
                found[f"{what}_{element.props[1].split(bytes(1))[0].decode()}"] = np.array(entry.props[4:7])
found["takes"] = sum(e.id == b"AnimationStack" for e in objects)

bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.fbx(filepath=PATH, anim_offset=0.0)
scene = bpy.context.scene
found["fps"] = scene.render.fps / scene.render.fps_base
faces = [thing for thing in scene.objects if thing.type == "MESH"]
for face in faces:
    keys = face.data.shape_keys
    for key in keys.key_blocks:
        key.slider_min, key.slider_max = -10.0, 10.0
    found[f"names_{face.name}"] = np.array([key.name for key in keys.key_blocks][1:])
first, last = int(scene.frame_start), int(scene.frame_end)
found["frames"] = np.array([first, last])
values, places = {face.name: [] for face in faces}, {face.name: [] for face in faces}
for frame in range(int(sys.argv[3])):
    at = frame * scene.render.fps_base  # the file has seconds, of which Blender's reader makes frames by the whole rate
    scene.frame_set(int(at + 1e-6), subframe=max(0.0, at - int(at + 1e-6)))
    graph = bpy.context.evaluated_depsgraph_get()
    for face in faces:
        shown = face.evaluated_get(graph)
        values[face.name].append([key.value for key in list(shown.data.shape_keys.key_blocks)[1:]])
        points = np.empty(3 * len(shown.data.vertices), np.float32)
        shown.data.vertices.foreach_get("co", points)
        matrix = np.array(shown.matrix_world)
        places[face.name].append(points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
for face in faces:
    found[f"values_{face.name}"], found[f"places_{face.name}"] = np.array(values[face.name]), places[face.name]
np.savez(OUT, **found)

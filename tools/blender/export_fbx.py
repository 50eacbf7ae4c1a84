"""Turn an animated face from glTF (.glb, as run_inference.py writes it) into FBX, with Blender 4.2 or newer, unopened:

    blender -b -P export_fbx.py -- hello_blendshapes.glb
    blender -b -P export_fbx.py -- hello.glb /somewhere/hello.fbx --unit m
    python export_fbx.py hello_blendshapes.glb        # a Python with the package bpy

Shape keys become blend shapes with the same names, their weights keyed in every frame, at the frame rate of the glTF
file; frame 0 is the start of the sound. Lengths are centimetres (--unit m: metres), y is up, the face looks along z,
and objects are neither rotated nor scaled. Of heads that turn and of bodies only the shapes are taken: bring those into
Blender by import_animation.py, or take the .glb itself. FBX holds no sound.
"""

import argparse
import json
import os
import struct
import sys

import bpy
from mathutils import Matrix

CENTIMETRES = {"cm": 100.0, "m": 1.0}  # in a metre, of Blender's units
SUPPORTED = (".glb", ".gltf")


class Mistake(Exception):
    """A user's mistake: the message says what to change."""


def main():
    args = arguments()
    fps, count = clock(args.input)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = max(1, round(fps))
    scene.render.fps_base = scene.render.fps / fps
    bpy.ops.import_scene.gltf(filepath=args.input)
    faces = [thing for thing in scene.objects if thing.type == "MESH" and not follows_bones(thing)]
    if not faces:
        raise Mistake(f"{args.input}: no meshes in it, other than bodies")
    unturn(scene)
    shapes = 0
    for face in faces:
        settle(face, CENTIMETRES[args.unit])
        shapes += retime(face, count)
    for thing in [thing for thing in scene.objects if thing not in faces]:
        bpy.data.objects.remove(thing)
    scene.unit_settings.scale_length = 1.0 / CENTIMETRES[args.unit]
    scene.frame_start, scene.frame_end = 0, max(count - 1, 0)
    scene.frame_set(0)
    write(args.output, args.unit)
    print(f"{args.output}: {len(faces)} mesh(es), {shapes} shape keys, {count} frames at {fps:g} a second")


def arguments():
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [] if bpy.app.binary_path else sys.argv[1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help=".glb or .gltf")
    parser.add_argument("output", nargs="?", help="the .fbx to write (default: beside the input)")
    parser.add_argument("--unit", choices=sorted(CENTIMETRES), default="cm", help="unit of lengths (default: cm)")
    args = parser.parse_args(given)
    if not bpy.app.background:
        raise Mistake("this replaces the open scene: run it with `blender -b -P export_fbx.py -- IN.glb`")
    stem, ending = os.path.splitext(os.path.abspath(args.input))
    if ending.lower() not in SUPPORTED:
        raise Mistake(f"{args.input}: expected .glb or .gltf (OUTPUT_FORMATS = ['gltf'])")
    if not os.path.isfile(args.input):
        raise Mistake(f"{args.input}: no such file")
    args.input, args.output = os.path.abspath(args.input), os.path.abspath(args.output or stem + ".fbx")
    if not os.path.isdir(os.path.dirname(args.output)):
        raise Mistake(f"{os.path.dirname(args.output)}: no such folder")
    return args


def clock(path):
    """(frames a second, number of frames) of a glTF file's animation."""
    root = gltf_json(path)
    inputs = {sampler["input"] for animation in root.get("animations", []) for sampler in animation["samplers"]}
    tables = [root["accessors"][index] for index in inputs]
    if not tables:
        raise Mistake(f"{path}: no animation in it")
    longest = max(tables, key=lambda table: table["count"])
    seconds = longest["max"][0] - longest["min"][0]
    if longest["count"] < 2 or seconds <= 0:
        return 30.0, longest["count"]
    fps = (longest["count"] - 1) / seconds
    whole = round(fps)
    return (float(whole) if abs(fps - whole) < 1e-5 * fps else fps), longest["count"]


def gltf_json(path):
    with open(path, "rb") as file:
        data = file.read()
    try:
        if data[:4] == b"glTF":
            length = struct.unpack_from("<I", data, 12)[0]
            data = data[20 : 20 + length]
        return json.loads(data)
    except (ValueError, struct.error) as error:
        raise Mistake(f"{path}: not a glTF file ({error})") from error


def follows_bones(thing):
    """Whether a mesh is a body's, which has no shapes, or what Blender's importer shows bones with."""
    shown = any("not_exported" not in collection.name for collection in thing.users_collection)
    return not shown or (thing.data.shape_keys is None and any(m.type == "ARMATURE" for m in thing.modifiers))


def unturn(scene):
    """Let heads look straight ahead."""
    for thing in scene.objects:
        if thing.type == "EMPTY" and thing.animation_data is not None:
            thing.animation_data_clear()
            thing.rotation_mode, thing.rotation_quaternion = "QUATERNION", (1, 0, 0, 0)
        if thing.type == "MESH":
            for modifier in [m for m in thing.modifiers if m.type == "ARMATURE"]:
                thing.modifiers.remove(modifier)
    bpy.context.view_layer.update()


def settle(face, scale):
    """Put a mesh's place, turn and scale into its points, so that the object has none."""
    matrix = Matrix.Scale(scale, 4) @ face.matrix_world
    face.parent = None
    face.data.transform(matrix, shape_keys=True)
    face.matrix_world = Matrix.Identity(4)


def retime(face, count):
    """Put key t on frame t, whatever the importer's rounding, and let weights leave 0 … 1; returns the shape keys."""
    keys = face.data.shape_keys
    if keys is None:
        return 0
    for curve in curves(keys):
        if len(curve.keyframe_points) == count:
            for index, point in enumerate(curve.keyframe_points):
                point.co.x = float(index)
                point.interpolation = "LINEAR"
            curve.update()
    for key in keys.key_blocks:
        key.slider_min, key.slider_max = -10.0, 10.0  # Blender cuts values off there
    return len(keys.key_blocks) - 1


def curves(keys):
    """All weights' curves, played at once: imported animations lie in tracks, one of which may be muted."""
    data = keys.animation_data
    if data is None:
        return []
    if data.action is None:
        strips = [strip for track in data.nla_tracks for strip in track.strips]
        if not strips:
            return []
        action, slot = strips[0].action, getattr(strips[0], "action_slot", None)
        for track in list(data.nla_tracks):
            data.nla_tracks.remove(track)
        data.action = action
        if slot is not None:  # Blender 4.4 and newer
            data.action_slot = slot
    slot = getattr(data, "action_slot", None)
    if slot is None:
        return list(data.action.fcurves)
    bags = [s.channelbag(slot) for layer in data.action.layers for s in layer.strips]
    return [curve for bag in bags if bag for curve in bag.fcurves]


def write(path, unit):
    partial = path + ".partial.fbx"
    bpy.ops.export_scene.fbx(
        filepath=partial,
        object_types={"MESH"},
        use_mesh_modifiers=False,  # would drop the shape keys
        mesh_smooth_type="OFF",
        apply_scale_options="FBX_SCALE_NONE" if unit == "cm" else "FBX_SCALE_UNITS",  # never in the objects
        axis_forward="-Z",
        axis_up="Y",
        bake_space_transform=True,  # y up in the points, not as a turn of the object
        add_leaf_bones=False,
        bake_anim=True,
        bake_anim_use_all_bones=False,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,  # one take
        bake_anim_force_startend_keying=True,
        bake_anim_step=1.0,
        bake_anim_simplify_factor=0.0,  # every frame
    )
    os.replace(partial, path)


if __name__ == "__main__":
    try:
        main()
    except Mistake as mistake:
        sys.exit(f"error: {mistake}")

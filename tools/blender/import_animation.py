"""Key the output of run_inference.py (OUTPUT_FORMATS "json") in Blender 4.2 or newer: shapes, head, body, other curves.

In Blender's text editor: fill in SETTINGS and run. Without opening Blender:

    blender -b anna.blend -P import_animation.py -- hello.json --face Face --head Rig/head --sound hello.wav --save out.blend
    blender -b sam.blend -P import_animation.py -- hello.json --rig Rig --properties Rig --save out.blend

--face: an object whose shape keys have the names of weights, solved or of a group of curves (jawOpen and JawOpen are one).
--head: a bone (Armature/bone) or an object that turns with the head, from where it rests. --rig: an armature whose bones
have the names of a skeleton's joints, at rest as the skeleton is: root bones move as far as the armature is larger or
smaller than the skeleton. --properties: an object that gets every other value as a custom property of its name. Frame 0
is at --start; the scene takes the animation's rate. The character faces -y, z is up; data have y up and face z.
"""

import argparse
import json
import os
import sys

import bpy
import numpy as np

SETTINGS = []  # e.g. ["/out/hello.json", "--face", "Face", "--head", "Rig/head"]

Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # of the data's y up and z forward
OF_CAMERAS = np.diag([-1.0, 1, -1])
LIVE_LINK = ["headyaw", "headpitch", "headroll"]  # told in the axes of a camera that looks at the person


class Mistake(Exception):
    """A user's mistake: the message says what to change."""


def main():
    args = arguments()
    data = read(args.json)
    groups = data.get("curves", [])
    scene = bpy.context.scene
    scene.render.fps = max(1, round(data["fps"]))
    scene.render.fps_base = scene.render.fps / data["fps"]
    scene.frame_start, scene.frame_end = args.start, args.start + data["num_frames"] - 1
    done, used = [], set()
    if args.face:
        names = key_shapes(found(args.face), weights_of(data), args.start)
        done.append(f"{len(names)} shape keys")
        used |= names
    if args.head:
        group, block, values = head_of(args.json, groups)
        key_head(args.head, head_turns(block, values), args.start)
        done.append(f"the turn of {args.head}")
        used |= {(group, name) for name in block["names"]}
    if args.rig:
        for group in bodies_of(args.json, groups):
            done.append(f"{key_bones(found(args.rig), group, args.start)} bones of {group['name']}")
            used |= {(group["name"], name) for name in group["names"]}
    if args.properties:
        done.append(f"{key_properties(found(args.properties), groups, used, args.start)} properties")
    if args.sound:
        add_sound(scene, args.sound, args.start)
    if args.save:
        bpy.ops.wm.save_as_mainfile(filepath=os.path.abspath(args.save))
    print(f"{args.json}: {data['num_frames']} frames at {data['fps']:g} a second; keyed {', '.join(done) or 'nothing'}")


def arguments():
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else SETTINGS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", help="the .json of run_inference.py")
    parser.add_argument("--face", help="object with shape keys")
    parser.add_argument("--head", help="bone (Armature/bone) or object to turn")
    parser.add_argument("--rig", help="armature to move by the groups of skeletons")
    parser.add_argument("--properties", help="object that gets all other values as custom properties")
    parser.add_argument("--sound", help="the sound, for the Video Sequencer")
    parser.add_argument("--start", type=int, default=0, help="frame of the first value (default: 0)")
    parser.add_argument("--save", help="write the scene to this .blend")
    return parser.parse_args(given)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError) as error:
        raise Mistake(f"{path}: cannot be read: {error}") from error
    if not isinstance(data, dict) or data.get("kind") != "audio2face-animation":
        raise Mistake(f"{path}: expected an animation of OUTPUT_FORMATS json")
    return data


def found(name):
    thing = bpy.data.objects.get(name)
    if thing is None:
        raise Mistake(
            f"there is no object {name!r} in the scene; it has {', '.join(bpy.data.objects.keys()) or 'none'}"
        )
    return thing


# ---- what the file holds


def blocks_of(group):
    """(block, values (T, d)) of a group."""
    values, first = np.array(group["values"], float).reshape(-1, len(group["names"])), 0
    for block in group["blocks"]:
        yield block, values[:, first : (first := first + len(block["names"]))]


def weights_of(data):
    """{(group, name): (T,)} of all weights, those of curves last."""
    shapes = data["blendshapes"]
    found = {("", name): column for name, column in zip(shapes["names"], np.array(shapes["weights"]).T, strict=False)}
    for group in data.get("curves", []):
        for block, values in blocks_of(group):
            if block["kind"] == "weights":
                whole = 100.0 if block.get("high") == 100 else 1.0
                found |= {
                    (group["name"], n): column / whole for n, column in zip(block["names"], values.T, strict=True)
                }
    return found


def head_of(path, groups):
    """(group, block, values) of the head's rotation: its columns, or its group, are named so."""
    for group in groups:
        for block, values in [] if "skeleton" in group else blocks_of(group):
            if block["kind"] == "rotation" and (group["name"] == "head" or plain(block["names"][0]).startswith("head")):
                return group["name"], block, values
    raise Mistake(f"{path}: holds no rotation of a head; it has {', '.join(g['name'] for g in groups) or 'no curves'}")


def bodies_of(path, groups):
    bodies = [group for group in groups if "skeleton" in group]
    if not bodies:
        raise Mistake(f"{path}: holds no skeleton; it has {', '.join(g['name'] for g in groups) or 'no curves'}")
    return bodies


def plain(name):
    return "".join(letter for letter in name.rsplit(".", 1)[-1].lower() if letter.isalnum())


def about(axis, angles):
    """Rotations (T, 3, 3) about "X", "Y" or "Z" by radians."""
    p = "XYZ".index(axis)
    q, r = (p + 1) % 3, (p + 2) % 3
    turns = np.zeros((len(angles), 3, 3))
    turns[:, p, p] = 1
    turns[:, q, q] = turns[:, r, r] = np.cos(angles)
    turns[:, r, q], turns[:, q, r] = np.sin(angles), -np.sin(angles)
    return turns


def rotations(block, values):
    """Rotations (T, 3, 3) of a block's values (T, d)."""
    form = block["form"]
    values = np.radians(values) if block.get("unit") == "degrees" else values
    if form == "matrix":
        u, _, v = np.linalg.svd(values.reshape(-1, 3, 3))
        u[:, :, 2] *= np.sign(np.linalg.det(u @ v))[:, None]
        return u @ v
    if form in ("quaternion", "axis_angle"):
        length = np.linalg.norm(values if form == "axis_angle" else values[:, :3], axis=1)
        angle = length if form == "axis_angle" else 2 * np.arctan2(length, values[:, 3])
        x, y, z = (values[:, :3] / np.maximum(length, 1e-12)[:, None]).T
        zero = np.zeros_like(x)
        cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
        sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
        return np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)
    turns = np.tile(np.eye(3), (len(values), 1, 1))
    for axis, angles in zip(form, values.T, strict=True):
        turns = turns @ about(axis, angles)
    return turns


def head_turns(block, values):
    """Rotations (T, 3, 3) of the head in its own axes: x to its left, y up, z forward."""
    turns = rotations(block, values)
    return OF_CAMERAS @ turns @ OF_CAMERAS if [plain(n) for n in block["names"]] == LIVE_LINK else turns


def pose_of(group):
    """World rotations (T, J, 3, 3), local places (T, J, 3) of a group's skeleton, and its joints by name."""
    joints = group["skeleton"]["joints"]
    number = {joint["name"]: place for place, joint in enumerate(joints)}
    count = len(group["values"])
    turns = np.tile(np.eye(3), (count, len(joints), 1, 1))
    places = np.tile(np.array([joint["offset"] for joint in joints], float), (count, 1, 1))
    owners = [place for place, joint in enumerate(joints) for _ in joint["channels"]]
    column = 0
    for block, values in blocks_of(group):
        joint = owners[column]
        if block["kind"] == "rotation":
            turns[:, joint] = rotations(block, values)
        else:
            own = joints[joint]["channels"]
            first = column - owners.index(joint)
            for name, axis in zip(own[first : first + values.shape[1]], values.T, strict=True):
                places[:, joint, "XYZ".index(name[0])] = axis
        column += values.shape[1]
    for place, joint in enumerate(joints):
        if joint["parent"] is not None:
            turns[:, place] = turns[:, number[joint["parent"]]] @ turns[:, place]
    return turns, places, number


# ---- what is keyed


def key_curve(owner, path, index, values, start):
    """A key in every frame (T,), on a property that is keyed in the first frame already."""
    curve = next(c for c in curves_of(owner) if c.data_path == path and c.array_index == max(index, 0))
    points = curve.keyframe_points
    while len(points):
        points.remove(points[-1], fast=True)
    points.add(len(values))
    frames = np.arange(start, start + len(values), dtype=np.float32)
    points.foreach_set("co", np.stack([frames, values], axis=1).astype(np.float32).reshape(-1))
    for point in points:
        point.interpolation = "LINEAR"
    curve.update()


def curves_of(owner):
    data = owner.animation_data
    slot = getattr(data, "action_slot", None)
    if slot is None:
        return list(data.action.fcurves)
    bags = [strip.channelbag(slot) for layer in data.action.layers for strip in layer.strips]
    return [curve for bag in bags if bag for curve in bag.fcurves]


def key_shapes(face, weights, start):
    """Key weights on the shape keys of their names; returns which (group, name) were."""
    keys = getattr(face.data, "shape_keys", None)
    if keys is None:
        raise Mistake(f"object {face.name!r} has no shape keys")
    own, done = {plain(key.name): key for key in keys.key_blocks}, set()
    for name, values in weights.items():
        key = own.get(plain(name[1]))
        if key is None:
            continue
        key.slider_min, key.slider_max = min(key.slider_min, -10.0), max(key.slider_max, 10.0)  # cuts values off there
        key.keyframe_insert("value", frame=start)
        key_curve(keys, key.path_from_id("value"), -1, values, start)
        done.add(name)
    if not done:
        raise Mistake(
            f"object {face.name!r} has no shape key with the name of a weight, such as {next(iter(weights), ('', 'jawOpen'))[1]}"
        )
    return done


def key_turns(animated, owner, turns, start):
    """Key rotations (T, 3, 3) on an object or a pose bone, as quaternions without jumps."""
    from mathutils import Matrix

    quaternions = np.array([Matrix(turn.tolist()).to_quaternion() for turn in turns])
    flips = (quaternions[1:] * quaternions[:-1]).sum(axis=1) < 0
    quaternions[1:] *= np.cumprod(np.where(flips, -1.0, 1.0))[:, None]
    owner.rotation_mode = "QUATERNION"
    owner.keyframe_insert("rotation_quaternion", frame=start)
    path = "rotation_quaternion" if animated is owner else owner.path_from_id("rotation_quaternion")
    for index in range(4):
        key_curve(animated, path, index, quaternions[:, index], start)


def key_head(name, turns, start):
    """Turn a bone or an object from where it rests."""
    world = Z_UP @ turns @ Z_UP.T
    rig, _, bone = name.partition("/")
    thing = found(rig)
    if not bone:
        above = axes(thing.parent.matrix_world) if thing.parent else np.eye(3)
        rest = axes(thing.matrix_world)
        key_turns(thing, thing, above.T @ world @ rest, start)
        return
    posed = thing.pose.bones.get(bone) if thing.pose else None
    if posed is None:
        known = ", ".join(thing.pose.bones.keys()) if thing.pose else "no bones: it is no armature"
        raise Mistake(f"{rig!r} has no bone {bone!r}; it has {known}")
    rest = axes(thing.matrix_world) @ axes(posed.bone.matrix_local)
    key_turns(thing, posed, rest.T @ world @ rest, start)


def key_bones(rig, group, start):
    """Move the bones that have a joint's name; returns how many."""
    if rig.pose is None:
        raise Mistake(f"object {rig.name!r} is no armature")
    turns, places, number = pose_of(group)
    own = {joint: rig.pose.bones[joint] for joint in number if joint in rig.pose.bones}
    if not own:
        raise Mistake(f"{rig.name!r} has no bone with a joint's name of {group['name']}, such as {next(iter(number))}")
    frame = axes(rig.matrix_world)
    turns = frame.T @ Z_UP @ turns @ Z_UP.T @ frame  # in the armature
    scale = size_of(rig, own) / max(size_of_joints(group, own), 1e-9)
    for joint, bone in own.items():
        above = bone.parent
        while above is not None and above.name not in own:
            above = above.parent
        before = np.eye(3) if above is None else turns[:, number[above.name]]
        rest = axes(bone.bone.matrix_local)
        key_turns(
            rig,
            bone,
            rest.T @ np.swapaxes(np.broadcast_to(before, turns[:, 0].shape), 1, 2) @ turns[:, number[joint]] @ rest,
            start,
        )
        moved = places[:, number[joint]] - group["skeleton"]["joints"][number[joint]]["offset"]
        if above is None and moved.any():
            key_places(rig, bone, scale * moved @ (rest.T @ frame.T @ Z_UP).T / rig.matrix_world.median_scale, start)
    return len(own)


def key_places(rig, bone, places, start):
    bone.keyframe_insert("location", frame=start)
    for index in range(3):
        key_curve(rig, bone.path_from_id("location"), index, places[:, index], start)


def size_of(rig, own):
    """How large the joints of a rig's bones are together, at rest in the world."""
    heads = np.array([rig.matrix_world @ bone.bone.head_local for bone in own.values()])
    return float(np.linalg.norm(np.ptp(heads, axis=0)))


def size_of_joints(group, own):
    joints, at = group["skeleton"]["joints"], {}
    for joint in joints:
        at[joint["name"]] = np.array(joint["offset"]) + at.get(joint["parent"], 0)
    return float(np.linalg.norm(np.ptp(np.array([at[name] for name in own]), axis=0)))


def key_properties(thing, groups, used, start):
    """Key every value that is not in `used` on a custom property of its name; returns how many."""
    count = 0
    for group in groups:
        for name, values in zip(group["names"], np.array(group["values"], float).T, strict=False):
            if (group["name"], name) in used:
                continue
            thing[name] = float(values[0])
            path = f'["{bpy.utils.escape_identifier(name)}"]'
            thing.keyframe_insert(path, frame=start)
            key_curve(thing, path, -1, values, start)
            count += 1
    return count


def axes(matrix):
    """The rotation (3, 3) of a matrix, without its scale."""
    return np.array(matrix.to_quaternion().to_matrix())


def add_sound(scene, path, start):
    if not os.path.isfile(path):
        raise Mistake(f"{path}: no such file")
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences  # Blender 4.4 and newer
    strips.new_sound(os.path.basename(path), os.path.abspath(path), 1, start)


if __name__ == "__main__":
    try:
        main()
    except Mistake as mistake:
        sys.exit(f"error: {mistake}")

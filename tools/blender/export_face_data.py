"""Write the training data of a face from Blender 4.2 or newer: motion, rest, shapes, teeth, eyes, vertex lists, sound.

In Blender's text editor: fill in SETTINGS and run. Without opening Blender:

    blender -b anna.blend -P export_face_data.py -- --out /data/anna --face Head --tongue Tongue --shot s001_joy \\
        --jaw Rig/jaw --eyes Rig/eye.R Rig/eye.L --head Rig/head --audio
    blender -b anna.blend -P export_face_data.py -- --out /data/anna --face Head --markers --audio

Bones are named Armature/bone; empties and other objects by their name. --jaw takes one bone or object, or five (points
of the lower teeth). --markers makes a shot of every timeline marker, up to the next one; one called "end…" starts none.
Vertex groups become lists: lip_dist_upper, lip_dist_lower, lip_size_upper_top, lip_size_upper_bottom,
lip_size_lower_top, lip_size_lower_bottom, eye_dist_upper, eye_dist_lower, prune_mask, and tongue_rigid on the tongue;
pairs go from the face's left to its right. Shape keys become blendshapes; eye_close and lip_open (or ARKit's keys) the
pose deltas. Lengths become centimetres, y up, z forward. Needs nothing but Blender. Run it again for other shots: they
are added to the files that hold all shots.
"""

import argparse
import json
import os
import struct
import sys
import unicodedata

import bpy
import numpy as np
from mathutils import Matrix

SETTINGS = []  # e.g. ["--out", "/data/anna", "--face", "Head", "--shot", "s001_neutral", "--audio"]

Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # of Blender's z up, with -y forward
EYE_CLOSE = (("eye_close",), ("eyeBlinkLeft", "eyeBlinkRight"), ("eyeBlink_L", "eyeBlink_R"))
LIP_OPEN = (
    ("lip_open",),
    ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    ("mouthLowerDown_L", "mouthLowerDown_R", "mouthUpperUp_L", "mouthUpperUp_R"),
)
LISTS = {
    "lip_dist": {"upper": "lip_dist_upper", "lower": "lip_dist_lower"},
    "eye_dist": {"upper": "eye_dist_upper", "lower": "eye_dist_lower"},
    "lip_size": {
        "upper_lip": {"top": "lip_size_upper_top", "bottom": "lip_size_upper_bottom"},
        "lower_lip": {"top": "lip_size_lower_top", "bottom": "lip_size_lower_bottom"},
    },
}


class Mistake(Exception):
    """A user's mistake: the message says what to change."""


def main():
    args = arguments()
    scene = bpy.context.scene
    face, tongue = mesh_object(args.face), mesh_object(args.tongue) if args.tongue else None
    scale = args.scale if args.scale else 100.0 * scene.unit_settings.scale_length
    space = Space(args, scale)
    fps = scene.render.fps / scene.render.fps_base
    start = (scene.frame_start, scene.frame_end, scene.frame_current)
    try:
        write_still_parts(args, space, face, tongue)
        for name, first, last in shots(args, scene):
            write_shot(args, space, face, tongue, name, first, last, fps)
    finally:
        scene.frame_start, scene.frame_end = start[:2]
        scene.frame_set(start[2])
    print(f'CACHE_FPS = {{"{os.path.basename(os.path.normpath(args.out))}": {fps:g}}}')


def arguments():
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else SETTINGS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder of the actor")
    parser.add_argument("--face", required=True, help="object of the skin")
    parser.add_argument("--tongue", help="object of the tongue")
    parser.add_argument("--shot", help="name of the shot (default: the name of the .blend)")
    parser.add_argument("--start", type=int, help="first frame (default: the scene's)")
    parser.add_argument("--end", type=int, help="last frame (default: the scene's)")
    parser.add_argument("--markers", action="store_true", help="a shot for every timeline marker")
    parser.add_argument("--format", choices=["npy", "pc2"], default="npy")
    parser.add_argument("--jaw", nargs="+", help="bone or object that carries the lower teeth, or five points of them")
    parser.add_argument("--eyes", nargs=2, metavar=("RIGHT", "LEFT"), help="bones or objects")
    parser.add_argument("--head", help="bone or object whose motion is taken out")
    parser.add_argument("--audio", action="store_true", help="mix the sequencer's sound down")
    parser.add_argument("--scale", type=float, help="centimetres in a Blender unit (default: by the scene, 100)")
    args = parser.parse_args(given)
    if args.jaw and len(args.jaw) not in (1, 5):
        raise Mistake(f"--jaw takes one name or five, not {len(args.jaw)}")
    return args


def shots(args, scene):
    """(name, first frame, last frame) of every shot."""
    first = scene.frame_start if args.start is None else args.start
    last = scene.frame_end if args.end is None else args.end
    if not args.markers:
        name = args.shot or os.path.splitext(os.path.basename(bpy.data.filepath))[0] or "shot"
        return [(checked(name), first, last)]
    markers = sorted(scene.timeline_markers, key=lambda marker: marker.frame)
    found = []
    for marker, after in zip(markers, [*markers[1:], None], strict=True):
        end = last if after is None else after.frame - 1
        if not marker.name.lower().startswith("end") and marker.frame <= end:
            found.append((checked(marker.name), marker.frame, end))
    if not found:
        raise Mistake("--markers: the timeline has no markers that start a shot")
    names = [name for name, _, _ in found]
    if len(set(names)) < len(names):
        raise Mistake(f"--markers: two markers have the same name ({', '.join(sorted(names))})")
    return found


def checked(name):
    if not all(unicodedata.category(c)[0] in "LMN" or c in "_-." for c in name):
        raise Mistake(f"shot {name!r}: use letters, digits, '_', '-' and '.' only")
    return name


# ---- objects and space


def mesh_object(name):
    found = bpy.data.objects.get(name)
    if found is None or found.type != "MESH":
        meshes = ", ".join(o.name for o in bpy.data.objects if o.type == "MESH")
        raise Mistake(f"no mesh object {name!r}; there are {meshes or 'none'}")
    return found


class Space:
    """Brings Blender's world to the data's: the head's motion taken out, centimetres, y up."""

    def __init__(self, args, scale):
        self.scale = scale
        self.head = args.head
        self.first = bpy.context.scene.frame_start  # objects are taken to rest in this frame
        self.head_rest = rest_matrix(args.head, self.first) if args.head else None

    def head_removed(self):
        """The matrix that brings the current frame's world to the head at rest."""
        return self.head_rest @ world_matrix(self.head).inverted() if self.head else Matrix()

    def points(self, positions, matrix):
        """Positions (n, 3) moved by a matrix, in the data's space."""
        m = np.array(matrix)
        return ((positions @ m[:3, :3].T + m[:3, 3]) @ Y_UP.T * self.scale).astype(np.float32)


def find(name):
    """(object, bone name or None) of "Armature/bone" or "Object"."""
    owner, _, bone = name.partition("/")
    found = bpy.data.objects.get(owner)
    if found is None or (bone and (found.pose is None or bone not in found.pose.bones)):
        raise Mistake(f"there is no {name!r} (bones are named Armature/bone)")
    return found, bone or None


def world_matrix(name):
    """Where a bone or object is in the current frame."""
    owner, bone = find(name)
    owner = owner.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return owner.matrix_world @ owner.pose.bones[bone].matrix if bone else owner.matrix_world.copy()


def rest_matrix(name, frame):
    """Where it rests: a bone's edit pose, an object as it is in `frame`."""
    owner, bone = find(name)
    bpy.context.scene.frame_set(frame)
    return owner.matrix_world @ owner.data.bones[bone].matrix_local if bone else world_matrix(name)


def vertices(thing, space, remove_head=True):
    """The vertices of an object with all modifiers in the current frame: (V, 3)."""
    evaluated = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    try:
        positions = np.empty(len(mesh.vertices) * 3)
        mesh.vertices.foreach_get("co", positions)
    finally:
        evaluated.to_mesh_clear()
    if len(positions) != 3 * len(thing.data.vertices):
        raise Mistake(
            f"{thing.name}: a modifier changes its {len(thing.data.vertices)} vertices to {len(positions) // 3}; "
            "switch off Subdivision Surface, Mirror and the like"
        )
    matrix = (space.head_removed() if remove_head else Matrix()) @ evaluated.matrix_world
    return space.points(positions.reshape(-1, 3), matrix)


# ---- what does not move


def write_still_parts(args, space, face, tongue):
    for kind, thing in (("skin", face), ("tongue", tongue)):
        if thing is None:
            continue
        rest, keys = at_rest(thing, space)
        save(args, f"geom/{kind}/neutral_pose.npy", rest)
        thing.data.calc_loop_triangles()
        triangles = np.empty(len(thing.data.loop_triangles) * 3, np.int32)
        thing.data.loop_triangles.foreach_get("vertices", triangles)
        save(args, f"geom/{kind}/triangles.npy", triangles.reshape(-1, 3))
        if keys:
            write_blendshapes(args, kind, rest, keys)
        if kind == "skin":
            for name, choices in (("eye_close_pose_delta", EYE_CLOSE), ("lip_open_pose_delta", LIP_OPEN)):
                names = next((names for names in choices if set(names) <= set(keys)), None)
                if names:
                    save(args, f"geom/skin/{name}.npy", sum(keys[n] for n in names))
            write_lists(args, face, rest)
        elif "tongue_rigid" in thing.vertex_groups:
            write_json(args, "geom/tongue/rigid_vertex_list.json", group(thing, "tongue_rigid"))


def at_rest(thing, space):
    """The mesh with armatures at rest and no shape key (V, 3), and every shape key's difference from it by name."""
    armatures = [o.data for o in bpy.data.objects if o.type == "ARMATURE"]
    poses = [a.pose_position for a in armatures]
    keys = thing.data.shape_keys.key_blocks if thing.data.shape_keys else []
    before = (thing.show_only_shape_key, thing.active_shape_key_index)
    muted = [key.mute for key in keys]
    bpy.context.scene.frame_set(space.first)
    try:
        for armature in armatures:
            armature.pose_position = "REST"
        for key in keys:
            key.mute = False  # a muted key shows nothing
        thing.show_only_shape_key = bool(keys)
        shapes = []
        for index in range(max(len(keys), 1)):
            thing.active_shape_key_index = index
            bpy.context.view_layer.update()
            shapes.append(vertices(thing, space, remove_head=False))
    finally:
        thing.show_only_shape_key, thing.active_shape_key_index = before
        for key, mute in zip(keys, muted, strict=True):
            key.mute = mute
        for armature, pose in zip(armatures, poses, strict=True):
            armature.pose_position = pose
        bpy.context.view_layer.update()
    return shapes[0], {key.name: shape - shapes[0] for key, shape in zip(list(keys)[1:], shapes[1:], strict=False)}


def write_blendshapes(args, kind, rest, keys):
    keys = {
        n: d
        for n, d in keys.items()
        if n not in ("neutral", "poseNames", "frontalMask", "rig_version") and "/" not in n
    }
    if not any(np.any(delta) for delta in keys.values()):  # the runtime wants one that does something
        return
    arrays = {"poseNames": np.array(["neutral", *keys]).astype("S"), "neutral": rest, **keys}
    if kind == "skin":
        arrays["frontalMask"] = np.sort(np.argsort(-rest[:, 2])[: max(1, len(rest) // 3)]).astype(np.int32)
    arrays["rig_version"] = np.array(["1"], "S")
    np.savez(place(args, f"bs_data/bs_{kind}.npz"), **arrays)
    names, pairs = list(keys), [-1] * len(keys)
    for index, name in enumerate(names):
        other = name.replace("Left", "Right") if "Left" in name else name[:-2] + "_R" if name.endswith("_L") else name
        if other != name and other in names:
            pairs[index] = pairs[names.index(other)] = index
    solver = {
        "strengthL1regularization": 0.01,
        "strengthL2regularization": 0.02,
        "strengthTemporalSmoothing": 0.002,
        "strengthSymmetry": 0.02,
        "templateBBSize": max(1.0, float(np.linalg.norm(np.ptp(rest, axis=0)))),
        "numPoses": len(names),
        "bsSolveActivePoses": [int(bool(np.any(delta))) for delta in keys.values()],
        "bsSolveCancelPoses": [-1] * len(names),
        "bsSolveSymmetryPoses": pairs,
        "bsWeightMultipliers": [1.0] * len(names),
        "bsWeightOffsets": [0.0] * len(names),
    }
    write_json(args, f"bs_data/bs_{kind}_config.json", {"blendshape_params": solver})


def group(thing, name):
    """Vertices of a vertex group."""
    index = thing.vertex_groups[name].index
    return [v.index for v in thing.data.vertices if any(g.group == index and g.weight > 0 for g in v.groups)]


def write_lists(args, face, rest):
    def ordered(name):
        return sorted(group(face, name), key=lambda v: -rest[v, 0])  # the face's left has the larger x

    for name, layout in LISTS.items():
        groups = [g for part in layout.values() for g in (part.values() if isinstance(part, dict) else [part])]
        there = [g for g in groups if g in face.vertex_groups]
        if not there:
            continue
        if len(there) < len(groups):
            raise Mistake(
                f"vertex groups {', '.join(g for g in groups if g not in there)} are missing beside {there[0]}"
            )
        content = {
            key: {k: ordered(g) for k, g in part.items()} if isinstance(part, dict) else ordered(part)
            for key, part in layout.items()
        }
        for pair in [content] if name != "lip_size" else content.values():
            if len({len(side) for side in pair.values()}) > 1:
                sizes = {key: len(side) for key, side in pair.items()}
                raise Mistake(f"vertex groups of {name} are pairs and must be equally large: {sizes}")
        write_json(args, f"geom/skin/{name}_vertex_list.json", content)
    if "prune_mask" in face.vertex_groups:
        save(args, "geom/skin/prune_mask.npy", np.array(group(face, "prune_mask"), np.int64))


# ---- what moves


def write_shot(args, space, face, tongue, name, first, last, fps):
    scene = bpy.context.scene
    if last < first:
        raise Mistake(f"shot {name}: frames {first} to {last} are an empty range")
    rest_jaw = jaw_points(args, space, rest=True) if args.jaw else None
    rest_eyes = [rest_matrix(eye, space.first) for eye in args.eyes] if args.eyes else None
    skin, flesh, jaw, eyes = [], [], [], []
    for frame in range(first, last + 1):
        scene.frame_set(frame)
        skin.append(vertices(face, space))
        if tongue:
            flesh.append(vertices(tongue, space))
        if args.jaw:
            jaw.append(jaw_points(args, space) - rest_jaw)
        if args.eyes:
            turn = space.head_removed()
            eyes.append([gaze(turn @ world_matrix(e), r) for e, r in zip(args.eyes, rest_eyes, strict=True)])
    write_cache(args, "skin", name, np.stack(skin))
    if tongue:
        write_cache(args, "tongue", name, np.stack(flesh))
    if args.jaw:
        save(args, "xform/jaw_keypoints_neutral.npy", rest_jaw)
        add_to(args, "xform/jaw_keypoints_cache_all.npz", name, np.stack(jaw).astype(np.float32))
    if args.eyes:
        add_to(args, "xform/eye_rotations_all.npz", name, np.array(eyes, np.float32))
    if args.audio:
        scene.frame_start, scene.frame_end = first, last
        path = place(args, f"audio/{name}.wav")
        bpy.ops.sound.mixdown(filepath=path, container="WAV", codec="PCM", format="S16", check_existing=False)
    print(f"{name}: {len(skin)} frames at {fps:g} a second")


def jaw_points(args, space, rest=False):
    """Five points of the lower teeth (5, 3): five things' places, or points that ride on one bone or object."""
    where = [rest_matrix(n, space.first) if rest else space.head_removed() @ world_matrix(n) for n in args.jaw]
    if len(where) == 5:
        return space.points(np.array([m.translation for m in where]), Matrix())
    owner, bone = find(args.jaw[0])
    size = owner.data.bones[bone].length if bone else 0.05 * 100 / space.scale
    points = size * np.array([[0, 1, 0], [0.5, 0.2, 0], [-0.5, 0.2, 0], [0.3, 0.6, -0.3], [-0.3, 0.6, -0.3]])
    return space.points(points, where[0])


def gaze(now, rest):
    """Turn of an eye from rest about x (down is positive) and y (to the face's left is positive), degrees."""
    turn = np.array(now.to_quaternion().to_matrix() @ rest.to_quaternion().to_matrix().transposed())
    x, y, z = Y_UP @ turn @ Y_UP.T @ [0.0, 0.0, 1.0]
    return [float(np.degrees(np.arctan2(-y, np.hypot(x, z)))), float(np.degrees(np.arctan2(x, z)))]


# ---- files


def place(args, name):
    path = os.path.join(bpy.path.abspath(args.out), *name.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def save(args, name, array):
    np.save(place(args, name), array)


def write_json(args, name, content):
    with open(place(args, name), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)


def write_cache(args, kind, shot, frames):
    path = place(args, f"cache/{kind}/{shot}/{shot}.{args.format}")
    if args.format == "npy":
        np.save(path, frames)
        return
    with open(path, "wb") as file:
        file.write(struct.pack("<12siiffi", b"POINTCACHE2\0", 1, frames.shape[1], 0.0, 1.0, len(frames)))
        file.write(frames.astype("<f4").tobytes())


def add_to(args, name, shot, array):
    """Put a shot's array into an .npz with all shots."""
    path = place(args, name)
    arrays = {}
    if os.path.exists(path):
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
    np.savez(path, **{**arrays, shot: array})


if __name__ == "__main__":
    try:
        main()
    except Mistake as mistake:
        if bpy.app.background or not SETTINGS:
            sys.exit(f"error: {mistake}")
        raise

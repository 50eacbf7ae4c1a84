"""Run by a Python with bpy: a scene with a face and a rig, the import script on it, and how everything then stands, as .npz."""

import runpy
import sys

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector

SCRIPT, ANIMATION, OUT, FRAMES, START = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
BONES = {
    "Hips": ((0, 0, 0.9), (0, 0.1, 1.0), 0.3, None),
    "Spine": ((0, 0, 1.1), (0.1, 0, 1.3), -1.0, "Hips"),
}  # y up: 90, 110

bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
mesh = bpy.data.meshes.new("Face")
mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
face = bpy.data.objects.new("Face", mesh)
scene.collection.objects.link(face)
for name in ("Basis", "jawOpen", "mouthSmileLeft"):
    face.shape_key_add(name=name, from_mix=False)
ball = bpy.data.objects.new("Ball", None)
ball.rotation_euler, ball.location = Euler((0.3, 0.2, 0.1)), (1, 2, 3)
scene.collection.objects.link(ball)

rig = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
rig.matrix_world = Matrix.LocRotScale(Vector((0.5, 0, 0)), Euler((0.1, -0.4, 0.7)), Vector((2, 2, 2)))
scene.collection.objects.link(rig)
bpy.context.view_layer.objects.active = rig
bpy.context.view_layer.update()
inverse = rig.matrix_world.inverted()
bpy.ops.object.mode_set(mode="EDIT")
for name, (head, tail, roll, parent) in BONES.items():
    bone = rig.data.edit_bones.new(name)
    bone.head, bone.tail, bone.roll = inverse @ Vector(head), inverse @ Vector(tail), roll
    bone.parent = rig.data.edit_bones[parent] if parent else None
bone = rig.data.edit_bones.new("neck")
bone.head, bone.tail, bone.roll = inverse @ Vector((0, 0, 1.5)), inverse @ Vector((0, 0.2, 1.6)), 0.4
bone.parent = rig.data.edit_bones["Spine"]
bpy.ops.object.mode_set(mode="OBJECT")
bpy.context.view_layer.update()
found = {}


def note(label):
    graph = bpy.context.evaluated_depsgraph_get()
    posed = rig.evaluated_get(graph)
    for bone in posed.pose.bones:
        matrix = posed.matrix_world @ bone.matrix
        found[f"{bone.name}_turn_{label}"] = np.array(matrix.to_quaternion().to_matrix())
        found[f"{bone.name}_place_{label}"] = np.array(matrix.translation)
    found[f"ball_{label}"] = np.array(ball.evaluated_get(graph).matrix_world.to_quaternion().to_matrix())
    found[f"shapes_{label}"] = np.array([key.value for key in face.evaluated_get(graph).data.shape_keys.key_blocks][1:])
    found[f"custom_{label}"] = np.array(
        [ball.evaluated_get(graph).get(name, np.nan) for name in ("brow raise", "HeadYaw")]
    )


note("rest")
common = ["--start", str(START)]
for given in (
    ["--face", "Face", "--head", "Rig/neck", "--rig", "Rig", "--properties", "Ball"],
    ["--head", "Ball"],
):
    sys.argv = ["import_animation.py", "--", ANIMATION, *given, *common]
    runpy.run_path(SCRIPT, run_name="__main__")
found["rate"] = scene.render.fps / scene.render.fps_base
found["range"] = np.array([scene.frame_start, scene.frame_end])
for frame in range(FRAMES):
    scene.frame_set(START + frame)
    note(frame)
np.savez(OUT, **found)

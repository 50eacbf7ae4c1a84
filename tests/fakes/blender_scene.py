"""Run by a Python with bpy: a scene with a face whose motion is known, then the export script on it."""

import math
import runpy
import sys
import wave

import bpy
import numpy as np
from mathutils import Euler

SCRIPT, OUT = sys.argv[1:3]
FRAMES = 12

bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.render.fps, scene.frame_start, scene.frame_end = 30, 1, FRAMES
points = np.random.default_rng(0).uniform(-0.1, 0.1, (8, 3))
mesh = bpy.data.meshes.new("Head")
mesh.from_pydata([tuple(p) for p in points], [], [(0, 1, 2, 3), (4, 5, 6)])
head = bpy.data.objects.new("Head", mesh)
scene.collection.objects.link(head)
head.shape_key_add(name="Basis", from_mix=False)
for name, axis in (("jawOpen", 2), ("eyeBlinkLeft", 0), ("eyeBlinkRight", 1)):
    key = head.shape_key_add(name=name, from_mix=False)
    key.value = 0.0
    for index, point in enumerate(points):
        key.data[index].co[axis] = point[axis] - 0.01 * (index + 1)
key = head.data.shape_keys.key_blocks["jawOpen"]
for frame in range(1, FRAMES + 1):
    key.value = (frame - 1) / (FRAMES - 1)
    key.keyframe_insert("value", frame=frame)
for name, members in (("lip_dist_upper", [0, 1]), ("lip_dist_lower", [2, 3]), ("prune_mask", [4, 5])):
    head.vertex_groups.new(name=name).add(members, 1.0, "REPLACE")

rig = bpy.data.armatures.new("Rig")
arm = bpy.data.objects.new("Rig", rig)
scene.collection.objects.link(arm)
bpy.context.view_layer.objects.active = arm
bpy.ops.object.mode_set(mode="EDIT")
for name, parent in (("skull", None), ("jaw", "skull"), ("eye.R", "skull"), ("eye.L", "skull")):
    bone = rig.edit_bones.new(name)
    bone.head, bone.tail = (0.01 * len(name), 0, 0), (0.01 * len(name), -0.04, 0)
    bone.parent = rig.edit_bones[parent] if parent else None
bpy.ops.object.mode_set(mode="OBJECT")
head.parent, head.parent_type, head.parent_bone = arm, "BONE", "skull"
bpy.context.view_layer.update()
head.matrix_world = head.matrix_world.Identity(4)
for bone in arm.pose.bones:
    bone.rotation_mode = "XYZ"
for frame in (1, FRAMES):
    share = (frame - 1) / (FRAMES - 1)
    arm.pose.bones["skull"].rotation_euler = Euler((0.2 * share, 0.3 * share, 0.1 * share))
    arm.pose.bones["jaw"].rotation_euler = Euler((math.radians(20) * share, 0, 0))
    arm.pose.bones["eye.R"].rotation_euler = Euler((math.radians(10) * share, 0, 0))
    arm.pose.bones["eye.L"].rotation_euler = Euler((0, 0, math.radians(15) * share))
    for bone in arm.pose.bones:
        bone.keyframe_insert("rotation_euler", frame=frame)

sound = OUT + ".wav"
with wave.open(sound, "wb") as file:
    file.setnchannels(1), file.setsampwidth(2), file.setframerate(48000)
    file.writeframes((8000 * np.sin(np.arange(48000) / 30)).astype("<i2").tobytes())
sounding = bpy.app.build_options.audaspace  # some builds for pip have no sound
scene.sequence_editor_create()
strips = scene.sequence_editor.strips if hasattr(scene.sequence_editor, "strips") else scene.sequence_editor.sequences
if sounding:
    strips.new_sound("speech", sound, 1, 1)
scene.timeline_markers.new("s1_neutral", frame=1)
scene.timeline_markers.new("s2_joy", frame=7)

arguments = ["--out", OUT, "--face", "Head", "--markers", "--jaw", "Rig/jaw", "--eyes", "Rig/eye.R", "Rig/eye.L"]
sys.argv = ["blender", "--", *arguments, "--head", "Rig/skull"] + ["--audio"] * sounding
runpy.run_path(SCRIPT, run_name="__main__")
sys.argv = ["blender", "--", "--out", OUT, "--face", "Head", "--shot", "swaying", "--format", "pc2"]
runpy.run_path(SCRIPT, run_name="__main__")
np.save(OUT + "/points.npy", points)

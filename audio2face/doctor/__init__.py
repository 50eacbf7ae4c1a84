"""The data set doctor: finds what is wrong with an actor's data before hours are spent on it.

quick.quick_check(sections, ["claire"])     seconds: names, headers, small arrays, a few frames, CLIPS
check.full_check(sections, ["claire"])      reads everything: frames, sounds, and whether they run together
"""

"""Live faces: speech from a microphone, a pipe or a file, frames to Live Link Face, VMC and WebSocket listeners, in time.

`source` brings sound on a clock, `player` animates it and sends each frame when it is due, `speaker` plays the sound with
it, sinks (`livelink`, `vmc`, `websocket`) put it on the wire; `mirror` does so for what clients of a server are sent.
Called by `runners.live` and `serving.server`.
"""

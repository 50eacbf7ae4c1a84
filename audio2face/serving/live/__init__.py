"""Live faces: speech from a microphone, a pipe or a file, frames to Live Link Face, VMC and WebSocket listeners, in time.

`source` brings sound on a clock, `player` animates it and sends each frame when it is due, sinks (`livelink`, `vmc`,
`websocket`) put it on the wire. Called by `runners.live`.
"""

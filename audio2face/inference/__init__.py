"""Running trained networks on sound: modes, backends, windows, and the face that comes out."""

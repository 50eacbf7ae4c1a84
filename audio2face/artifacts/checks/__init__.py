"""The rules of a deployed model, one module per kind of file. Untrusted input: damage is a finding, never an exception."""

"""The rules that a deployed model must keep; files are read as if a stranger had made them."""

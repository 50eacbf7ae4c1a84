"""What is on disk: the data set of an actor and the folders of runs. A layout's writer and reader share a module."""

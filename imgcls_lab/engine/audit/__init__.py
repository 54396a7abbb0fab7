"""The audit of a data set, as the process of a task run does it: files, then what a model's features tell."""

"""The version of this program, for the build and for every module that says it. Imports nothing."""

__version__ = "0.1.0"

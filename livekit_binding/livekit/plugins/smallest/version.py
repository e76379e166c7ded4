"""The version of the distribution that this plugin comes in."""

__version__ = "0.1.0"

"""Coverage-guided fuzzing of `smallest_proto`; see the README beside this file."""

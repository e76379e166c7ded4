"""The clients that are compared: ours, published ones, and hand-written ones that parse and do nothing else."""

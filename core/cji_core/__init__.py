"""What the two ends of a sealed job must agree on: formats, trails, declarations of operations, and the command's frame."""

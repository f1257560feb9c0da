"""What both ends of a sealed job must agree on: formats, trails, declarations of operations, the frame of `cji`."""

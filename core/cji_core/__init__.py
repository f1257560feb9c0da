"""The agreement of both ends of a sealed job: formats, trails, declarations of operations, the frame of `cji`."""

"""Pictures of the system: its authorization boundary and its data flow, drawn from what was given and attested.

`system` knows which parts a deployment has, `plan` where they stand, and `draw` turns a picture into SVG.
"""

from cji_audit.packet.pictures.draw import svg, svg_file
from cji_audit.packet.pictures.plan import boundary, data_flow
from cji_audit.packet.pictures.shapes import Box, Label, Line, Picture

__all__ = ["Box", "Label", "Line", "Picture", "boundary", "data_flow", "svg", "svg_file"]

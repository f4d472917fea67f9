"""Plots: pictures of what was measured and played.

What lives here: functions of plain arrays that write a PNG or a GIF; they know
nothing of runs or agents.

May import: `types`, `ops`, NumPy; matplotlib and Pillow only inside functions,
as they are slow to import.

To add one: write a function of a path and arrays, with colours that the
colour-blind tell apart, and call it in a binary.
"""

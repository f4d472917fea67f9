"""Pure array functions without parameters.

What lives here: the equations. Episode ends (`episodes`), return estimators
(`returns`), linear recurrences (`scans`), products (`products`), value
transforms (`transforms`), what a head's output means (`codecs`,
`distributions`), distributions over given numbers (`categorical`), least and
greatest entries (`extremes`), schedules of progress (`schedules`), scores over
seeds (`statistics`, of NumPy), and helpers over trees of arrays (`trees`).

May import: `types`, `registry`, jax, optax, rlax (inside functions; it is slow
to import).

To add one: write the equation as a function of arrays, `[T, B]` unless said,
with its recursion and its paper in the docstring; test it against a plain loop
and by its relations to the others.
"""

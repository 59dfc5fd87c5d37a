"""What holds for every test."""

from hypothesis import settings

# How long an example takes says nothing on a machine that is shared: no test asserts on time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

"""What people say that is not for the agent."""

from __future__ import annotations

import numpy as np

STATEMENTS = tuple(
    tuple(line.split())
    for line in """
i was thinking about the garden
we went to the river yesterday
my mother likes the yellow house
she lost the red pencil again
they were late for the train
i think it was very cold
he was thinking about my brother
the doctor was very nice
my brother lost the new bicycle
we had coffee on the train
they went home in the morning
the coffee is very good today
she had a big dog
my mother went to the doctor
the old house is on the mountain
i saw a monkey in the garden
we are late again
he likes the new music
the evening was very cold
i left the paper on the train
she went to the island with my friend
we had chocolate in the evening
my friend likes the big dog
the old dog went home
he was there yesterday
i think they are at home
they had a good morning
my brother likes the blue window
she is with my mother today
we saw the rocket yesterday
the dog was in the river
i lost the old hammer
he had a banana in the morning
it was late in the evening
my friend went to the mountain again
we had a good evening
the train was late today
she likes the old music
i was at home yesterday
they think he is very nice
""".strip().splitlines()
)


def sample_statement(rng: np.random.Generator, held_out: bool = False) -> tuple[str, ...]:
    """One of the 36 statements of training, or of the 4 that are held out."""
    offset = 4  # statements 4, 14, 24 and 34 are held out
    choices = [s for i, s in enumerate(STATEMENTS) if (i % 10 == offset) == held_out]
    return choices[rng.integers(len(choices))]

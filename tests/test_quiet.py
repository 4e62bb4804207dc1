"""A machine without accelerators is not told so at every command."""

import os
import subprocess
import sys


def test_a_plain_machine_says_nothing_of_tpus():
    env = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}
    program = "import interaction, jax; print(jax.default_backend())"
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() and not done.stderr

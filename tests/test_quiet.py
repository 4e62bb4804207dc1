"""A machine without accelerators is not told so at every command."""

import os
import subprocess
import sys

PROGRAM = """
import interaction, jax
from interaction import pod
print(jax.default_backend(), len(pod.pod_devices("v5p:2x2x1")))
"""


def test_a_plain_machine_says_nothing_of_tpus():
    env = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() and not done.stderr

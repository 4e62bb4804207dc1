"""Copies of what tools publish: read from the forms that those tools have."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from launch import checks
from launch.renew import jobset_schema, listed

CRD = """
metadata: {name: jobsets.jobset.x-k8s.io}
spec:
  versions:
  - name: v1alpha2
    schema:
      openAPIV3Schema:
        description: prose
        type: object
        properties:
          metadata: {type: object}
          status: {type: object, properties: {restarts: {type: integer}}}
          spec:
            type: object
            properties:
              description: {type: string}
              replicatedJobs:
                type: array
                x-kubernetes-list-type: map
                items:
                  type: object
                  properties:
                    name: {type: string, default: a}
                    template: {type: object, properties: {long: {type: string}}}
"""
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
KUBERNETES = {
    "$defs": {
        "io.k8s.api.batch.v1.JobTemplateSpec": {
            "properties": {"metadata": {"$ref": f"#/$defs/{META}"}},
            "additionalProperties": False,
        },
        META: {"properties": {"name": {"type": "string"}}, "additionalProperties": False},
        "not.asked.for": {},
    }
}


def test_a_crd_becomes_a_closed_schema():
    schema = jobset_schema(yaml.safe_load(CRD), KUBERNETES)
    text = json.dumps(schema)
    assert "prose" not in text and "x-kubernetes" not in text and "not.asked" not in text
    # A field may be named as a keyword of schemas is.
    assert "description" in schema["properties"]["spec"]["properties"]
    good = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "a"},
        "spec": {
            "replicatedJobs": [{"name": "a", "template": {"metadata": {"name": "b"}}}]
        },
    }
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(good)
    for wrong in (
        good | {"status": {}},
        good | {"spec": {"replicas": 1}},
        good | {"spec": {"replicatedJobs": [{"template": {"long": "x"}}]}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(wrong)


@pytest.mark.parametrize(
    "text, found",  # of a manual page, then of argparse, then of cobra
    [
        ("       -c, --cpus-per-task=<ncpus>\n", {"--cpus-per-task": True}),
        ("       --exclusive[={user|mcs}]\n", {"--exclusive": False}),
        ("       --requeue\n              Tells --hold too\n", {"--requeue": False}),
        ("  --num-slices NUM_SLICES\n", {"--num-slices": True}),
        ("  --priority {low,high}\n", {"--priority": True}),
        ("  -tgps SECONDS, --termination-grace-period-seconds SECONDS\n",
         {"--termination-grace-period-seconds": True}),
        ("  --spot                Sets --x\n", {"--spot": False}),
        ("  -i, --image string    Name\n", {"--image": True}),
        ("      --verbose         Enable\n", {"--verbose": False}),
    ],
)  # fmt: skip
def test_options_are_read_from_help(text, found):
    assert listed(text) == found


def test_copies_hold_what_is_rendered_most():
    commands = checks.published("sbatch")["commands"]
    assert commands["sbatch"]["--nodes"] and not commands["sbatch"]["--requeue"]
    assert commands["srun"]["--cpus-per-task"]

# SPDX-License-Identifier: Apache-2.0
"""The frozen shape of JSON results: tests/data/schema/NAME.json."""

import json
import os

import jsonschema

from .programs import TOP


def check_schema(name, content):
    """Returns content; fails when it does not have the shape."""
    with open(os.path.join(TOP, "tests", "data", "schema", f"{name}.json"),
              encoding="utf-8") as f:
        schema = json.load(f)
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(content, schema, jsonschema.Draft7Validator)
    return content

# SPDX-License-Identifier: Apache-2.0
"""A dshard.yml with periods short enough for tests."""

import copy
import json
import os

FAST = {
    "health_check": {"interval": "100ms", "timeout": "500ms"},
    "ring": {"rejoin_after": "200ms", "shrink_hold": "200ms"},
}


class _Bare(str):
    pass


def _scalar(value):
    """JSON's scalars are YAML's; durations and the like stand without quotes."""
    if isinstance(value, _Bare):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def to_yaml(value, indent=0):
    pad, lines = "  " * indent, []
    for key, item in value.items():
        if isinstance(item, dict):
            lines += ([f"{pad}{key}:", to_yaml(item, indent + 1)] if item
                      else [f"{pad}{key}: {{}}"])
        elif isinstance(item, list):
            lines.append(f"{pad}{key}:" if item else f"{pad}{key}: []")
            lines += [f"{pad}  - {_item(i)}" for i in item]
        else:
            lines.append(f"{pad}{key}: {_scalar(item)}")
    return "\n".join(lines)


def _item(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_scalar(v)}" for k, v in value.items()) + "}"
    return _scalar(value)


class ConfigFile:
    """ConfigFile(dir, [servers], ring={"min_healthy": 2}): fast periods unless told
    otherwise; a section that is given is merged into them, None removes it."""

    def __init__(self, directory, servers, state_file=None, name="dshard.yml", **sections):
        self.path = os.path.join(directory, name)
        self.state_file = state_file or os.path.join(directory, "ring.json")
        self.content = copy.deepcopy(FAST)
        self.content["pushgateway"] = {"servers": list(servers)}
        self.content["state_file"] = self.state_file
        self.set(**sections)

    def set(self, servers=None, **sections):
        """Changes sections and writes the file anew."""
        if servers is not None:
            self.content["pushgateway"]["servers"] = list(servers)
        for name, section in sections.items():
            if section is None:
                self.content.pop(name, None)
            elif isinstance(section, dict):
                self.content.setdefault(name, {}).update(section)
            else:
                self.content[name] = section
        self.write_text(to_yaml(self.content) + "\n")
        return self

    def write_text(self, text):
        temp = f"{self.path}.new"
        with open(temp, "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(temp, self.path)

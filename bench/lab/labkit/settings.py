"""The configuration file of a service of the lab: JSON, read at start and again on SIGHUP."""
import json

KNOWN = {"workers": int, "audit": str, "audit_retry_s": float}


def parse(text):
    """Settings as a dictionary; ValueError names what is wrong."""
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("not an object")
    for key, value in data.items():
        if key not in KNOWN:
            raise ValueError(f"unknown key '{key}'")
        want = (int, float) if KNOWN[key] is float else KNOWN[key]
        if isinstance(value, bool) or not isinstance(value, want):
            raise ValueError(f"'{key}' is not {KNOWN[key].__name__}")
    return data


def read(path):
    if not path:
        return {}
    with open(path, encoding="utf-8") as file:
        return parse(file.read())

"""Texts written under grammars, judged by others: json of Python reads them, jsonschema says whether they fit.

The schemas are made by chance out of everything that is built; a thousand of them by default. Every text is written by
choosing among what the masks allow (tests/unit/worker/grammar/grammar_walk.c), over a small vocabulary of our own and, where
it is there, over that of SmolLM2.
"""
import json
import os
import pathlib
import random
import re
import subprocess

import pytest

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (tests/requirements.txt)")

ROOT = pathlib.Path(__file__).resolve().parents[4]
WALK = pathlib.Path(os.environ.get("OPS_BUILD", ROOT / "build" / "dev")) / "tests" / "grammar_walk"
MODEL = "SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf"
LONG = os.environ.get("OPS_TEST_LONG") == "1"
SCHEMAS = 5000 if LONG else 1000

NAMES = ["a", "b", "id", "name", "the", "ab", "abc", "x y", "é", "q\"uote", "back\\slash", "line\nfeed", "😀", "a/b", "~", ""]
PATTERNS = ["^[a-z]{2,5}$", "^a|b$", "ab+c?", "^(foo|bar)(-[0-9]{1,3})*$", "^\\d{3}-\\d{2}$", "[^a-z]", "^\\w+$", "^\\s?x\\S$", "^.{0,4}$",
            "^[\"\\\\\\n]{1,3}$", "^é+€?$", "^\\u0041\\x42$", "^(?:ab){2,}$", "^[^\\d\\s]{1,3}$", "^$", "^(0|[1-9]\\d{0,3})\\.\\d$", "\\D\\W"]
FORMATS = ["date-time", "date", "time", "uuid", "ipv4", "ipv6"]


class Maker:
    """Random schemas that something satisfies, by a seed."""

    def __init__(self, seed):
        self.r, self.defs, self.open_defs = random.Random(seed), {}, []

    def integer(self):
        s, r = {"type": "integer"}, self.r
        lo = r.choice([0, 1, -1, 7, 99, -1000, 10**6, -(10**9), 10**15]) + r.randrange(-3, 4)
        if r.random() < 0.6:
            s[r.choice(["minimum", "exclusiveMinimum"])] = lo
        if r.random() < 0.6:
            s[r.choice(["maximum", "exclusiveMaximum"])] = lo + r.choice([2, 3, 9, 10, 100, 12345, 10**12])
        return s

    def number(self):
        s, r = {"type": "number"}, self.r
        lo = r.choice([0, -1, 5, -100, 999])
        if r.random() < 0.6:
            s["minimum"] = r.choice([lo, float(lo)])
        if r.random() < 0.6:
            s["maximum"] = lo + r.choice([0, 1, 2, 50, 1000])
        return s

    def string(self):
        s, r = {"type": "string"}, self.r
        kind = r.randrange(4)
        if kind == 0:
            s["pattern"] = r.choice(PATTERNS)
        elif kind == 1:
            s["format"] = r.choice(FORMATS)
        elif kind == 2:
            lo = r.randrange(0, 6)
            if r.random() < 0.7:
                s["minLength"] = lo
            if r.random() < 0.7:
                s["maxLength"] = lo + r.randrange(0, 30)
        return s

    def value(self, depth):
        r = self.r
        return r.choice([None, True, False, 0, -3, 1.5, 1e-3, 10**14, "", "x", "é\"\\\n", "a" * 20, [1, "a"], {"k": [None]}, {}])

    def enum(self, depth):
        if self.r.random() < 0.2:
            return {"const": self.value(depth)}
        return {"enum": [self.value(depth) for _ in range(self.r.choice([1, 2, 3, 8, 40]))]}

    def array(self, depth):
        s, r = {"type": "array"}, self.r
        if r.random() < 0.4:
            s["prefixItems"] = [self.any(depth + 1) for _ in range(r.randrange(1, 4))]
        if r.random() < 0.8:
            s["items"] = r.choice([True, False]) if r.random() < 0.15 else self.any(depth + 1)
        lo = r.randrange(0, 4)
        if s.get("items") is False:
            lo = min(lo, len(s.get("prefixItems", ())))
        if r.random() < 0.5:
            s["minItems"] = lo
        if r.random() < 0.5:
            s["maxItems"] = lo + r.randrange(0, 4)
        return s

    def object(self, depth, names=NAMES):
        s, r = {"type": "object"}, self.r
        picked = r.sample(names, r.randrange(0, 6))
        if picked or r.random() < 0.5:
            s["properties"] = {n: self.any(depth + 1) for n in picked}
        s["required"] = [n for n in picked if r.random() < 0.6]
        kind = r.randrange(5)
        if kind < 2:
            s["additionalProperties"] = False
        elif kind == 2:
            s["additionalProperties"] = self.any(depth + 1)
        elif kind == 3:
            s["additionalProperties"] = True
            if r.random() < 0.5:
                s["required"].append("extra")
        return s

    def all_of(self, depth):
        """Objects that do not contradict each other."""
        half = len(NAMES) // 2
        a, b = self.object(depth, NAMES[:half]), self.object(depth, NAMES[half:])
        for s in (a, b):
            s.pop("additionalProperties", None)
            s["required"] = [n for n in s["required"] if n in s.get("properties", {})]
        return {"allOf": [a, b]} if self.r.random() < 0.5 else {**a, "allOf": [b]}

    def ref(self, depth):
        name = f"d{self.r.randrange(4)}"
        if name not in self.defs:
            self.defs[name] = None
            self.defs[name] = self.any(depth + 1)
        return {"$ref": f"#/$defs/{name}"}

    def any(self, depth):
        r = self.r
        leaves = [self.integer, self.number, self.string, lambda: {"type": "boolean"}, lambda: {"type": "null"}, lambda: self.enum(depth)]
        if depth > 4:
            return r.choice(leaves)()
        inner = [lambda: self.array(depth), lambda: self.object(depth), lambda: self.object(depth), lambda: self.all_of(depth),
                 lambda: {r.choice(["anyOf", "oneOf"]): [self.any(depth + 1) for _ in range(r.randrange(1, 4))]},
                 lambda: {**self.string(), "type": ["string", "null"]}, lambda: {"type": ["integer", "boolean", "null"]},
                 lambda: r.choice([{}, True]), lambda: self.ref(depth)]
        s = r.choice(leaves if r.random() < 0.4 else inner)()
        if isinstance(s, dict) and r.random() < 0.1:
            s = {"title": "t", "description": "d", **s}
        return s

    def schema(self):
        s = self.object(0) if self.r.random() < 0.8 else self.any(0)
        if isinstance(s, dict) and self.defs:
            s["$defs"] = self.defs
        return s


def as_read(schema):
    """oneOf is read as anyOf (grammar.h), so it is judged as that."""
    if isinstance(schema, dict):
        return {"anyOf" if k == "oneOf" and isinstance(v, list) else k: as_read(v) for k, v in schema.items()}
    return [as_read(v) for v in schema] if isinstance(schema, list) else schema


def walk(lines, texts=2, tokens=30, seed=1, model=None):
    """The answers to input lines: each a list of texts, or an error's text."""
    words = [str(WALK), str(texts), str(tokens), str(seed)] + ([str(model)] if model else [])
    got = subprocess.run(words, input="".join(line + "\n" for line in lines), capture_output=True, text=True, timeout=900)
    assert got.returncode == 0, got.stderr
    answers, now = [], []
    for line in got.stdout.splitlines():
        if line == "end":
            answers.append(now)
            now = []
        elif line.startswith("error "):
            now = line[6:]
        else:
            assert line.startswith("text "), f"{line[:500]}\nfor {lines[len(answers)][:1000]}"
            now.append(json.loads(line[5:]))
    assert len(answers) == len(lines)
    return answers


def refuse(text):
    raise ValueError(text)


def judge(schema, texts):
    check = jsonschema.Draft202012Validator(as_read(schema), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    for text in texts:
        value = json.loads(text, parse_constant=refuse)
        error = next(iter(check.iter_errors(value)), None)
        assert error is None, f"{error.message}\n{text}\n{json.dumps(schema)}"


def model_path():
    home = os.environ.get("OPSD_MODELS") or os.path.join(os.environ.get("XDG_DATA_HOME", os.path.expanduser("~/.local/share")), "opsd/models")
    path = pathlib.Path(home) / MODEL
    if not path.exists():
        pytest.skip(f"{path} is not there (scripts/models.sh)")
    return path


def fuzz(count, first, **more):
    schemas = [Maker(first + i).schema() for i in range(count)]
    lines = [("spaced " if i % 3 == 0 else "schema ") + json.dumps(s) for i, s in enumerate(schemas)]
    answers = walk(lines, **more)
    refused = 0
    for schema, texts in zip(schemas, answers):
        if isinstance(texts, str):  # what chance made unsatisfiable, entered for ever, or merged in a way that is not built
            assert re.match(r"EINVAL .*(no text satisfies it|begins with itself)|EUNIMPL .*must hold together|ETOOBIG ", texts), f"{texts}\n{json.dumps(schema)}"
            refused += 1
        else:
            judge(schema, texts)
    assert refused <= count * 0.15, f"{refused} of {count} were refused: the generator no longer makes what is built"


def test_fuzzed_schemas_give_only_what_fits():
    fuzz(SCHEMAS, 1)


def test_fuzzed_schemas_with_a_real_vocabulary():
    fuzz(SCHEMAS // 5, 100001, model=model_path(), texts=2, tokens=40)


@pytest.mark.parametrize("schema", [
    {"type": "object", "properties": {"node": {"$ref": "#"}, "v": {"type": "integer"}}, "required": ["v"], "additionalProperties": False},
    {"$ref": "#/$defs/t", "$defs": {"t": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/t"}, {"type": "null"}]}}}},
    {"type": "array", "minItems": 3, "items": {"type": "string", "minLength": 40, "maxLength": 45}},
    {"enum": [f"svc-{i:05}" for i in range(5000)]},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"properties": {"a": {}, "ab": {}, "é": {}}, "additionalProperties": {"type": "null"}},
    {"type": "object", "properties": {"k": {"type": "string"}, "n": {"type": "integer"}},
     "anyOf": [{"required": ["k"]}, {"required": ["n"]}], "additionalProperties": False},
    {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False},
    {"allOf": [{"$ref": "#/$defs/a"}, {"properties": {"c": {"$ref": "#"}}}], "$defs": {"a": {"type": "object", "properties": {"x": {"minimum": 3, "type": "integer"}}, "required": ["x"]}}},
    {"type": ["object", "null"], "properties": {"deep": {"$ref": "#"}}, "required": ["deep"], "additionalProperties": False},
])
def test_schemas_one_by_one(schema):
    for kind in ("schema ", "spaced "):
        (texts,) = walk([kind + json.dumps(schema)], texts=40, tokens=60)
        assert isinstance(texts, list), texts
        judge(schema, texts)


def test_deep_nesting_is_closed():
    (texts,) = walk(['object {}'], texts=30, tokens=3000)
    for text in texts:
        assert isinstance(json.loads(text, parse_constant=refuse), dict)


@pytest.mark.parametrize("schema,said", [
    ({"not": {}}, "EUNIMPL schema at '#': not"),
    ({"type": "object", "properties": {"a/b": {"uniqueItems": True}}}, "EUNIMPL schema at '#/properties/a~1b': uniqueItems"),
    ({"anyOf": [{"type": "string"}, {"type": "string", "format": "hostname"}]}, "EUNIMPL schema at '#/anyOf/1': hostname"),
    ({"type": "string", "pattern": "(?=a)"}, "EUNIMPL schema at '#': pattern: pattern, byte 1"),
    ({"type": "string", "pattern": "a{3,1}"}, "EINVAL schema at '#': pattern"),
    ({"type": "thing"}, "EINVAL schema at '#': type: no such type"),
    ({"$ref": "#/$defs/x"}, "EINVAL schema at '#': $ref: it names nothing"),
    ({"$ref": "https://example.org/s"}, "EUNIMPL schema at '#': $ref"),
    ({"$ref": "#"}, "EINVAL schema: '#' begins with itself"),
    ({"type": "array", "items": {"multipleOf": 3}}, "EUNIMPL schema at '#/items': multipleOf"),
    ({"type": "integer", "minimum": 5, "maximum": 4}, "EINVAL schema: no text satisfies it"),
    ({"required": ["a"], "properties": {"a": False}}, "EINVAL schema: no text satisfies it"),
    ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "EINVAL schema: no text satisfies it"),
    ({"minLength": -1}, "EINVAL schema at '#': minLength"),
    ({"enum": ["a"], "minLength": 3}, "EUNIMPL schema at '#': minLength: beside enum"),
    ({"type": "number", "minimum": 0.5}, "EUNIMPL schema at '#': minimum"),
])
def test_what_is_not_built_is_named(schema, said):
    (answer,) = walk(["schema " + json.dumps(schema)])
    assert isinstance(answer, str) and answer.startswith(said), answer


def test_broken_json_is_told_with_its_place():
    (answer,) = walk(['schema {"type": "object",,}'])
    assert answer.startswith("EINVAL schema: no JSON at line 1 column"), answer


@pytest.mark.parametrize("grammar,pattern", [
    ('root ::= "a"* [x-z]{2,3} (b | "q")?\nb ::= "B" # comment\n', r"a*[x-z]{2,3}[Bq]?"),
    ("root ::= 'it''s' | \"\\x41\\u00e9\\U0001F600\"", "its|A\u00e9\U0001f600"),
    ('root ::= [^\\n"]{1,3} "\\n"', '[^\n"]{1,3}\n'),
    ('root ::= list\nlist ::= item ("," item)*\nitem ::= [0-9]+ | "(" list ")"', r"[0-9,()]+"),
    ('root ::= . . "é"?', r"[^\n]{2}\u00e9?"),
    ('root ::= "<" %json {"type": "array", "items": {"enum": [1, "#"]}} ">" | %json {"const": null}', r'<\[\s*((1|"#"),\s*)*(1|"#")?\s*\]>|null'),
])
def test_ebnf(grammar, pattern):
    (texts,) = walk(["ebnf " + json.dumps(grammar)], texts=60, tokens=12)
    assert isinstance(texts, list), texts
    assert all(re.fullmatch(pattern, t) for t in texts), [t for t in texts if not re.fullmatch(pattern, t)]
    assert len(set(texts)) > 1


@pytest.mark.parametrize("grammar,said", [
    ('root ::= "a', "EINVAL grammar 1:12: a text without"),
    ('root ::= x\n  y ::= "a"', "EINVAL grammar 1:10: no rule 'x'"),
    ('root ::= "a"\nroot ::= "b"', "EINVAL grammar 2:1: a second rule 'root'"),
    ("a ::= 'x'", "EINVAL grammar 1:10: there is no rule 'root'"),
    ("root ::= (('a')", "EINVAL grammar 1:16: a group without"),
    ("root ::= [z-a]", "EINVAL grammar 1:14: a range of a class"),
    ("root ::= 'a'{4,2}", "EINVAL grammar 1:18: a count is not"),
    ("root ::= é", "EINVAL grammar 1:10: a name, a text"),
    ("root ::= x 'a'\nx ::= 'b'? root", "EINVAL 'root' begins with itself"),
    ("root ::= %json [1]", "EINVAL grammar 1:16: after %json"),
    ('root ::= "a"\n  %json {"items": {"multipleOf": 2}}', "EUNIMPL grammar 2:8: in 'root': schema at '#/items': multipleOf"),
    ("root ::= 'a' root", "EINVAL no text satisfies it"),
])
def test_ebnf_errors_have_a_place(grammar, said):
    (answer,) = walk(["ebnf " + json.dumps(grammar)])
    assert isinstance(answer, str) and answer.startswith(said), answer

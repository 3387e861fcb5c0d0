#!/usr/bin/env python3
"""model run, bench and describe over small decoders: GGUF files and Hugging Face folders.
usage: model_run.py OPSCTL GOLDEN, where GOLDEN is tests/golden/lm"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

GOLDEN = pathlib.Path(sys.argv.pop(2))
OPSCTL = sys.argv.pop(1)
FOLDERS = GOLDEN / "hf"
ANSWERS = json.loads((FOLDERS / "answers.json").read_text())


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.models = pathlib.Path(folder.name)

    def run_(self, *args):
        return subprocess.run([OPSCTL, "model", *map(str, args)], capture_output=True, timeout=60,
                              env={**os.environ, "LC_ALL": "C", "OPSD_MODELS": str(self.models)})

    def good(self, *args):
        got = self.run_(*args)
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertEqual(got.stderr, b"")
        return got.stdout.decode()

    def bad(self, code, words, *args):
        got = self.run_(*args)
        self.assertEqual(got.returncode, code, got.stdout + got.stderr)
        self.assertIn(words, got.stderr.decode())
        self.assertEqual(got.stdout, b"")

    def copy(self, name, to=None):
        folder = self.models / (to or name)
        shutil.copytree(FOLDERS / name, folder)
        return folder


class Run(Case):
    def test_a_folder_answers_as_the_reference_does(self):
        for name, kinds in ANSWERS.items():
            for kind, want in kinds.items():
                got = self.good("run", FOLDERS / name, f"--{kind}", want["text"], "--tokens", len(want["answer"]))
                self.assertEqual(got, want["says"] + "\n", (name, kind))

    def test_a_file_answers_as_the_folder_of_the_same_model(self):
        file, folder = GOLDEN / "gpt2.gguf", FOLDERS / "gpt2"
        want = ANSWERS["gpt2"]["prompt"]
        self.assertEqual(self.good("run", file, "--prompt", want["text"], "--tokens", 24), want["says"] + "\n")
        (self.models / "one").mkdir()
        shutil.copy(file, self.models / "one" / "any.gguf")
        self.assertEqual(self.good("run", "one", "--prompt", "is the", "--tokens", 9), self.good("run", folder, "--prompt", "is the", "--tokens", 9))
        said = self.good("run", file, "--chat", "the", "--system", "on", "--tokens", 8)
        self.assertNotEqual(said, self.good("run", file, "--chat", "the", "--system", "in", "--tokens", 8))

    def test_a_folder_is_found_by_its_name(self):
        self.copy("gpt2", "small")
        want = ANSWERS["gpt2"]["prompt"]
        self.assertEqual(self.good("run", "small", "--prompt", want["text"], "--tokens", 24), want["says"] + "\n")
        self.assertEqual(self.good("list").splitlines()[1].split()[:3], ["small", "safetensors", "1"])

    def test_a_stop_text_and_a_seed(self):
        want = ANSWERS["qwen2"]["prompt"]
        cut = self.good("run", FOLDERS / "qwen2", "--prompt", want["text"], "--tokens", 24, "--stop", want["says"][4:6])
        self.assertEqual(cut, want["says"][:4] + "\n")
        drawn = [self.good("run", FOLDERS / "qwen2", "--prompt", "the", "--tokens", 12, "--temperature", 2, "--seed", s) for s in (1, 1, 2)]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])

    def test_threads_do_not_change_the_answer(self):
        one, two = (self.good("run", FOLDERS / "gpt2", "--prompt", "on is", "--tokens", 20, "--threads", n) for n in (1, 2))
        self.assertEqual(one, two)

    def test_the_template_of_its_own_file_goes_first(self):
        folder = self.copy("qwen2")
        (folder / "chat_template.jinja").write_text("{% macro x() %}<|im_start|><|im_end|>{% endmacro %}")
        self.bad(1, "macro  is not built", "run", folder, "--chat", "the")
        (folder / "chat_template.jinja").unlink()
        config = json.loads((folder / "tokenizer_config.json").read_text())
        config["chat_template"] = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": config["chat_template"]}]
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        want = ANSWERS["qwen2"]["chat"]
        self.assertEqual(self.good("run", folder, "--chat", want["text"], "--tokens", 16), want["says"] + "\n")

    def test_what_is_not_there_or_not_built_is_named(self):
        self.bad(1, "config.json: the model_type 'bert' is not built", "run", self.spoiled("gpt2", '"gpt2"', '"bert"'), "--prompt", "x")
        self.bad(1, "'transformer.h.2.ln_1.weight'", "run", self.spoiled("gpt2", '"n_layer": 2', '"n_layer": 3'), "--prompt", "x")
        self.bad(5, "llama/tokenizer.json", "run", FOLDERS / "llama", "--prompt", "x")
        self.bad(5, "no chat template", "run", FOLDERS / "gpt2", "--chat", "x")
        self.bad(5, "config.json", "run", self.models, "--prompt", "x")
        self.bad(5, "nowhere", "run", "nowhere", "--prompt", "x")
        self.bad(1, "the prompt has 2 tokens and the answer up to 256: a sequence has at most 64", "run", FOLDERS / "gpt2", "--prompt", "x")

    def test_a_shard_that_is_cut_is_refused(self):
        folder = self.copy("llama")
        shard = folder / "model-00002-of-00003.safetensors"
        shard.write_bytes(shard.read_bytes()[:-1])
        self.bad(1, "model-00002-of-00003.safetensors", "bench", folder)

    def test_arguments_that_are_none(self):
        folder = FOLDERS / "gpt2"
        for words in ([], [folder], [folder, "--prompt", "a", "--chat", "b"], [folder, "--prompt", "a", "--system", "b"], [folder, "--prompt"],
                      [folder, "--prompt", "a", "--tokens", "0"], [folder, "--prompt", "a", "--top-p", "2"], [folder, folder, "--prompt", "a"],
                      [folder, "--prompt", "a", "--tokens", "4", "--stop", ""],
                      [folder, "--prompt", "a", "--seed", "-1"], [folder, "--prompt", "a", "--what", "1"]):
            self.bad(2, "opsctl model run: ", "run", *words)

    def spoiled(self, name, old, new):
        folder = self.copy(name, f"spoiled-{len(list(self.models.iterdir()))}")
        config = (folder / "config.json").read_text()
        self.assertIn(old, config)
        (folder / "config.json").write_text(config.replace(old, new))
        return folder


class Bench(Case):
    def test_every_architecture_in_both_forms(self):
        for path in sorted([*GOLDEN.glob("*.gguf"), *(p for p in FOLDERS.iterdir() if p.is_dir())]):
            got = self.good("bench", path, "--threads", 1).splitlines()
            self.assertRegex(got[0], r"^pp(64|512) +\d+\.\d tokens/s$", path)
            self.assertRegex(got[1], r"^tg(64|128) +\d+\.\d tokens/s$", path)
            self.assertGreater(float(re.split(r" +", got[0])[1]), 0)
            self.assertEqual(got[2].split(), ["threads", "1"])
            self.assertIn(got[3].split()[1], ("plain", "avx2", "avx512", "vnni"))

    def test_arguments_that_are_none(self):
        for words in ([], [GOLDEN / "llama.gguf", "--threads", "65"], [GOLDEN / "llama.gguf", "x"], ["--what"]):
            self.bad(2, "opsctl model bench: ", "bench", *words)
        self.bad(1, "GGUF header", "bench", GOLDEN / "ids.json")


class Describe(Case):
    def test_a_folder(self):
        got = json.loads(self.good("describe", FOLDERS / "llama", "-o", "json"))
        self.assertEqual({k: got[k] for k in ("architecture", "safetensors", "context", "embedding", "blocks", "heads", "kv_heads", "head_width",
                                              "tensors", "tensor_types")},
                         {"architecture": "llama", "safetensors": 3, "context": 64, "embedding": 32, "blocks": 2, "heads": 4, "kv_heads": 2,
                          "head_width": 8, "tensors": 20, "tensor_types": "20 x F32"})
        self.assertEqual(got["tensor_bytes"], 4 * got["parameters"])
        self.assertIn("none: ", got["tokenizer"])
        got = json.loads(self.good("describe", FOLDERS / "qwen2", "-o", "json"))
        self.assertEqual((got["tokenizer"], got["eos"], got["chat_template"]), ("bpe/gpt-2", "<|endoftext|>", "chatml"))

    def test_the_two_forms_of_a_model_agree(self):
        file, folder = (json.loads(self.good("describe", p, "-o", "json")) for p in (GOLDEN / "gpt2.gguf", FOLDERS / "gpt2"))
        for key in ("architecture", "context", "embedding", "blocks", "feed_forward", "heads", "parameters", "tensors", "tensor_bytes"):
            self.assertEqual(file[key], folder[key], key)

    def test_an_encoder_and_something_else(self):
        tiny = json.loads(self.good("describe", GOLDEN.parent / "bert_tiny", "-o", "json"))
        self.assertEqual((tiny["architecture"], tiny["embedding"], tiny["tokenizer"]), ("bert", 16, "wordpiece"))
        self.assertNotIn("head", tiny)
        said = {p.name: json.loads(self.good("describe", p, "-o", "json")) for p in (GOLDEN.parent / "bert_heads").iterdir() if p.is_dir()}
        self.assertEqual({n: (d["head"], d["labels"]) for n, d in said.items()}, {"sequence": ("text", 3), "pair": ("text", 1), "tokens": ("tokens", 5)})
        file = json.loads(self.good("describe", GOLDEN.parent / "bert_gguf" / "tiny-f32.gguf", "-o", "json"))
        for key in ("architecture", "context", "embedding", "blocks", "feed_forward", "heads", "pooling", "tokenizer", "vocabulary", "parameters", "tensors"):
            self.assertEqual(file[key], tiny[key], key)
        for path in (GOLDEN.parent / "bert_gguf" / "wider-q8_0.gguf", GOLDEN.parent / "bert_tiny"):
            self.assertRegex(self.good("bench", path, "--threads", 1), r"embed +\d+\.\d texts/s of \d+ tokens\nthreads +1\n")
        folder = self.copy("gpt2")
        (folder / "config.json").write_text('{"model_type": "mamba"}')
        self.assertIn("'mamba' is not built", json.loads(self.good("describe", folder, "-o", "json"))["architecture"])


if __name__ == "__main__":
    unittest.main()

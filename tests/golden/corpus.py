"""The corpus of the tokenizer tests: 10,240 byte strings, the same on every machine, built from the fragments in
tokenizers/fragments.json by a generator of a few lines. tests/support/corpus.h is its twin in C: change both."""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
COUNT, GROUP, FULL = 10240, 16, 100
BLOCK = 128  # code points in one string of code_points()

FRAGMENTS = [
    # log lines and their parts
    "ERROR", "WARN ", "info: ", "2026-11-25T19:08:06.123456Z", "[pid=4242] ", "GET /api/v1/orders?id=17&x=%20 HTTP/1.1",
    "connection refused", " took 1234ms", "10.0.0.17:8080", "user_name=", "NullPointerException", "\tat com.example.Main.run(Main.java:42)",
    "0xdeadBEEF", "{\"level\":\"error\",\"n\":-1.5e-9}", "/var/log/syslog", "disk 97% full", "  indented", "don't", "DON'T", "we'll've",
    "it's", "IT'S", "'sup", "'Tis", "he'd", "I'm", "they're", "'ll", "'LL", "'\u017f", "x'", "''", "' s",
    # line ends and blanks
    "\n", "\r\n", "\r", "\n\n", "\r\n\r\n", " \n", "\n ", "\t", "\t\t", " ", "  ", "   ", "\u00a0", "\u3000", "\u2028", "\u0085", "\x0b\x0c", "\x00",
    " \u00a0 ", "a \n b", "x\r\n\ty",
    # letters, numbers, marks
    "Größe", "naïve café", "Ångström", "A\u030angstro\u0308m", "e\u0301e\u0301", "\u1e9b\u0323", "a\u0315\u0300\u05ae\u0300\u0062", "\u0301", "ﬁ", "İstanbul",
    "Σίσυφος", "Привет, мир", "שלום", "مرحبا بالعالم", "नमस्ते", "ไทย", "12345678", "٣٤٥", "Ⅷ½²", "१२३", "3.14159", "1,000,000",
    # CJK, Hangul, Kana
    "磁盘空间不足", "服务启动成功。", "ログメッセージ", "한국어", "\u1112\u1161\u11ab", "カ\u3099", "漢字かな交じり文",
    # emoji
    "🔥", "👩‍👩‍👧", "👍🏽", "🇩🇪", "❤️", "💾💾",
    # text of special tokens
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<s>", "</s>", "<unk>", "<bos>", "<eos>", "<pad>",
    "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<tool_call>", "<0x0A>", "<unused7>", "\u2581", "\u2581\u2581", "<table>", "[multimodal]",
    "<start_of_image>", "\u0120the", "\u010a",
    # punctuation
    "...", "-->", "!?!", "==", "(x);", "/* */", "#!/bin/sh", "\\n", "\u2026", "—", "«»", "€5", "\ufffd", "\u200b", "\u200d", "\ufeff", "\u00ad",
]
BROKEN = ["ff", "80", "c3", "e29c", "f09f92", "c0af", "eda080", "f4908080", "f0808080", "c328", "e28228a1", "fe"]

FRAGMENTS = [f.encode() for f in FRAGMENTS] + [bytes.fromhex(b) for b in BROKEN]
MASK = (1 << 64) - 1


class Random:
    """splitmix64 (Steele, Lea, Flood 2014)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % n


def part(r):
    kind = r.below(16)
    fragment = FRAGMENTS[r.below(len(FRAGMENTS))]
    n = 1 + r.below(8)
    if kind < 9:
        return fragment
    if kind == 9:
        return fragment * (2 + r.below(32))
    if kind == 10:
        return bytes(33 + r.below(94) for _ in range(n))
    if kind == 11:
        return bytes(48 + r.below(10) for _ in range(n))
    if kind == 12:
        c = r.below(0x30000)
        return chr(0xE000 if 0xD800 <= c < 0xE000 else c).encode()
    if kind == 13:
        return bytes(b" \t\n\r"[r.below(4)] for _ in range(n))
    if kind == 14:
        return bytes([128 + r.below(128)])
    return bytes(97 + r.below(26) for _ in range(3 * n))


def text(i):
    r = Random(i)
    if i % 1024 == 1000:  # very long runs
        return FRAGMENTS[r.below(len(FRAGMENTS))] * 3000
    return b"".join(part(r) for _ in range(1 + r.below(10)))


def texts():
    return [text(i) for i in range(COUNT)]


def code_points():
    """Every code point between letters, digits, blanks and at the end, BLOCK in a string."""
    cps = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    return ["".join(f"x{chr(c)}y {chr(c)}1\n" for c in cps[i:i + BLOCK]).encode() for i in range(0, len(cps), BLOCK)]


def lossy(b):
    return b.decode("utf-8", "replace")


def fnv(numbers, h=0xCBF29CE484222325):
    """FNV-1a, 64 bit, over little-endian 32-bit numbers."""
    for v in numbers:
        for k in range(4):
            h = ((h ^ (v >> (8 * k) & 255)) * 0x100000001B3) & MASK
    return h


def digests(sequences, group):
    """One hash a group; each sequence is preceded by its length."""
    out = []
    for at in range(0, len(sequences), group):
        h = 0xCBF29CE484222325
        for s in sequences[at:at + group]:
            h = fnv([len(s), *s], h)
        out.append(f"{h:016x}")
    return out


def write_fragments():
    rows = [f.hex() for f in FRAGMENTS]
    (HERE / "tokenizers" / "fragments.json").write_text(json.dumps(rows, separators=(",", ":")) + "\n")

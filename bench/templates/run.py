"""The template miner beside Drain3 and the drain package of Loki: lines a second on one core, and whether the cost stays flat.

Lines: every raw log line of the lab's recordings (nginx, PostgreSQL, redis, two applications), as written, dealt into one order
and repeated until there are a million; from the second repeat on the digits of numbers of three and more digits are others, so
that a cache of lines does not live off the repeating. All three read the same files and have the lines in memory before the clock
starts; only the mining is timed, as CPU time: of our thread, of the whole process for the rivals, whose runtimes (Go with one
processor, Python) collect garbage beside it.

Ours is one miner with its defaults for all lines. Each rival is run in two ways and the faster counts: Loki with one Drain a
stream, as its ingester has it, and with one for all; Drain3 with and without the example masks of its documentation. Drain3 gets
every tenth line, and ours beside it the same tenth. Rounds alternate (ours, rival, ours, rival); a ratio is the median of the
rounds' ratios of cost per line offered. Lines that Loki refuses (fewer than 4 tokens, more than 80, too long, or while it holds back) count as if
it had done their work; `loki_refused` is their share.

Flat over lines: `ns_per_line_10k`..`_10m` is the cost over the second half of so many lines of a fresh miner. Few lines still bring
rare forms that are new, and a birth costs as much as some forty lines, so the curve falls before it is flat; `flat_lines` is its largest
over its smallest. What must not be is that it rises: `rise_lines` is the most that a size costs of a smaller one's, with half as much
again for noise.

Flat over templates: `ns_per_line_100_templates`..`_100k_templates` is the cost with so many live templates of synthetic words,
each met with the same chance; `flat_templates` is the largest over the smallest. With 100 all of it lies in the fastest cache; at
100 k nothing of a template is in any, and a line needs its table entry, its template, and when the table did not know it, its
words and those of what stood there: reads that wait for memory, `touch_ns_100k` each. So what must be flat is the work, and
`reads_more_100k` says what a line at 100 k costs beyond one at 100, in such reads: a search that grows with the templates would
pass four of them at once. The same with `_skewed` is where the k-th template's chance falls as 1/k, as in real streams.

`bytes_per_template` is what malloc has given out for the miner, its fixed tables included, over live templates.
"""
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import linemix  # noqa: E402
import rivals  # noqa: E402

TARGETS = ["bench_templates"]
BARS = {"lines_per_s": (">=", 1000000), "ratio_drain3": (">=", 10), "ratio_loki": (">=", 3), "rise_lines": ("<=", 1.5),
        "reads_more_100k": ("<=", 4), "reads_more_100k_skewed": ("<=", 2), "bytes_per_template_100k": ("<=", 2048)}
RIVAL_BARS = ("ratio_drain3", "ratio_loki")
LINES = 1000000
THIN = 10
SHAPES = ((100, "100"), (1000, "1k"), (10000, "10k"), (100000, "100k"))
NAMES = {10000: "10k", 100000: "100k", 1000000: "1m", 10000000: "10m"}
LIVE_LEAST = 0.98  # of the shapes must be templates, or the point of the curve is not what it says


def options(parser):
    parser.add_argument("--rounds", type=int, help="instead of 5, 3 with --quick, 9 with --long")


def run(words):
    got = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if got.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {got.stderr.strip()[-1000:]}")
    return json.loads(got.stdout)


def per_line(row, clock="cpu_s"):
    return row[clock] / row["lines"]


def ratio(pairs):
    """How many times ours is faster: the median over rounds of (ours, rival)."""
    return statistics.median(per_line(theirs) / per_line(ours) for ours, theirs in pairs)


def speed(rows, clock="cpu_s"):
    return round(1 / statistics.median(per_line(row, clock) for row in rows))


def flat(costs):
    """Largest over smallest; None when a point is missing."""
    return None if not costs or None in costs else round(max(costs) / min(costs), 3)


def rise(costs):
    """The most that a later cost is of an earlier one; at least 1. None when a point is missing."""
    if not costs or None in costs:
        return None
    return round(max([1] + [late / early for i, early in enumerate(costs) for late in costs[i + 1:]]), 3)


def reads_more(rows, key):
    """What the last row's lines cost beyond the first's, in reads from memory."""
    return round((rows[-1][key] - rows[0][key]) / rows[-1]["touch_ns"], 2)


def contenders(ctx, whole, thin):
    """[(name, file, words)]; who cannot be had is said and left out."""
    found = []
    if not ctx.rival:
        return found
    try:
        binary = rivals.loki(ctx.say)
        found += [(f"loki_{mode}", whole, [binary, whole, mode]) for mode in ("stream", "one")]
    except rivals.NoRival as err:
        ctx.say(f"no Loki: {err}")
    try:
        python = rivals.drain3(ctx.say)
        found += [(f"drain3_{mode}", thin, [python, str(HERE / "drain3_run.py"), thin, mode]) for mode in ("masked", "plain")]
    except rivals.NoRival as err:
        ctx.say(f"no Drain3: {err}")
    return found


def race(ctx, program, whole, thin):
    """({name: [(ours, theirs), ...]}, [ours over the whole mix])"""
    rounds = ctx.args.rounds or (3 if ctx.quick else 9 if ctx.long else 5)
    against, ours = contenders(ctx, whole, thin), []
    pairs = {name: [] for name, _, _ in against}
    for _ in range(rounds):
        if not against:
            ours.append(run([program, "mine", whole]))
        for name, path, words in against:
            mine = run([program, "mine", path])
            if path == whole:
                ours.append(mine)
            pairs[name].append((mine, run(words)))
    return pairs, ours or [run([program, "mine", whole]) for _ in range(rounds)]


def tell_race(ctx, pairs, ours):
    ctx.say(f"\n{'':16} {'lines/s CPU':>12} {'lines/s wall':>12} {'spread':>7} {'lines':>9} {'refused':>8} {'templates':>9} {'ours faster':>11}")
    rows = [("ours", ours, None)] + [(name, [t for _, t in got], ratio(got)) for name, got in pairs.items()]
    for name, got, times in rows:
        costs = [per_line(r) for r in got]
        ctx.say(f"{name:16} {speed(got):12,} {speed(got, 'wall_s'):12,} {max(costs) / min(costs):6.2f}x {got[0]['lines']:9,} "
                f"{got[0].get('refused', 0):8,} {got[0]['templates']:9,} {'' if times is None else f'{times:.2f}x':>11}")


def figures_of_race(pairs, ours):
    figures = {"lines_per_s": speed(ours), "lines_per_wall_s": speed(ours, "wall_s"),
               "mib_per_s": round(ours[0]["bytes"] / ours[0]["lines"] * speed(ours) / 2**20), "mix_lines": ours[0]["lines"],
               "mix_templates": ours[0]["templates"]}
    rival = {}
    for who in ("drain3", "loki"):
        ways = {name: got for name, got in pairs.items() if name.startswith(who)}
        figures[f"ratio_{who}"] = round(min(ratio(got) for got in ways.values()), 2) if ways else None
        for name, got in ways.items():
            rival[f"{name}_lines_per_s"] = speed([theirs for _, theirs in got])
            rival[f"{name}_templates"] = got[0][1]["templates"]
            if who == "loki":
                rival["loki_refused"] = round(got[0][1]["refused"] / got[0][1]["lines"], 4)
    return figures, rival


def curve_lines(ctx, program, whole):
    sizes = run([program, "lines", whole, str(LINES if ctx.quick else 10 * LINES)])["sizes"]
    ctx.say(f"\n{'lines seen':>12} {'ns/line':>9} {'first half':>10} {'templates':>9} {'rounds':>7}")
    for row in sizes:
        ctx.say(f"{row['lines']:12,} {row['ns']:9.1f} {row['first_half_ns']:10.1f} {row['templates']:9,} {row['rounds']:7}")
    figures = {f"ns_per_line_{NAMES[row['lines']]}": row["ns"] for row in sizes}
    figures["flat_lines"] = flat([row["ns"] for row in sizes])
    figures["rise_lines"] = rise([row["ns"] for row in sizes])
    return figures


def middle(rows):
    """One row of each figure's median."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def curve_templates(ctx, program):
    got = [[run([program, "shapes", str(count)]) for count, _ in SHAPES] for _ in range(1 if ctx.quick else 3)]
    rows = [(name, middle(of)) for (_, name), of in zip(SHAPES, zip(*got))]
    ctx.say(f"\n{'shapes':>9} {'templates':>9} {'ns/line':>9} {'skewed':>9} {'birth ns':>9} {'touch ns':>9} {'heap B/tmpl':>12} {'RSS B/tmpl':>11}")
    figures, good = {}, True
    for name, row in rows:
        ctx.say(f"{row['shapes']:9,} {row['templates']:9,} {row['ns']:9.1f} {row['skewed_ns']:9.1f} {row['birth_ns']:9.1f} {row['touch_ns']:9.1f} "
                f"{row['heap_bytes_per_template']:12.0f} {row['rss_bytes_per_template']:11.0f}")
        if row["templates"] < LIVE_LEAST * row["shapes"]:
            ctx.say(f"{row['shapes']} shapes became {row['templates']} templates: no such point on the curve")
            good = False
        figures[f"ns_per_line_{name}_templates"] = row["ns"]
        figures[f"ns_per_line_{name}_templates_skewed"] = row["skewed_ns"]
    figures["touch_ns_100k"] = rows[-1][1]["touch_ns"]
    figures["flat_templates"] = flat([r["ns"] for _, r in rows]) if good else None
    figures["flat_templates_skewed"] = flat([r["skewed_ns"] for _, r in rows]) if good else None
    measured = [row for _, row in rows]
    figures["reads_more_100k"] = reads_more(measured, "ns") if good else None
    figures["reads_more_100k_skewed"] = reads_more(measured, "skewed_ns") if good else None
    for name, row in rows[2:]:
        figures[f"bytes_per_template_{name}"] = round(row["heap_bytes_per_template"]) if good else None
        figures[f"rss_per_template_{name}"] = round(row["rss_bytes_per_template"]) if good else None
    return figures


def bench(ctx):
    program = str(ctx.bin / "bench_templates")
    with tempfile.TemporaryDirectory(prefix="opsd-templates-") as folder:
        whole, thin = folder + "/whole", folder + "/thin"
        real = linemix.deal(linemix.recorded())
        repeats = 1 if ctx.quick else linemix.repeats_for(len(real), LINES)
        count = linemix.write(whole, real, repeats)
        few = linemix.write(thin, linemix.thinned(real, THIN), repeats)
        with open(whole, "rb") as file:
            distinct = len(set(file))
        ctx.say(f"{len(real):,} real lines, {len(set(real)):,} of them distinct; in {repeats} repeats, the later ones with other digits, {count:,}, "
                f"{distinct:,} distinct; for Drain3 every {THIN}th: {few:,}")
        pairs, ours = race(ctx, program, whole, thin)
        tell_race(ctx, pairs, ours)
        figures, rival = figures_of_race(pairs, ours)
        figures.update(curve_lines(ctx, program, whole))
        figures.update(curve_templates(ctx, program))
    if not ctx.rival:
        figures = {key: value for key, value in figures.items() if key not in RIVAL_BARS}
    return figures, rival

"""Kernels over quantised weights, alone: decode against plain reading, prefill against the peak, both measured beside.

`bench_kernels` times, interleaved: one row over weights that lie in memory (and in cache) beside plain reading of the same bytes by
the same threads (`of_roof`, by the file's bytes: padding of the packed form counts against us), 16 and 512 rows beside the peak
of 8-bit dot products in registers, and the exact reference. Rivals: ggml's mul_mat over the same blocks, when --ggml names a folder
with its libraries (`bins/linux-x64` of the npm package @node-llama-cpp/linux-x64), and oneDNN's dense f32 and 8-bit GEMM of the
same shape, when libdnnl2 is installed.
"""
import json
import os
import subprocess

TARGETS = ["bench_kernels"]
NAMES = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k", "q5_k", "q6_k", "f16"]
BARS = {f"decode_memory_of_roof_{name}": (">=", 0.75) for name in NAMES}


def options(parser):
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--ggml", metavar="DIR", default=os.environ.get("OPS_BENCH_GGML"), help="folder of ggml's shared libraries")


def bench(ctx):
    repeats, mib = (5, 64) if ctx.quick else (25, 512) if ctx.long else (11, 128)
    command = [str(ctx.bin / "bench_kernels"), str(ctx.args.threads), str(repeats), str(mib)]
    if ctx.rival and ctx.args.ggml:
        command.append(ctx.args.ggml)
    elif ctx.rival:
        command.append("")
    env = {**os.environ, "OMP_NUM_THREADS": str(ctx.args.threads)}
    figures, rival = {"threads": ctx.args.threads}, {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        for line in process.stdout:
            row = json.loads(line)
            what, kind = row["what"], row.get("type", "").lower()
            if what == "decode":
                key = f"decode_{row['where']}"
                ctx.say(f"{key:16} {kind:5} {row['gbs']:7.1f} GB/s of {row['roof_gbs']:6.1f} ({row['of_roof']:.0%})   ggml {row['ggml_gbs']:6.1f}")
                figures[f"{key}_of_roof_{kind}"] = row["of_roof"]
                figures[f"{key}_gbs_{kind}"] = row["gbs"]
                if row["ggml_gbs"]:
                    figures[f"{key}_ratio_ggml_{kind}"] = row["ratio_ggml"]
                    rival[f"{key}_gbs_{kind}"] = row["ggml_gbs"]
            elif kind:
                ctx.say(f"{what:16} {kind:5} {row['gops']:7.1f} GOP/s ({row['of_peak']:.0%} of peak {row['peak_gops']:.0f}; exact {row['exact_gops']:.1f})"
                        f"   ggml {row['ggml_gops']:6.1f}, oneDNN f32 {row['dnnl_f32_gops']:6.1f}, u8s8 {row['dnnl_u8s8_gops']:6.1f}")
                figures[f"{what}_gops_{kind}"] = row["gops"]
                figures[f"{what}_of_peak_{kind}"] = row["of_peak"]
                if row["ggml_gops"]:
                    figures[f"{what}_ratio_ggml_{kind}"] = row["ratio_ggml"]
                    rival[f"{what}_gops_{kind}"] = row["ggml_gops"]
                if row["dnnl_f32_gops"]:
                    rival[f"{what}_dnnl_f32_gops_{kind}"] = row["dnnl_f32_gops"]
                    rival[f"{what}_dnnl_u8s8_gops_{kind}"] = row["dnnl_u8s8_gops"]
            else:
                ctx.say(f"{what:20} {row['us']:9.1f} us {row['gflops']:7.1f} GFLOP/s {row['cache_gbs']:6.1f} GB/s of the cache")
                figures[f"{what}_gflops"] = row["gflops"]
                figures[f"{what}_cache_gbs"] = row["cache_gbs"]
        if process.wait():
            raise RuntimeError("bench_kernels failed")
    return figures, rival

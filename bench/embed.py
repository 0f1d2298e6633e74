# The peers of bench/embed.c, for bench/embed-peers: the same model and texts through CTranslate2 or ONNX Runtime.
#
#   embed.py MODEL TEXTS.txt THREADS PRECISION PEER WORKERS CACHE    PEER: ctranslate2, onnxruntime or torch
#   embed.py --process RUNS COMMAND…      median milliseconds of whole processes, and the most memory that one had
#
# WORKERS batches are computed at once, each on THREADS / WORKERS threads. Prints what embed.c prints. Texts of mixed lengths are
# sorted by length and taken in batches of 32. Converted models are kept in CACHE; the ONNX files are those that embed.py of
# the peers' folder (FOVEA_PEERS) exports.
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

BATCH, RUNS, CALLS, SENTENCE = 32, 5, 300, "How do I locate my new card?"


def say(**row):
    print(json.dumps(row, separators=(",", ":")), flush=True)


def processes(runs, command):
    ms = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        ms.append(1e3 * (time.perf_counter() - start))
    say(value=round(statistics.median(ms[1:]), 3), peak_kb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


if sys.argv[1] == "--process":
    processes(int(sys.argv[2]), sys.argv[3:])
    sys.exit(0)

model, texts, threads, precision, peer, workers, cache = sys.argv[1:8]
threads, workers = int(threads), int(workers)
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(threads // workers)
os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np  # noqa: E402  these read the environment when they are loaded
from tokenizers import Tokenizer  # noqa: E402


def padded(ids):
    tokens = np.zeros((len(ids), max(map(len, ids))), np.int64)
    mask = np.zeros_like(tokens)
    for row, one in enumerate(ids):
        tokens[row, :len(one)] = one
        mask[row, :len(one)] = 1
    return tokens, mask


def pooled(hidden, mask):
    weights = mask[..., None].astype(np.float32)
    mean = (hidden * weights).sum(1) / weights.sum(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def ctranslate2_embed():
    import ctranslate2
    folder = os.path.join(cache, "ctranslate2")
    if not os.path.exists(folder):
        ctranslate2.converters.TransformersConverter(model).convert(folder, force=True)
    encoder = ctranslate2.Encoder(folder, device="cpu", compute_type=precision, inter_threads=workers, intra_threads=threads // workers)
    return lambda ids: pooled(np.array(encoder.forward_batch(ids).last_hidden_state), padded(ids)[1])


def onnxruntime_embed():
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads // workers
    kind = "int8" if precision == "int8" else "fp32_fused"
    session = onnxruntime.InferenceSession(os.path.join(cache, f"minilm_{kind}.onnx"), options, providers=["CPUExecutionProvider"])

    def embed(ids):
        tokens, mask = padded(ids)
        return pooled(session.run(None, {"input_ids": tokens, "attention_mask": mask})[0], mask)
    return embed


def torch_embed():
    import torch
    import transformers
    torch.set_num_threads(threads // workers)
    encoder = transformers.AutoModel.from_pretrained(model, attn_implementation="sdpa", dtype={"float32": torch.float32, "bf16": torch.bfloat16}[precision]).eval()

    def embed(ids):
        tokens, mask = padded(ids)
        with torch.inference_mode():
            hidden = encoder(input_ids=torch.from_numpy(tokens), attention_mask=torch.from_numpy(mask)).last_hidden_state
        return pooled(hidden.float().numpy(), mask)
    return embed


def seconds(fn, runs):
    fn()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        fn()
        times.append(time.perf_counter() - start)
    return sorted(times)


embed = {"ctranslate2": ctranslate2_embed, "onnxruntime": onnxruntime_embed, "torch": torch_embed}[peer]()
tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(256)
pool = ThreadPoolExecutor(workers)


def batches(ids, size):
    for _ in pool.map(embed, [ids[i:i + size] for i in range(0, len(ids), size)]):
        pass


for length in (128, 16):
    ids = np.random.default_rng(0).integers(1000, 30000, (BATCH, length)).tolist()
    say(case=f"32x{length}", value=round(BATCH * length / seconds(lambda: batches(ids, BATCH // workers), RUNS)[RUNS // 2], 3))
with open(texts, encoding="utf-8", newline="\n") as file:
    lines = file.read().split("\n")[:-1]
say(case="mixed", value=round(len(lines) / seconds(lambda: batches(sorted((e.ids for e in tokenizer.encode_batch(lines)), key=len, reverse=True), BATCH), 1)[0], 3))
if workers == 1:
    calls = seconds(lambda: embed([tokenizer.encode(SENTENCE).ids]), CALLS)
    say(case="one", value=round(1e3 * calls[CALLS // 2], 4), p99=round(1e3 * calls[CALLS * 99 // 100], 4))

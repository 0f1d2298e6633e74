# The peer of `fovea train classify --from`, for bench/tune-peers: Transformers' BERT with a head for labels, AdamW (fused).
#
#   tune.py MODEL ROWS.tsv STEPS THREADS float32|bf16
#
# Batches hold texts of like length, as many as make 768 places at most, in an order drawn by chance. Prints a JSON line with
# the real tokens a second of all steps but the first ten.
import json
import os
import random
import sys
import time

model, rows, steps, threads, precision = sys.argv[1:6]
os.environ["OMP_NUM_THREADS"] = threads
import torch  # noqa: E402  reads its environment when it is loaded
from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: E402

PLACES, SKIPPED = 768, 10
torch.set_num_threads(int(threads))
torch.manual_seed(1)
random.seed(1)

with open(rows, encoding="utf-8", newline="\n") as file:
    head, *table = [line.rstrip("\n").split("\t") for line in file]
labels = sorted({row[head.index("label")] for row in table})
tokenizer = AutoTokenizer.from_pretrained(model)
ids = tokenizer([row[head.index("text")] for row in table], truncation=True, max_length=256)["input_ids"]
order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), random.random()))

batches = [[]]
for i in order:  # the longest comes last, so that it says how wide the batch is
    if len(ids[i]) * (len(batches[-1]) + 1) > PLACES:
        batches.append([])
    batches[-1].append(i)
random.shuffle(batches)

net = AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(labels)).train()
optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
tokens = 0
for step in range(int(steps)):
    if step == SKIPPED:
        begun, tokens = time.perf_counter(), 0
    batch = batches[step % len(batches)]
    inputs = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
    target = torch.tensor([labels.index(table[i][head.index("label")]) for i in batch])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = torch.nn.functional.cross_entropy(net(**inputs).logits.float(), target)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    tokens += sum(len(ids[i]) for i in batch)
print(json.dumps({"value": round(tokens / (time.perf_counter() - begun), 1)}))

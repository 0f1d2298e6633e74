# The peer of bench/encode.c: the Hugging Face tokenizers library on the same files, for bench/tokenizers.
#
#   encode.py TOKENIZER.json TEXTS.txt
#
# The same work in its quickest way: one call for all texts, one thread, its caches as it keeps them. Prints
# the same JSON line, and its version.
import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import tokenizers  # noqa: E402  it reads its environment when it is loaded

WARM_UP = 200

tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
with open(sys.argv[2], encoding="utf-8", newline="\n") as file:
    texts = file.read().split("\n")
if not texts[-1]:
    texts.pop()
tokenizer.encode_batch(texts[:WARM_UP], add_special_tokens=False)
texts = texts[WARM_UP:]
start = time.process_time()
encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
seconds = time.process_time() - start
size = sum(len(t.encode()) for t in texts)
ids = [e.ids for e in encoded]
print(json.dumps({"mb_per_s": round(1e-6 * size / seconds, 3), "ids": sum(map(len, ids)), "sum": sum(map(sum, ids)), "version": tokenizers.__version__}, separators=(",", ":")))

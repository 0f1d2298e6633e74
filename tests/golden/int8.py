"""Makes tests/golden/encoders/int8: a folder that `fovea compress --int8` wrote, and what Transformers makes of it.

    build/fovea compress tests/golden/encoders/sentence --out /tmp/int8 --int8
    python tests/golden/int8.py /tmp/int8 tests/golden/encoders/int8

Made with torch 2.15.0, transformers 5.23.0, compressed-tensors 0.20.1. The vectors are means of the hidden states of its body, as
sentence-transformers takes them, without what follows.
"""
import json
import os
import shutil
import sys

import torch
from transformers import AutoModel, AutoTokenizer

texts = ["a cat sat.", "The Dog, and café", "hello", "a cat, a dog"]
source, out = sys.argv[1:]
os.makedirs(out, exist_ok=True)
for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
    shutil.copy(os.path.join(source, name), out)
tokenizer, model = AutoTokenizer.from_pretrained(out), AutoModel.from_pretrained(out).eval()
assert model.encoder.layer[0].output.dense.weight.dtype == torch.int8
rows = []
for text in texts:
    with torch.no_grad():
        hidden = model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0].float()
    rows.append({"text": text, "vector": [round(float(x), 7) for x in hidden.mean(0)]})
with open(os.path.join(out, "expected.json"), "w", encoding="utf-8") as f:
    json.dump(rows, f, ensure_ascii=False, indent=1)
    f.write("\n")

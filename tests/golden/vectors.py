"""What sentence-transformers makes of a folder that `fovea train embed` wrote: expected.json beside it, which
tests/train/objective_embed_test.c compares with. The folder itself came from

    printf 'text\\ttext2\\none bird\\tein vogel\\ntwo birds\\tzwei vögel\\nthree rivers\\tdrei flüsse\\n' > pairs.tsv
    fovea train embed --train pairs.tsv --valid pairs.tsv --out tests/golden/vectors --layers 1 --width 16 --heads 2 --ffn 24 \\
        --max-len 24 --vocab 300 --steps 8 --dims 8

of which config.json, model.safetensors, tokenizer.json, modules.json, fovea.json and what modules.json lists are kept.

    pip install torch==2.15.0 transformers==5.23.0 sentence-transformers==6.2.0
    python tests/golden/vectors.py tests/golden/vectors
"""

import json
import os
import sys

import sentence_transformers

TEXTS = ["one bird", "zwei Vögel, drei Flüsse", "日本", "a", " ".join(["river"] * 40)]

folder = sys.argv[1]
model = sentence_transformers.SentenceTransformer(folder, device="cpu")
rows = [{"text": text, "vector": [round(float(x), 6) for x in model.encode(text)]} for text in TEXTS]
with open(os.path.join(folder, "expected.json"), "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")

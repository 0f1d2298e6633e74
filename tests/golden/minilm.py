"""What sentence-transformers makes of all-MiniLM-L6-v2 (tools/fetch-minilm).

    pip install torch==2.15.0 transformers==5.23.0 sentence-transformers==6.2.0

Records every 24th number of the vectors of a few texts, for tests/infer/minilm_test.c:

    python tests/golden/minilm.py record MODEL > tests/golden/minilm.jsonl

Compares the vectors of the lines of files with those of `fovea embed`, and prints the smallest cosine:

    python tests/golden/minilm.py compare MODEL build/fovea FILE...
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy
import sentence_transformers

EVERY = 24
TEXTS = [
    "A man is eating food.", "a man is eating food", "A MAN IS EATING FOOD!!!", "", " ", "a", "How do I reset my card PIN?",
    "My card was swallowed by the ATM yesterday, and I can't reach anybody.", "naïve café, Ünïcödé & ﬁnancial ½", "我的包裹还没到", "満足しています。日本語のテキスト", "مرحبا بالعالم", "नमस्ते दुनिया",
    "😀 emoji 👩‍👩‍👧 in a text", "tab\tand  spaces \u00a0 everywhere", "[MASK] [SEP] as words", "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis", "x" * 150,
    "3.14159 2024-01-31 1,000,000 €5", "http://example.com/a?b=c&d=e#f user@example.com", "don't won't it's o'clock", "\u202eright to left\u202c zero\u200bwidth",
    "The quick brown fox jumps over the lazy dog. " * 20, "word " * 400,
]


def record(model):
    for text in TEXTS:
        vector = model.encode(text)
        print(json.dumps({"text": text, "numbers": [round(float(x), 7) for x in vector[::EVERY]]}, ensure_ascii=False))


def compare(model, fovea, folder, files):
    texts = [line for file in files for line in open(file, encoding="utf-8", newline="\n").read().split("\n") if line.strip() and "\r" not in line and "\0" not in line]
    with tempfile.TemporaryDirectory() as scratch:
        lines, vectors = os.path.join(scratch, "lines"), os.path.join(scratch, "v.npy")
        with open(lines, "w", encoding="utf-8", newline="\n") as out:
            out.writelines(text + "\n" for text in texts)
        subprocess.check_call([fovea, "embed", folder, lines, "--npy", vectors])
        ours = numpy.load(vectors).astype(numpy.float64)
    theirs = model.encode(texts).astype(numpy.float64)
    cosines = (ours * theirs).sum(1) / numpy.linalg.norm(ours, axis=1) / numpy.linalg.norm(theirs, axis=1)
    print(f"{len(texts)} texts, smallest cosine {cosines.min():.12f}, largest difference of a number {abs(ours - theirs).max():.3g}: {texts[cosines.argmin()][:80]!r}")


model = sentence_transformers.SentenceTransformer(sys.argv[2], device="cpu")
if sys.argv[1] == "record":
    record(model)
else:
    compare(model, sys.argv[3], sys.argv[2], sys.argv[4:])

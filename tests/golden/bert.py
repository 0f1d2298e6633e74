"""Records what Hugging Face Transformers makes of the model folder bert-tiny: ids and logits of texts and
pairs, one JSON object a line. tests/models/golden_test.c compares; the folder was trained once by

    fovea train classify --train demo/train.tsv --valid demo/test.tsv --out tests/golden/bert-tiny \\
        --layers 2 --width 32 --heads 2 --ffn 64 --max-len 48 --vocab 400 --steps 200 --lr 0.003 --no-wide

of which config.json, model.safetensors, tokenizer.json, tokenizer_config.json and fovea.json were kept.

    pip install torch==2.15.0 transformers==5.23.0
    python tests/golden/bert.py tests/golden/bert-tiny > tests/golden/bert-tiny/logits.jsonl
"""

import json
import sys

import torch
import transformers

TEXTS = [
    ("where is my parcel?", None),
    ("满一百送的小样还送吗？", None),
    ("How much is SHIPPING to Norway", None),
    ("", None),
    ("café ﬁnal ½ 👩‍👩‍👧 \t x", None),
    ("my card was charged", "退货要多少钱"),
    ("", "only the second"),
    ("one two three four five six seven", "one"),
    ("where is my parcel? " * 9, None),
]


def main(folder):
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    model = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
    for text, text2 in TEXTS:
        inputs = tokenizer(text, text2, truncation=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits[0]
        row = {"text": text, "text2": text2, "ids": inputs["input_ids"][0].tolist(), "logits": [round(float(x), 7) for x in logits]}
        print(json.dumps(row, ensure_ascii=False))


main(sys.argv[1])

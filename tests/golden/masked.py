"""Records what Hugging Face Transformers makes of the model folder bert-masked: ids of texts with a word hidden, and how
surprised it is by some tokens there, one JSON object a line. tests/infer/masked_test.c compares; the folder was trained
once by

    fovea train mlm --train demo/train.tsv --valid demo/test.tsv --out tests/golden/bert-masked \\
        --layers 2 --width 32 --heads 2 --ffn 64 --max-len 48 --vocab 400 --steps 300 --lr 0.004

of which config.json, model.safetensors, tokenizer.json, tokenizer_config.json and fovea.json were kept.

    pip install torch==2.15.0 transformers==5.23.0
    python tests/golden/masked.py tests/golden/bert-masked > tests/golden/bert-masked/losses.jsonl
"""

import json
import sys

import torch
import transformers

TEXTS = ["where is my [MASK]?", "[MASK]", "how much is [MASK] to Norway", "满一百送的[MASK]还送吗？", "I [MASK] my money back, please send it today"]
EVERY = 13  # of the vocabulary


def main(folder):
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    model, info = transformers.BertForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    model.eval()
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors="pt")
        place = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
        with torch.no_grad():
            losses = -torch.log_softmax(model(**inputs).logits[0, place].double(), -1)
        row = {"text": text, "ids": inputs["input_ids"][0].tolist(), "place": place, "losses": [round(float(x), 7) for x in losses[::EVERY]]}
        print(json.dumps(row, ensure_ascii=False))


main(sys.argv[1])

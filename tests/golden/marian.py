"""Makes a tiny MarianMTModel with random weights and records its logits: for each pair of texts, given as ids, the
logits after each token of the target. tests/models/seq2seq_golden_test.c compares.

    pip install torch==2.15.0 transformers==5.23.0
    python tests/golden/marian.py make tests/golden/marian-tiny

The other way round, the folders that the test writes are read by Transformers, which must find their logits:

    FOVEA_MARIAN=FOLDER build/tests/models/seq2seq_golden_test
    python tests/golden/marian.py check FOLDER/tied FOLDER/separate
"""

import json
import os
import sys

import torch
import transformers

VOCAB = ["</s>", "<unk>"] + [chr(ord("a") + i) for i in range(20)] + ["<pad>"]
PAIRS = [
    ([2, 3, 4, 0], [22, 5, 6, 7, 8]),
    ([9, 0], [22]),
    ([0], [22, 0, 1]),
    ([21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 0], [22, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3]),
]


def make_model():
    torch.manual_seed(7)
    config = transformers.MarianConfig(
        vocab_size=len(VOCAB), d_model=8, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=12, decoder_ffn_dim=12, activation_function="swish", max_position_embeddings=16, scale_embedding=True,
        pad_token_id=22, eos_token_id=0, forced_eos_token_id=0, decoder_start_token_id=22,
    )
    model = transformers.MarianMTModel(config).eval()
    fixed = {id(side.embed_positions.weight) for side in (model.model.encoder, model.model.decoder)}
    with torch.no_grad():  # away from zero and one, so that each of them counts
        for weight in list(model.parameters()) + [model.final_logits_bias]:
            if id(weight) not in fixed:
                weight.add_(torch.randn_like(weight) * 0.3)
    return model


def logits_of(model, source, target):
    with torch.no_grad():
        return model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([target]), use_cache=False).logits[0].tolist()


def make(folder):
    model = make_model()
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "generation_config.json"))
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as file:
        json.dump({token: i for i, token in enumerate(VOCAB)}, file)
    with open(os.path.join(folder, "logits.jsonl"), "w", encoding="utf-8") as file:
        for source, target in PAIRS:
            rows = [[round(x, 6) for x in row] for row in logits_of(model, source, target)]
            print(json.dumps({"source": source, "target": target, "logits": rows}), file=file)


def check(folder):
    model, report = transformers.MarianMTModel.from_pretrained(folder, output_loading_info=True)
    unread = {key: sorted(names) for key, names in report.items() if names}
    most, rows = 0, 0
    with open(os.path.join(folder, "logits.jsonl"), encoding="utf-8") as file:
        for row in map(json.loads, file):
            found = torch.tensor(logits_of(model.eval(), row["source"], row["target"]))
            most = max(most, (found - torch.tensor(row["logits"])).abs().max().item())
            rows += 1
    print(f"{folder}: {rows} pairs, logits differ by at most {most:.2g}; not matched by name: {unread or 'none'}")
    return rows > 0 and most < 1e-4


if sys.argv[1] == "make":
    make(sys.argv[2])
else:
    sys.exit(not all([check(folder) for folder in sys.argv[2:]]))

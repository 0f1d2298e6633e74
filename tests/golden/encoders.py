"""Writes tiny encoder folders as other programs publish them, with random weights, and beside each (expected.json) what their
home library computes from it. tests/infer/foreign_test.c and tests/infer/sentence_test.c open them and compare.

    pip install torch==2.15.0 transformers==5.23.0 sentence-transformers==6.2.0
    python tests/golden/encoders.py tests/golden/encoders

References are computed in float64 from the weights as they lie in the file, half precision and all.
"""

import json
import os
import shutil
import sys
import tempfile

import sentence_transformers
import torch
import transformers
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list("abcdefghijklmnopqrstuvwxyz") + ["##" + c for c in "abcdefghijklmnopqrstuvwxyz"] + [",", ".", "?", "é", "日"]
SIZES = {"vocab_size": len(VOCAB), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 48}
DISTIL = {"vocab_size": len(VOCAB), "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": 48}
ROBERTA = {**SIZES, "type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1e-5}
LABELS = {"id2label": {0: "no", 1: "yes", 2: "perhaps"}, "label2id": {"no": 0, "yes": 1, "perhaps": 2}}

# Ids that are no padding anywhere, of one token, of a pair (BERT then has types), of as many as positions allow.
ROWS = [[2], [2, 10, 11, 12, 3], [2, 20, 21, 3, 30, 31, 32, 33, 3], [2] + [5 + (7 * i) % 55 for i in range(43)] + [3]]
EVERY = 9  # of a vocabulary's logits
SECOND = 4  # where the second text of the third row begins


def types_of(i, n):
    return [1 if i == 2 and k >= SECOND else 0 for k in range(n)]


def scramble(model, seed):
    """Weights of every kind away from their usual 0 and 1, so that no part can be left out unseen."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        norm = "norm" in name.lower() and name.endswith("weight")
        with torch.no_grad():
            weight.copy_(1 + 0.2 * noise if norm else 0.25 * noise)
    model.tie_weights()
    return model.eval()


def numbers(tensor):
    return [[round(float(x), 6) for x in row] for row in tensor]


def expect(folder, cls):
    """Hidden states of every token and logits, in float64."""
    model, info = cls.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    assert not any(info.values()), info
    model = model.double().eval()
    rows = []
    for i, ids in enumerate(ROWS):
        inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        if model.config.model_type == "bert":
            inputs["token_type_ids"] = torch.tensor([types_of(i, len(ids))])
        with torch.no_grad():
            out = model(**inputs, output_hidden_states=True)
        row = {"ids": ids, "types": types_of(i, len(ids)), "hidden": numbers(out.hidden_states[-1][0])}
        logits = out.logits[0]
        row["logits"] = numbers(logits.reshape(-1, logits.shape[-1])[:, :: EVERY if logits.shape[-1] == len(VOCAB) else 1])
        rows.append(row)
    with open(os.path.join(folder, "expected.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def write(root, name, cls, config, seed, dtype=torch.float32, shard=None):
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    model = scramble(cls(config), seed).to(dtype)
    model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    expect(folder, cls)


def architectures(root):
    t = transformers
    write(root, "bert", t.BertForSequenceClassification, t.BertConfig(**SIZES, **LABELS), 1)
    write(root, "bert-masked", t.BertForMaskedLM, t.BertConfig(**SIZES, hidden_act="gelu_new"), 2)
    write(root, "bert-tags", t.BertForTokenClassification, t.BertConfig(**SIZES, **LABELS, hidden_act="relu"), 3)
    write(root, "bert-sharded", t.BertForSequenceClassification, t.BertConfig(**SIZES, num_labels=1), 4, shard="8KB")
    write(root, "roberta", t.RobertaForSequenceClassification, t.RobertaConfig(**ROBERTA, **LABELS), 5)
    write(root, "roberta-masked", t.RobertaForMaskedLM, t.RobertaConfig(**ROBERTA), 6)
    write(root, "xlm-roberta", t.XLMRobertaForSequenceClassification, t.XLMRobertaConfig(**ROBERTA, num_labels=1), 7, dtype=torch.bfloat16)
    write(root, "distilbert", t.DistilBertForSequenceClassification, t.DistilBertConfig(**DISTIL, **LABELS), 8, dtype=torch.float16)
    write(root, "distilbert-masked", t.DistilBertForMaskedLM, t.DistilBertConfig(**DISTIL), 9)
    write(root, "mpnet", t.MPNetForSequenceClassification, t.MPNetConfig(**SIZES, **LABELS), 10)
    write(root, "mpnet-masked", t.MPNetForMaskedLM, t.MPNetConfig(**SIZES), 11)


# ---- Folders of sentence-transformers ----

TEXTS = ["a cat sat.", "", "The Dog, and café", "日 q?", "x y z " * 12, "a b c d e f g h i j"]


def with_tokenizer(folder, model):
    vocab = os.path.join(folder, "vocab.txt")
    os.makedirs(folder)
    with open(vocab, "w") as file:
        file.write("\n".join(VOCAB) + "\n")
    model.save_pretrained(folder)
    transformers.BertTokenizerFast(vocab=vocab).save_pretrained(folder)


def bare(folder, seed):
    with_tokenizer(folder, scramble(transformers.BertModel(transformers.BertConfig(**SIZES)), seed))


def sentence(root, scratch):
    """Everything that a chain may have: a length of its own, prompts, pooling, a dense layer, unit length."""
    folder = os.path.join(root, "sentence")
    shutil.rmtree(folder, ignore_errors=True)
    bare(os.path.join(scratch, "body"), 12)
    body = Transformer(os.path.join(scratch, "body"), max_seq_length=20)
    dense = Dense(16, 10, activation_function=torch.nn.Tanh())
    torch.manual_seed(13)
    torch.nn.init.normal_(dense.linear.weight, std=0.2)
    torch.nn.init.normal_(dense.linear.bias, std=0.2)
    model = sentence_transformers.SentenceTransformer(modules=[body, Pooling(16, "mean"), dense, Normalize()], prompts={"query": "find: ", "plain": ""}, device="cpu")
    model.save_pretrained(folder)
    model = sentence_transformers.SentenceTransformer(folder, device="cpu")
    rows = [{"text": text, "prompt": prompt, "vector": [round(float(x), 6) for x in model.encode(text, prompt_name=prompt)]} for prompt in ("plain", "query") for text in TEXTS]
    with open(os.path.join(folder, "expected.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")


def cross(root, scratch):
    folder = os.path.join(root, "cross")
    shutil.rmtree(folder, ignore_errors=True)
    with_tokenizer(os.path.join(scratch, "pairs"), scramble(transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES, num_labels=1)), 14))
    model = sentence_transformers.CrossEncoder(os.path.join(scratch, "pairs"), device="cpu")
    model.save_pretrained(folder)
    model = sentence_transformers.CrossEncoder(folder, device="cpu")
    pairs = [(a, b) for a in TEXTS[:5] for b in TEXTS[:5]]
    rows = [{"text": a, "text2": b, "score": round(float(score), 6)} for (a, b), score in zip(pairs, model.predict(pairs, batch_size=1))]
    with open(os.path.join(folder, "expected.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")


def main(root):
    architectures(root)
    with tempfile.TemporaryDirectory() as scratch:
        sentence(root, scratch)
        cross(root, scratch)
    for folder, _, files in os.walk(root):
        for name in files:
            if name in ("README.md", ".gitattributes"):  # model cards, which nothing here reads
                os.unlink(os.path.join(folder, name))


main(sys.argv[1])

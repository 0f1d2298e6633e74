# The peer of `fovea train translate`, for bench/translation: torch.nn.Transformer, as its documentation shows it, on the
# same rows, with the same pieces, size, dropout, smoothing, schedule and batches of as many tokens, for the same time.
#
#   translation.py MODEL TRAIN.tsv DEV.tsv TEST.tsv SRC TGT SECONDS THREADS PRECISION OUT.txt
#
# MODEL is a folder of ours: its config.json gives the size, its source.spm and target.spm the pieces. Keeps the epoch
# with the least loss on DEV, translates TEST with beams of 5 (length penalty 1, as ours) and writes a line for each text.
# The clock counts training and validation, not the pieces. Prints a JSON line.
import csv
import json
import math
import os
import random
import sys
import time

model_folder, train_file, dev_file, test_file, src, tgt, seconds, threads, precision, out_file = sys.argv[1:]
os.environ["OMP_NUM_THREADS"] = threads
import sentencepiece  # noqa: E402
import torch  # noqa: E402  both read their environment when they are loaded
import torch.nn as nn  # noqa: E402

torch.set_num_threads(int(threads))
torch.manual_seed(1)
random.seed(1)
with open(os.path.join(model_folder, "config.json"), encoding="utf-8") as file:
    config = json.load(file)
with open(os.path.join(model_folder, "fovea.json"), encoding="utf-8") as file:
    recipe = json.load(file)["recipe"]
pieces = {side: sentencepiece.SentencePieceProcessor(model_file=os.path.join(model_folder, name + ".spm")) for side, name in ((src, "source"), (tgt, "target"))}
shared = config["share_encoder_decoder_embeddings"]
PAD, BOS, EOS, FIRST = 0, 1, 2, 3  # our own numbers before the pieces'
BEAM, DEV_BATCH = 5, 64


def rows(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        table = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    columns = [table[0].index(name) for name in (src, tgt)]
    return [tuple([i + FIRST for i in pieces[side].encode(row[c])] for side, c in zip((src, tgt), columns)) for row in table[1:]]


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        d = config["d_model"]
        self.source = nn.Embedding(pieces[src].get_piece_size() + FIRST, d, padding_idx=PAD)
        self.target = self.source if shared else nn.Embedding(pieces[tgt].get_piece_size() + FIRST, d, padding_idx=PAD)
        for table in {self.source, self.target}:
            nn.init.normal_(table.weight, std=d ** -0.5)
        self.body = nn.Transformer(d, config["encoder_attention_heads"], config["encoder_layers"], config["decoder_layers"], config["encoder_ffn_dim"],
                                   config["dropout"], batch_first=True)
        self.drop = nn.Dropout(config["dropout"])
        self.bias = nn.Parameter(torch.zeros(self.target.num_embeddings))
        place = torch.arange(512)[:, None] * torch.exp(torch.arange(0, d, 2) * (-math.log(10000.0) / d))
        self.register_buffer("places", torch.stack((torch.sin(place), torch.cos(place)), -1).flatten(1))

    def embed(self, table, ids):
        return self.drop(table(ids) * math.sqrt(table.embedding_dim) + self.places[:ids.shape[1]])

    def encode(self, source):
        return self.body.encoder(self.embed(self.source, source), src_key_padding_mask=source == PAD)

    def decode(self, memory, source, target):
        causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        hidden = self.body.decoder(self.embed(self.target, target), memory, tgt_mask=causal, tgt_is_causal=True, memory_key_padding_mask=source == PAD)
        return hidden

    def logits(self, hidden):
        return nn.functional.linear(hidden, self.target.weight, self.bias)


def pad(lists):
    return nn.utils.rnn.pad_sequence([torch.tensor(x) for x in lists], batch_first=True)


def tensors(batch):
    return pad([s + [EOS] for s, _ in batch]), pad([[BOS] + t + [EOS] for _, t in batch])


# Pairs of about the same length side by side, batches in a new order in every epoch.
def batches(pairs, tokens):
    shuffled = random.sample(pairs, len(pairs))
    shuffled.sort(key=lambda p: (len(p[1]), len(p[0])))
    out, batch, longest = [], [], 0
    for pair in shuffled:
        size = len(pair[0]) + len(pair[1]) + 2
        if batch and max(longest, size) * (len(batch) + 1) > tokens:
            out.append(batch)
            batch, longest = [], 0
        batch.append(pair)
        longest = max(longest, size)
    out.append(batch)
    random.shuffle(out)
    return out


def loss_of(model, batch, smoothing, reduction="mean"):
    source, target = tensors(batch)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = model.logits(model.decode(model.encode(source), source, target[:, :-1]))
    return nn.functional.cross_entropy(logits.float().flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD, label_smoothing=smoothing, reduction=reduction)


@torch.inference_mode()
def dev_loss(model, pairs):
    model.eval()
    total = sum(loss_of(model, pairs[i:i + DEV_BATCH], 0.0, "sum").item() for i in range(0, len(pairs), DEV_BATCH))
    model.train()
    return total / sum(len(t) + 1 for _, t in pairs)


def train(model, pairs, dev):
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe["lr"], betas=(recipe["beta1"], recipe["beta2"]), eps=recipe["epsilon"], weight_decay=recipe["weight_decay"], fused=True)
    start, step, epoch, best, kept = time.perf_counter(), 0, 0, math.inf, None
    done = False
    while not done:
        for batch in batches(pairs, recipe["batch_tokens"]):
            # The share of the time that has gone stands for the share of the steps.
            gone = (time.perf_counter() - start) / float(seconds)
            if gone >= 1:
                done = True
                break
            rate = min(gone / recipe["warmup"], math.sqrt(recipe["warmup"] / max(gone, recipe["warmup"])))
            for group in optimiser.param_groups:
                group["lr"] = recipe["lr"] * max(rate, 1e-4)
            optimiser.zero_grad(set_to_none=True)
            loss_of(model, batch, recipe["label_smoothing"]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe["clip"])
            optimiser.step()
            step += 1
        epoch += 1
        now = dev_loss(model, dev)
        print(f"epoch {epoch}  step {step}  dev loss {now:.4f}  perplexity {math.exp(now):.3f}  {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        if now < best:
            best, kept = now, {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(kept)
    return {"epochs": epoch, "steps": step, "dev_loss": round(best, 4)}


# Beam search over one text: all its beams are one batch, and all places are computed again at every step.
@torch.inference_mode()
def translate(model, source):
    ids = torch.tensor([source + [EOS]])
    memory = model.encode(ids)
    beams, finished = [(0.0, [BOS])], []
    for length in range(1, 3 * len(source) + 20):
        target = torch.tensor([b[1] for b in beams])
        logits = model.logits(model.decode(memory.expand(len(beams), -1, -1), ids.expand(len(beams), -1), target)[:, -1])
        logits[:, :EOS] = -math.inf
        scores = torch.log_softmax(logits.float(), -1) + torch.tensor([[b[0]] for b in beams])
        top = scores.flatten().topk(2 * BEAM)
        grown = []
        for score, place in zip(top.values.tolist(), top.indices.tolist()):
            beam, token = divmod(place, scores.shape[1])
            if token == EOS:
                finished.append((score / length, beams[beam][1][1:]))
            elif len(grown) < BEAM:
                grown.append((score, beams[beam][1] + [token]))
        beams = grown
        if len(finished) >= BEAM and max(f[0] for f in finished) >= beams[0][0] / length:
            break
    return max(finished or [(b[0], b[1][1:]) for b in beams])[1]


pairs, dev, test = rows(train_file), rows(dev_file), rows(test_file)
model = Translator()
report = train(model, pairs, dev)
model.eval()
with open(out_file, "w", encoding="utf-8") as file:
    for source, _ in test:
        file.write(pieces[tgt].decode([i - FIRST for i in translate(model, source)]) + "\n")
report |= {"peer": f"torch {torch.__version__} nn.Transformer", "precision": precision, "parameters": sum(p.numel() for p in model.parameters())}
print(json.dumps(report, separators=(",", ":")))

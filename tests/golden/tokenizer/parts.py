# Writes what tests/text/parts_test.c compares with: ids and texts as the Hugging Face tokenizers library gives them for
# tokenizers of all the parts that tokenizer.json can list. Needs that library; recorded with 0.23.3, from the root:
#   python3 tests/golden/tokenizer/parts.py
# parts-models.json has models that the library learned from corpus.txt; a line of parts.jsonl has the parts around one.
import json
import os

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers import decoders as D
from tokenizers import models as M
from tokenizers import normalizers as N
from tokenizers import pre_tokenizers as P
from tokenizers import processors as R
from tokenizers import trainers as T

here = os.path.dirname(__file__)
TEXTS = [
    "Where is my order, the   brass kettle?  ",
    " I'd like it, they'll_like it; WE'VE (liked) it... 'tis 's",
    "order 20231105, 1,234.56 and ½ of Ⅻ x² ① Ⓐ",
    "我的快递到哪里了？iPhone手机壳 ABC颜色 カタカナー ひらがな",
    "cafe\u0301 na\u00efve e\u0323\u0302 \u1112\u1161\u11ab \uff26\uff55ll\u3000width \ufb01ne \ufdfa",
    "\u0130STANBUL \u03a3\u0391\u03a3 \u1e9e \u01c4 \u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f love 1\ufe0f\u20e3 \U0001f1e9\U0001f1ea!! \u2026",
    "mark \u200bzero\ufeff \u00a0nbsp \u2581meta \u2581\u2581 \t tab\r\n\nlines \u0001\u007f",
    " ",
    "the parcel<mask> was <mask> lost kettle tea-kettle Kettle <s>x</s>",
]
BYTES = [f"<0x{i:02X}>" for i in range(256)]
UNK = "[UNK]"


def learn(model, trainer, pre=None, norm=None):
    t = Tokenizer(model)
    if pre:
        t.pre_tokenizer = pre
    if norm:
        t.normalizer = norm
    t.train([os.path.join(here, "corpus.txt")], trainer)
    return json.loads(t.to_str())["model"]


quiet = {"show_progress": False}
MODELS = {
    "chars": learn(M.BPE(unk_token=UNK), T.BpeTrainer(vocab_size=330, special_tokens=[UNK], **quiet), P.Whitespace()),
    "bytes": learn(M.BPE(), T.BpeTrainer(vocab_size=330, initial_alphabet=P.ByteLevel.alphabet(), **quiet), P.ByteLevel()),
    "unigram": learn(M.Unigram(), T.UnigramTrainer(vocab_size=330, special_tokens=[UNK], unk_token=UNK, **quiet), P.Metaspace()),
    "words": learn(M.WordPiece(unk_token=UNK), T.WordPieceTrainer(vocab_size=330, special_tokens=[UNK], **quiet), P.BertPreTokenizer()),
    "whole": learn(M.WordLevel(unk_token=UNK), T.WordLevelTrainer(vocab_size=60, special_tokens=[UNK], **quiet), P.Whitespace()),
    "ends": learn(M.BPE(unk_token=UNK, end_of_word_suffix="</w>"), T.BpeTrainer(vocab_size=330, special_tokens=[UNK], end_of_word_suffix="</w>", **quiet), P.Whitespace()),
    "inside": learn(M.BPE(unk_token=UNK, continuing_subword_prefix="##"), T.BpeTrainer(vocab_size=330, special_tokens=[UNK], continuing_subword_prefix="##", **quiet), P.Whitespace()),
    "fallback": learn(
        M.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True),
        T.BpeTrainer(vocab_size=400, special_tokens=["<unk>", *BYTES], limit_alphabet=50, **quiet),
        norm=N.Sequence([N.Prepend("\u2581"), N.Replace(" ", "\u2581")]),
    ),
}
MODELS["whole merges"] = {**MODELS["bytes"], "ignore_merges": True, "merges": MODELS["bytes"]["merges"][:20]}
MODELS["fused"] = {**MODELS["chars"], "fuse_unk": True}
MODELS["no unknown"] = {**MODELS["chars"], "unk_token": None}

rows = []


def case(model, normalizer=None, pre=None, post=None, decoder=None, added=()):
    shell = Tokenizer(M.BPE())
    shell.normalizer, shell.pre_tokenizer, shell.post_processor, shell.decoder = normalizer, pre, post, decoder
    tree = json.loads(shell.to_str())
    tree["model"] = MODELS[model]
    t = Tokenizer.from_str(json.dumps(tree))
    t.add_tokens(list(added))
    tree = json.loads(t.to_str())
    parts = {k: tree[k] for k in ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder") if tree[k]}
    ids = [t.encode(x).ids for x in TEXTS]
    rows.append({"model": model, "parts": parts, "ids": ids, "texts": [t.decode(i) for i in ids]})


words, ends = P.Whitespace(), D.BPEDecoder("</w>")
for norm in (
    N.NFC(), N.NFD(), N.NFKC(), N.NFKD(), N.Lowercase(), N.Strip(), N.Strip(right=False), N.Strip(left=False), N.StripAccents(), N.Nmt(),
    N.Sequence([N.NFD(), N.StripAccents()]), N.Replace("e", "XY"), N.Replace(Regex(r"[aeiou]+|\s{2,}"), "\u00b7"), N.Replace(Regex("x*"), "-"),
    N.BertNormalizer(), N.BertNormalizer(strip_accents=False, lowercase=True, clean_text=False), N.BertNormalizer(lowercase=False, handle_chinese_chars=False),
    N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " "), N.Lowercase(), N.Strip()]),
):
    case("chars", norm, words)
case("chars", N.ByteLevel())
case("chars", N.Prepend("the "))
for pre in (
    P.BertPreTokenizer(), P.Whitespace(), P.WhitespaceSplit(), P.Punctuation(), P.Digits(), P.Digits(individual_digits=True), P.CharDelimiterSplit("e"),
    P.UnicodeScripts(), P.FixedLength(3), P.Metaspace(), P.Metaspace(prepend_scheme="first"), P.Metaspace(prepend_scheme="never"), P.Metaspace(split=False),
    P.Metaspace(replacement="_"), P.Sequence([P.WhitespaceSplit(), P.Metaspace()]),
    *[P.Split(Regex(r"[aeiou\s]"), how) for how in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")],
    *[P.Split(Regex(r"\w+"), how, invert=True) for how in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")],
    P.Split("e", "merged_with_next"), P.Split(Regex("e*"), "isolated"), P.Split(Regex(r"\b"), "isolated"), P.Split(Regex(r"[[:punct:]]|\p{Nd}|\p{Han}+"), "isolated"),
    P.Split(Regex(r"(?<=\p{Lower})(?=\p{Upper})|[^\w\s]"), "isolated"), P.Split(Regex(r"^.|.$"), "removed"),
):
    case("chars", None, pre)
for pre in (P.Whitespace(), P.Metaspace(prepend_scheme="first"), P.Metaspace(replacement="_"), P.Sequence([P.WhitespaceSplit(), P.Metaspace()]), P.Split(Regex(r"\s"), "merged_with_next")):
    case("unigram", None, pre, decoder=D.Metaspace())
for pre in (
    P.ByteLevel(), P.ByteLevel(add_prefix_space=False), P.ByteLevel(use_regex=False), P.Sequence([P.Digits(True), P.ByteLevel()]),
    P.Sequence([P.Split(Regex(r"\p{N}{1,3}| ?\p{L}+|\s+(?!\S)|\s"), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)]),
):
    case("bytes", None, pre, decoder=D.ByteLevel())
    case("whole merges", None, pre, decoder=D.ByteLevel())
case("words", N.Lowercase(), P.Whitespace(), decoder=D.WordPiece())
case("words", N.BertNormalizer(), P.BertPreTokenizer(), decoder=D.WordPiece(cleanup=False))
case("whole", None, words)
case("whole", None, P.FixedLength(1), decoder=D.CTC())
case("ends", N.Lowercase(), words, decoder=ends)
case("inside", N.Lowercase(), words, decoder=D.WordPiece())
case("fused", None, P.WhitespaceSplit(), decoder=D.Fuse())
case("no unknown", None, P.WhitespaceSplit())
llama = D.Sequence([D.Replace("\u2581", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
case("fallback", N.Sequence([N.Prepend("\u2581"), N.Replace(" ", "\u2581")]), decoder=llama)
case("fallback", N.Sequence([N.Prepend("\u2581"), N.Replace(" ", "\u2581")]), decoder=D.Replace(Regex("<0x..>"), "?"))

added = [AddedToken("<s>", special=True), AddedToken("</s>", special=True), AddedToken("<mask>", lstrip=True, special=True), AddedToken("kettle", single_word=True, rstrip=True)]
size = len(MODELS["bytes"]["vocab"])
marks = [("<s>", size), ("</s>", size + 1)]
for post in (
    R.RobertaProcessing(marks[1], marks[0]),
    R.BertProcessing(marks[1], marks[0]),
    R.TemplateProcessing(single="<s> $A </s> <s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=marks),
    R.Sequence([R.ByteLevel(), R.TemplateProcessing(single="$A </s>", pair="$A $B:1 </s>:1", special_tokens=marks)]),
):
    case("bytes", N.NFC(), P.ByteLevel(), post, D.ByteLevel(), added)

with open(os.path.join(here, "parts-models.json"), "w", encoding="utf-8", newline="\n") as out:
    json.dump({"models": MODELS, "texts": TEXTS}, out, ensure_ascii=False)
    out.write("\n")
with open(os.path.join(here, "parts.jsonl"), "w", encoding="utf-8", newline="\n") as out:
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")

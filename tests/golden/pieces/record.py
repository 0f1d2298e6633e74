# Writes what tests/text/sentencepiece_test.c and pair_test.c compare with: ids, offsets and texts as the sentencepiece library
# gives them, ids and texts as MarianTokenizer of Transformers does. Needs both; recorded with sentencepiece 0.2.3 and
# transformers 5.23.0, from the repository's root:
#   build/fovea tokenizer train tests/golden/tokenizer/corpus.txt --lines --kind unigram --vocab 350 --normalize none \
#       --lowercase --out tests/golden/pieces/ours.spm
#   build/tests/text/pair_test FOLDER      leaves there what is trained in that test
#   python3 tests/golden/pieces/record.py FOLDER
# ours.spm is by our trainer, bytes.model and map.model by theirs: merges with bytes for what is unknown, and probabilities
# with a table of characters and symbols of a user's.
import json
import os
import sys

import sentencepiece
from transformers import MarianTokenizer

here = os.path.dirname(__file__)
corpus = os.path.join(here, "..", "tokenizer", "corpus.txt")
TEXTS = [
    "",
    " ",
    "Where is my order?",
    "I'd like it, they'll like it; WE'VE liked it, it’s fine, 'tis 's",
    "  two  spaces\t\ttabs   and three   ",
    "order 20231105, 1,234.56 and ½ of Ⅻ",
    "....... ... !!!!!!!! ?",
    "我的快递到哪里了？iPhone 手机壳ABC颜色二〇〇八年々",
    "Ｆｕｌｌ　ｗｉｄｔｈ　１２３，！",
    "返品したいのですが、カタカナとｶﾀｶﾅ",
    "주문한 주전자가 도착",
    "cafe\u0301 naïve e\u0323\u0302 q\u0307\u0323 Åse Ａ\u030a",
    "ﬁne ㍿ ① ﷺ x² ™",
    "İSTANBUL ΣΑΣ STRASSE ẞ Ǆ",
    "हिन्दी में ₹1,23,456",
    "👩‍👩‍👧 ❤️love 1️⃣2 🇩🇪!! :-) …",
    "<s> hi </s><unk>x <pad> <0x41> [SEP]",
    "the <mask>kettle<mask> <sep>, a<sep>b <sep",
    "\u2581meta \u2581\u2581 x\u2581y",
    "\u0301mark \u200bzero\ufeff \u00a0nbsp\u3000wide",
    "a" * 60 + "中" * 30 + "!?" * 30 + " " * 70 + "x",
    "kettlekettlekettlekettlekettlekettlekettlekettle",
]
RULES = {"Ａ": "A", "ｆ": "f", "½": "1/2", "①": "(1)", "\u200b": "", "　": " ", "e\u0301": "é", "ﷺ": "صلى", "…": "..."}


def train(name, **options):
    path = os.path.join(here, name)
    rules = path + ".tsv"
    with open(rules, "w") as out:
        for a, b in RULES.items():
            out.write(" ".join("%X" % ord(c) for c in a) + "\t" + " ".join("%X" % ord(c) for c in b) + "\n")
    sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=path, normalization_rule_tsv=rules, minloglevel=2, **options)
    os.rename(path + ".model", path)
    os.remove(path + ".vocab")
    os.remove(rules)


def record(name):
    p = sentencepiece.SentencePieceProcessor(model_file=os.path.join(here, name))
    with open(os.path.join(here, name.rsplit(".", 1)[0] + ".jsonl"), "w", encoding="utf-8", newline="\n") as out:
        for text in TEXTS:
            pieces = p.encode(text, return_type="proto").pieces
            ids = [x.id for x in pieces]
            row = {"text": text, "ids": ids, "offsets": [[x.begin, x.end] for x in pieces], "decoded": p.decode(ids)}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def record_pair(folder):
    t = MarianTokenizer.from_pretrained(folder)
    with open(os.path.join(here, "pair.jsonl"), "w", encoding="utf-8", newline="\n") as out:
        for text in TEXTS:
            if "</s>" in text:
                continue  # there a special token that somebody typed is one; here it is text
            source, target = t(text).input_ids, t(text_target=text).input_ids
            row = {"text": text, "source": source, "target": target}
            row["decoded"] = t.decode(target, skip_special_tokens=True)
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


train("bytes.model", model_type="bpe", vocab_size=520, byte_fallback=True, character_coverage=0.98, remove_extra_whitespaces=False, user_defined_symbols=["<mask>", "2023"])
train("map.model", model_type="unigram", vocab_size=260, hard_vocab_limit=False, user_defined_symbols=["<sep>", "order"])
record("ours.spm")
record("bytes.model")
record("map.model")
record_pair(sys.argv[1])

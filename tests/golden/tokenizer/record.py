# Writes what tests/text/golden_test.c compares with: ids, types and offsets as the Hugging Face
# tokenizers library gives them. Needs that library; recorded with 0.23.3, from the repository's root:
#   build/fovea tokenizer train tests/golden/tokenizer/corpus.txt --lines --vocab 640 --normalize nfkc \
#       --lowercase --out tests/golden/tokenizer/ours.json
#   build/fovea tokenizer train tests/golden/tokenizer/corpus.txt --lines --kind wordpiece --vocab 600 \
#       --lowercase --out tests/golden/tokenizer/words.json
#   build/fovea tokenizer train tests/golden/tokenizer/corpus.txt --lines --kind unigram --vocab 350 \
#       --out tests/golden/tokenizer/pieces.json
#   python3 tests/golden/tokenizer/record.py
# unigram.json is that library's own. So is foreign.json: GPT-2's pattern with a space put in front, no template, and an
# added token that is looked for after normalisation. bert.txt is a vocabulary as BERT's: no tokenizer.json says how to
# read it, and it has no capital A, so that texts are made lower case.
import json
import os
import unicodedata

from tokenizers import AddedToken, BertWordPieceTokenizer, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

here = os.path.dirname(__file__)
PAIRS = [("where is my parcel", "已经三天没有更新了"), ("", "x"), ("lamp [SEP] lamp", "")]
TEXTS = [
    "",
    " ",
    "Where is my order?",
    "I'd like it, they'll like it; WE'VE liked it, it’s fine, 'tis 's",
    "rock'n'roll l'eau he's好",
    "  two  spaces\t\ttabs \n\n lines   ",
    "order 20231105, 1,234.56 and ½ of Ⅻ",
    "我的快递到哪里了？iPhone 手机壳ABC颜色二〇〇八年々",
    "Ｆｕｌｌ　ｗｉｄｔｈ　１２３，！",
    "返品したいのですが、カタカナとｶﾀｶﾅ",
    "주문한 주전자가 도착",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "cafe\u0301 naïve e\u0323\u0302 q\u0307\u0323",
    "ﬁne ㍿ ① ﷺ x² ™",
    "İSTANBUL ΣΑΣ STRASSE ẞ Ǆ",
    "مَرْحَبًا بِكُم ١٢٣",
    "हिन्दी में ₹1,23,456",
    "ภาษาไทย สวัสดี",
    "👩‍👩‍👧 ❤️love 1️⃣2 🇩🇪!! :-) …",
    "葛\U000e0100城 \U00020000\U0002a6d6",
    "[CLS] hi [SEP][SEP]x [MASK]s [PAD <|end|>Ok<|END|>",
    "\u0301mark \u200bzero\ufeff \u00a0nbsp\u3000wide\u2028line",
    "control \u007f\u0001",
    "a" * 60 + "中" * 30 + "!?" * 30 + " " * 70 + "x",
    "kettlekettlekettlekettlekettlekettlekettlekettle",
]

CHINESE = [
    "我的iPhone到哪里了？订单号AB12345，已经3天没有更新。",
    "WiFi密码是多少",
    "请问可以开发票吗?我要退货！！",
    "ＶＩＰ会员卡丢了，怎么补办；急！",
    "这款T恤有XL码吗，颜色是 Navy Blue 的那种",
    "收到货后发现少了1件〔赠品〕…",
    "“客服”态度很好《五星》、下次还来～",
    "價格：￥199.00（含運費）",
    "我\u3000要\u00a0退\u200b款\tOK\ufeff吗",
    "Ç'est très Élégant 的茶壶",
    "ÀÉÎÕÜ naïve ẞ ǅ 茶\u0301",
    "支付宝Alipay转账失败ERR_CODE=0x1F",
    "〇二〇年，㍿、①②③、½杯",
    "\U00020000\U0002a6d6 生僻字🙂emoji",
    "返品カード タオルの色 ｶﾞﾗｽ",
    "배송이 안 왔어요 빨리",
    "[MASK]的茶杯[SEP]坏了[UNK]",
]


def byte_offsets(text, offsets):
    starts = [0]
    for c in text:
        starts.append(starts[-1] + len(c.encode()))
    return [[starts[a], starts[b]] for a, b in offsets]


# What a composed character was made of is told differently there: only the first of its parts.
def offsets_agree(text):
    return unicodedata.normalize("NFC", text) == text


def record(name, tokenizer, texts=TEXTS):
    with open(os.path.join(here, name), "w", encoding="utf-8", newline="\n") as out:
        for text, text2 in [(t, None) for t in texts] + PAIRS:
            for special in (False, True):
                e = tokenizer.encode(text, text2, add_special_tokens=special)
                row = {"text": text} | ({} if text2 is None else {"text2": text2})
                row |= {"special": special, "ids": e.ids, "types": e.type_ids}
                if text2 is None and offsets_agree(text):
                    row["offsets"] = byte_offsets(text, e.offsets)
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def train_foreign():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t.train([os.path.join(here, "corpus.txt")], trainer)
    t.add_tokens([AddedToken("<|end|>", special=True, normalized=True), AddedToken("kettle", normalized=True)])
    t.save(os.path.join(here, "foreign.json"))
    return t


def train_unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.NFKC()
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False)
    t.train([os.path.join(here, "corpus.txt")], trainer)
    t.save(os.path.join(here, "unigram.json"))
    return t


# Characters, and what longer words begin and go on with; every ninth is left out, for there are unknown ones.
def write_bert():
    split, lower, known = pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer(lowercase=True), set()
    for text in CHINESE + TEXTS:
        for word, _ in split.pre_tokenize_str(lower.normalize_str(text)):
            known |= {word[0], word[:4]} | {"##" + c for c in word[1:]} | {"##" + word[i : i + 3] for i in range(4, len(word) - 2, 3)}
    path = os.path.join(here, "bert.txt")
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        kept = [t for i, t in enumerate(sorted(known)) if i % 9 and len(t) < 12]
        out.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + kept) + "\n")
    return BertWordPieceTokenizer(path, lowercase=True)._tokenizer


record("bert.jsonl", write_bert(), CHINESE + TEXTS)
record("ours.jsonl", Tokenizer.from_file(os.path.join(here, "ours.json")))
record("foreign.jsonl", train_foreign())
record("words.jsonl", Tokenizer.from_file(os.path.join(here, "words.json")))
record("unigram.jsonl", train_unigram())
record("pieces.jsonl", Tokenizer.from_file(os.path.join(here, "pieces.json")))

# Writes figures.jsonl beside this file: sentences with what sacreBLEU counts in them, and the figures of
# all together. Needs sacrebleu and regex; recorded with 2.6.0:
#   python3 tests/golden/overlap/record.py
# tests/text/overlap_test.c compares. "bleu": length, length of the reference, matches of the orders 1 to 4, all
# n-grams of the orders 1 to 4. "chrf": for each order all of the translation's, of the reference's, common ones.
import json
import os

from sacrebleu.metrics import BLEU, CHRF

# A translation and its references: one, or two in the second list.
ONE = [
    ("The cat sat on the mat.", "The cat sat on the mat."),
    ("the the the the the the the", "The cat is on the mat."),
    ("A dog runs through the snow", "A brown dog is running through deep snow ."),
    ("", "Nothing was said."),
    ("Something was said.", ""),
    ("", ""),
    ("   ", "\t \u00a0"),
    ("Yes", "Yes"),
    ("Yes.", "No."),
    ("Hello, world! (It's 5:30.)", "Hello world; it's 5:30!"),
    ("It costs 1,234.56 dollars, i.e. 3.5%.", "It costs 1,234.56 dollars, i.e., 3.5 %."),
    ("1,,2 ..a.. 3.-4 5-6 -7 a-b 8- .9 10.", "1,2 a.. 3-4 5 - 6 -7 a - b 8 - 0.9 10 ."),
    ("He said &quot;a &amp; b&quot; &lt;c&gt; &apos;d&apos; &#39;", "He said \"a & b\" <c> 'd' '"),
    ("&amp;lt; &amp;quot; &amp;amp; &amp", "< \" &amp; & &quot; &"),
    ("a <skipped> b <ski<skipped>pped> c", "a b <skipped> c"),
    ("hyphen-\nated and\nbroken -\n", "hyphenated and broken -"),
    ("tabs\tand\u2003wide\u3000blanks\u2028lines\x85ends \x1c", "tabs and wide blanks lines ends"),
    ("user@example.org/path?x=1&y=[2]{3}|4~5^6`7_8", "user @ example.org / path ? x = 1 & y = [ 2 ]"),
    ("~!@#$%^&*()_+-={}|[]\\:\";'<>?,./", "~ ! @ # $ % ^ & * ( ) _ + - = { } | [ ] \\ : \" ; ' < > ? , . /"),
    ("Ein Mädchen fährt über die Straße; ÄRGER!", "Ein Mädchen fuhr über die Strasse: Ärger."),
    ("Un garçon — très « drôle » – s’élance…", "Un garçon très « drôle » s'élance ..."),
    ("İstanbul ISPARTA ığdır Ǆ ẞ ΑΣ ΣΑΣ. ΟΔΟΣ' Σ", "istanbul ısparta iğdir ǆ ß ας σας. οδος' σ"),
    ("cafe\u0301 ΛΟΓΟΣ\u0301 ΛΟΓΟΣ\u00b7Α", "café λόγος"),
    ("一只狗在雪地里奔跑。", "一条狗在雪中跑。"),
    ("我在2023年12月买了iPhone 15，花了5,999.00元！", "我在2023年12月买了 iPhone15 ,花了5999元。"),
    ("他说：“你好，world.” 3.", "他说:\"你好,World.\" 3."),
    ("𠀀𪛖〇々 ㈠℃→←★☆─①“”‘’…—", "𠀀〇 々㈠ ℃ → ★ ① \" …"),
    ("これはペンです。カタカナ ﾊﾝｶｸ", "これは本です。カタカナ"),
    ("한국어 문장입니다.", "한국어 문장이다."),
    ("👍🏽 great 😀😀 👨‍👩‍👧 🇩🇪", "👍 great 😀 👨‍👩‍👧 🇫🇷"),
    ("١٢٣، ٤٥٦؟ ½¾ Ⅷ. ²,³", "١٢٣ ، ٤٥٦ ؟ ½ Ⅷ . ² , ³"),
    ("שלום עולם. مرحبا بالعالم!", "שלום, עולם! مرحبا يا عالم"),
    ("price: €5 £6 ¥7 + © ® ™ ° × ÷", "price : € 5 £6 ¥ 7 + © ™ ×"),
    ("(hi) \"there\" don't ... a. .b !", "(hi) 'there' do n't … a .b !"),
    (". , - ' \"", ", . ' -"),
    (" .5 leading", ".5 leading"),
    ("ab", "abc"),
    ("a b c d e f g h i j k l m n o p", "p o n m l k j i h g f e d c b a"),
    ("x" * 300, "x" * 299 + "y"),
]
TWO = [
    ("A dog runs through the snow.", ["A brown dog runs in the snow.", "The dog is running through deep snow."]),
    ("the the the cat", ["the the dog", "the cat the cat the"]),
    ("three words here", ["two words", "four words are here"]),
    ("", ["one", ""]),
    ("5.5 and more", ["", "5.5"]),
    ("你好，世界。", ["你好世界", "世界，你好！"]),
]
CUTS = ["13a", "intl", "zh", "char", "none"]


def signature(metric):
    return metric.get_signature().format()


def measure(metric, texts, references):
    """Counts of each sentence, and the figure of all. One reference a sentence is a stream of its own."""
    streams = list(zip(*references))
    counts = metric._extract_corpus_statistics(texts, streams)
    return counts, metric.corpus_score(texts, streams).score, signature(metric)


def record(out, name, pairs):
    texts, references = [p[0] for p in pairs], [p[1] for p in pairs]
    rows = [{"set": name, "text": t, "references": r, "bleu": {}, "sentence": {}, "chrf": {}} for t, r in pairs]
    total = {"set": name, "bleu": {}, "chrf": {}}
    for lower in (False, True):
        case = "lc" if lower else "mixed"
        for cut in CUTS:
            key = f"{cut} {case}"
            counts, value, sign = measure(BLEU(tokenize=cut, lowercase=lower), texts, references)
            total["bleu"][key] = [value, sign]
            single = BLEU(tokenize=cut, lowercase=lower, effective_order=True)
            for row, c, t, r in zip(rows, counts, texts, references):
                row["bleu"][key] = c
                row["sentence"][key] = single.sentence_score(t, r).score
        for words in (0, 2):
            key = f"{words} {case}"
            counts, value, sign = measure(CHRF(word_order=words, lowercase=lower), texts, references)
            total["chrf"][key] = [value, sign]
            for row, c in zip(rows, counts):
                row["chrf"][key] = c
    for row in rows + [total]:
        out.write(json.dumps(row, ensure_ascii=True) + "\n")


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "figures.jsonl"), "w", encoding="utf-8") as file:
    record(file, "one", [(t, [r]) for t, r in ONE])
    record(file, "two", TWO)

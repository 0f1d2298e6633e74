"""Records what CTranslate2 makes of a few Arabic names with its own small models, one line for each model, beam
and word: the letters that it writes, with the mean log-probability of a token, and what it writes where it keeps
its weights in 8 bits. tests/cli/convert.sh compares: what `fovea convert` makes of these models says the same.

The models are in tests/data/models/v2 of https://github.com/OpenNMT/CTranslate2, commit 0d8bcd362a: one, in
float32, int16 and int8. The scores are of float32 arithmetic on the weights as they are stored, which is what a
converted model computes; `eight_bits` is empty where it agrees with `translation`. They are the tool's own for the
translation as a given text: while it translates, its sums are off by up to 0.002.

    pip install ctranslate2==4.8.5
    python tests/golden/transliteration.py ../shared/models/ctranslate2_aren-transliteration > tests/golden/transliteration.tsv
"""

import sys

import ctranslate2

# Names of people and of places, the three of the tool's own tests first; then a letter that the vocabulary
# lacks, a single letter, one letter many times, and many words in one line.
WORDS = """
آتزمون آتشيسون آرثر
محمد فاطمة خديجة عبدالله إبراهيم يوسف زينب مصطفى عائشة هشام ليلى سليمان
القاهرة بغداد دمشق بيروت الرباط تونس صنعاء مسقط طرابلس الخرطوم
شكسبير واشنطن أينشتاين موتسارت
ڤيينا م سسسسسسسس
""".split() + ["جمهورية مصر العربية".replace(" ", "")]


def translate(folder, compute_type, beam):
    translator = ctranslate2.Translator(folder, device="cpu", compute_type=compute_type, intra_threads=1)
    results = (translator.translate_batch([list(word)], beam_size=beam)[0] for word in WORDS)
    texts = [result.hypotheses[0] for result in results]
    scored = translator.score_batch([list(word) for word in WORDS], texts)
    return [(" ".join(text), sum(score.log_probs) / len(score.log_probs)) for text, score in zip(texts, scored)]


def main(folder):
    print("model", "beam", "word", "translation", "score", "eight_bits", sep="\t")
    for suffix, eight in ("", None), ("-i16", None), ("-i8", "int8"):
        for beam in 1, 2, 5:
            exact = translate(folder + suffix, "float32", beam)
            rounded = translate(folder + suffix, eight, beam) if eight else exact
            for word, (text, score), (other, _) in zip(WORDS, exact, rounded):
                print("float32" if not suffix else suffix.replace("-i", "int"), beam, " ".join(word), text, f"{score:.6f}", other if other != text else "", sep="\t")


main(sys.argv[1])

# Prints the figures that tests/api/eval_translator_test.c compares with: sacreBLEU's of what its small translator writes for
# eight sentences, against references that are near. Needs sacrebleu; recorded with 2.6.0:
#   python3 tests/golden/translator.py
from sacrebleu.metrics import BLEU, CHRF

WRITTEN = ["eins häuser und eins häuser", "eins häuser und zwei häuser", "zwei vögel und vier vögel", "sechs häuser und sechs vögel",
           "zwei vögel und zwei vögel", "drei vögel und fünf vögel", "drei vögel und zwei flüsse", "vier flüsse und vier flüsse"]
REFERENCES = ["eins häuser und eins häuser", "Eins Häuser und zwei Häuser", "zwei vögel, vier vögel", "sechs häuser und sechs vögel",
              "zwei vögel und eins", "drei große vögel und fünf vögel", "zwei flüsse und drei vögel", "vier Flüsse und vier Flüsse!"]


def show(name, metric):
    print(f"{name} {metric.corpus_score(WRITTEN, [REFERENCES]).score:.4f} {metric.get_signature()}")


for tokenize in "13a", "char":
    show("bleu", BLEU(tokenize=tokenize))
    show("bleu_lc", BLEU(tokenize=tokenize, lowercase=True))
show("chrf", CHRF())

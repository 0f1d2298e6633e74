# Prints the figures that tests/train/spans_test.c compares with, for the same made-up tags. Needs
# seqeval; recorded with 1.2.2:
#   python3 tests/golden/spans.py
import importlib.metadata
import warnings

from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

warnings.simplefilter("ignore")
print("seqeval", importlib.metadata.version("seqeval"))
SETS = {
    "BIO": ["O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-a-b", "I-a-b"],
    "IOBES": ["O", "B-LOC", "I-LOC", "E-LOC", "S-LOC", "B-PER", "I-PER", "E-PER", "S-PER"],
    "bare": ["O", "B", "I"],
}
for kind, names in SETS.items():
    L = len(names)
    truth, predicted = [], []
    for s in range(60):
        n = 1 + s * 7 % 13
        true = [(s * 31 + w * 17 + s * w * 7) % 97 % L for w in range(n)]
        guess = [t if (s * w + s + 3 * w) % 5 else (t + s + w) % L for w, t in enumerate(true)]
        truth.append([names[t] for t in true])
        predicted.append([names[t] for t in guess])
    print(kind, *(f"{f(truth, predicted):.12g}" for f in (accuracy_score, precision_score, recall_score, f1_score)))
    for precision, recall, f1, count in zip(*precision_recall_fscore_support(truth, predicted, average=None)):
        print(f"  {precision:.12g} {recall:.12g} {f1:.12g} {count}")

# Prints the figures that tests/train/metrics_test.c compares with, for the same made-up predictions.
# Needs scikit-learn, scipy and numpy; recorded with 1.9.1, 1.17.1 and 2.4.6:
#   python3 tests/golden/metrics.py
import numpy as np
from scipy.stats import pearsonr
from sklearn.metrics import (accuracy_score, confusion_matrix, f1_score, log_loss, mean_squared_error,
                             precision_recall_fscore_support, r2_score)

N, L = 200, 5
raw = np.array([[(i * 31 + j * 17 + i * j * 7) % 97 for j in range(L)] for i in range(N)])


# The bins of Guo et al. 2017: (0, 1/15], (1/15, 2/15] …
def calibration_error(confidence, right):
    bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
    return sum(abs((confidence - right)[bins == b].sum()) for b in range(15)) / len(right)


def by_label(truth, predicted, **options):
    rows = precision_recall_fscore_support(truth, predicted, zero_division=0, **options)
    for precision, recall, f1, count in zip(*rows):
        print(f"  {precision:.12g} {recall:.12g} {f1:.12g} {count}")


scores = ((raw + 1) / (raw + 1).sum(1, keepdims=True)).astype(np.float32).astype(float)
best = scores.argmax(1)
truth = np.array([(i * i + 3 * i) % L if i % 3 == 0 else best[i] for i in range(N)])
print("single", accuracy_score(truth, best), f1_score(truth, best, average="macro"), f1_score(truth, best, average="micro"),
      calibration_error(scores.max(1), best == truth), log_loss(truth, scores, labels=range(L)))
by_label(truth, best, labels=range(L))
print(confusion_matrix(truth, best))

scores = ((raw + 1) / 98).astype(np.float32).astype(float)
said = scores >= 0.5
truth = np.array([[(i * 5 + j * j * 3 + i * j) % 4 == 0 for j in range(L)] for i in range(N)])
print("multi", accuracy_score(truth, said), f1_score(truth, said, average="macro", zero_division=0), f1_score(truth, said, average="micro"),
      calibration_error(np.where(said, scores, 1 - scores).ravel(), (said == truth).ravel()),
      np.mean([log_loss(truth[:, j], scores[:, j], labels=[0, 1]) for j in range(L)]))
by_label(truth, said)

values = np.array([(i * 37 % 101) / 10 for i in range(N)])
said = (values * 0.8 + np.array([i * 13 % 7 for i in range(N)]) / 3 - 1).astype(np.float32).astype(float)
print("regression", r2_score(values, said), mean_squared_error(values, said), pearsonr(values, said)[0])

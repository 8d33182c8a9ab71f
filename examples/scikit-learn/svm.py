"""Choose an SVM that reads digits by cross-validation: mpirun -np 4 python svm.py [options]"""

import sys

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import hpo

SPACE = {
    "kernel": ["linear", "rbf", "poly"],
    "C": [0.1, 1, 10, 100],
    "gamma": {"values": [0.001, 0.003, 0.01, 0.03], "when": {"kernel": ["rbf", "poly"]}},
    "degree": {"values": [2, 3], "when": {"kernel": "poly"}},
}


def load():
    images, digits = load_digits(return_X_y=True)
    return {"images": images, "digits": digits}


@hpo.objective(metric="accuracy", goal="maximize", prepare=load)
def accuracy(config, trial):
    images, digits = trial.data["images"], trial.data["digits"]
    model = make_pipeline(StandardScaler(), SVC(**config))
    trial.keep(lambda folder: joblib.dump(model.fit(images, digits), folder / "svm.joblib"))
    folds = cross_val_score(model, images, digits, cv=5)
    return {"accuracy": folds.mean(), "worst_fold": folds.min()}


if __name__ == "__main__":
    hpo.search(accuracy, SPACE, argv=sys.argv[1:])

"""Split the digits into data/train.csv and data/test.csv: prepare.py TEST_SHARE SEED."""

import sys
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def main(test_share: float, seed: int) -> None:
    digits = load_digits()
    pixels = [f"pixel{n}" for n in range(digits.data.shape[1])]
    table = pd.DataFrame(digits.data.astype(int), columns=pixels)
    table.insert(0, "label", digits.target)
    train, test = train_test_split(
        table, test_size=test_share, random_state=seed, stratify=table["label"]
    )
    folder = Path("data")
    folder.mkdir(exist_ok=True)
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))

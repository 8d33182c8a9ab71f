"""Score answers to images that the search has not seen: hpo predict … | evaluate.py RUN_DIR."""

import json
import sys
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML


def main(run: Path) -> None:
    table = pd.DataFrame(
        {
            "actual": pd.read_csv("data/test.csv")["label"],
            "predicted": pd.read_csv(sys.stdin)["Label"],
        }
    )
    table.to_csv("predictions.csv", index=False)
    metrics = {
        "val_accuracy": YAML(typ="safe").load(run / "best_params.txt")["score"],
        "test_accuracy": float((table["actual"] == table["predicted"]).mean()),
    }
    Path("metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

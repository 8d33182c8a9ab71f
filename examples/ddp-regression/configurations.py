"""Names for configurations, such as lr1em3_batchsize64: python configurations.py [RUN_DIR]

Lists the trials of a run, best first, and links their folders by name in RUN_DIR/by-name.
"""

import csv
import sys
from pathlib import Path

DEFAULTS = {
    "filters": 4,
    "conv_layers": 2,
    "optimizer": "adam",
    "momentum": 0.0,
    "learning_rate": 3e-3,
    "batch_size": 64,  # of all ranks together
    "epochs": 8,
}
ALWAYS = ("learning_rate", "batch_size")
SHORT = {"learning_rate": "lr"}


def named(config):
    """Name what is always of interest, and whatever else differs from the defaults."""
    others = (name for name in DEFAULTS if name not in (*ALWAYS, "epochs"))
    names = [*ALWAYS, *(name for name in others if config[name] != DEFAULTS[name])]
    return "_".join(SHORT.get(n, n.replace("_", "")) + _text(config[n]) for n in names)


def _text(value):
    """Write a number without points and signs: 1em3, 2p5em4, 64."""
    if not isinstance(value, float):
        return str(value)
    mantissa, exponent = f"{value:e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".").replace(".", "p")
    return f"{mantissa}e{int(exponent)}".replace("-", "m")


def _config(row):
    """Read a row of results.csv; an empty cell is a default."""
    return {
        name: type(default)(row[name]) if row.get(name) else default
        for name, default in DEFAULTS.items()
    }


def main(run):
    with (run / "results.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["score"]]
    links = run / "by-name"
    links.mkdir(exist_ok=True)
    for row in sorted(rows, key=lambda row: float(row["score"])):
        name = named(_config(row))
        print(f"{float(row['score']):6.2f}  {row['status']:6}  {name}")
        (links / name).unlink(missing_ok=True)
        (links / name).symlink_to(Path("..", "trials", row["id"]))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))

"""Show which pixels a run's best model looks at, by PyTorch's gradients: saliency.py RUN_DIR"""

import sys
from pathlib import Path

import keras
import torch
from sklearn.datasets import load_digits

SHADES = " .:-=+*#%@"


def main(run: Path) -> None:
    model = keras.models.load_model(run / "best_model.keras")
    if not isinstance(model, torch.nn.Module):
        sys.exit("expected KERAS_BACKEND=torch in the environment")
    images, digits = load_digits(return_X_y=True)
    pixels = torch.tensor(images, dtype=torch.float32).reshape(-1, *model.input_shape[1:])
    pixels.requires_grad_()
    loss = torch.nn.functional.nll_loss(torch.log(model(pixels)), torch.tensor(digits))
    loss.backward()
    strength = pixels.grad.abs().mean(dim=0).squeeze()
    for row in strength / strength.max() * (len(SHADES) - 1):
        print("".join(SHADES[round(value)] * 2 for value in row.tolist()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

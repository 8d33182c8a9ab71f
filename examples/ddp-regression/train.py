"""A CNN in PyTorch that reads from a digit by how much it is turned, trained by several ranks."""

import copy

import numpy as np
import torch
from configurations import DEFAULTS, named
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import hpo

MAX_DEGREES = 45.0


def turned_digits():
    """Enlarge digits to 16×16 pixels and turn each by an angle of its own."""
    random = np.random.default_rng(0)
    images = load_digits().images / 16
    degrees = random.uniform(-MAX_DEGREES, MAX_DEGREES, len(images))
    turned = [
        ndimage.rotate(ndimage.zoom(image, 2, order=1), angle, reshape=False, order=1)
        for image, angle in zip(images, degrees, strict=True)
    ]
    return {"images": np.float32(turned)[:, None], "degrees": np.float32(degrees)[:, None]}


def network(config):
    layers, n_channels = [], 1
    for n_filters in (config["filters"] * 2**i for i in range(config["conv_layers"])):
        layers += [nn.Conv2d(n_channels, n_filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        n_channels = n_filters
    side = 16 // 2 ** config["conv_layers"]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_channels * side**2, 1))


def optimizer_of(config, parameters):
    if config["optimizer"] == "adam":
        return torch.optim.Adam(parameters, config["learning_rate"])
    return torch.optim.SGD(parameters, config["learning_rate"], momentum=config["momentum"])


class Regression:
    """A network in training, of which each rank of the trial's group has a replica."""

    def __init__(self, config, trial, device):
        torch.manual_seed(trial.seed)
        self.group, self.device, self.name = trial.group, device, named(config)
        self.images = torch.tensor(trial.data["images"], device=device)
        self.targets = torch.tensor(trial.data["degrees"], device=device) / MAX_DEGREES
        self.network = network(config).to(device)
        self.replica = DistributedDataParallel(self.network)
        self.optimizer = optimizer_of(config, self.network.parameters())
        self.remember()

    def remember(self):
        self.best = copy.deepcopy(self.network.state_dict())

    def train(self, rows, batch_size):
        """Train with whole batches; give the RMSE of all ranks on the way, in degrees."""
        whole = rows[: len(rows) // batch_size * batch_size]
        return self._rmse([self._step(batch) for batch in whole.reshape(-1, batch_size)])

    def _step(self, batch):
        errors = self._errors(batch, self.replica)
        self.optimizer.zero_grad()
        errors.mean().backward()  # which averages the gradients over the ranks
        self.optimizer.step()
        return errors.detach()

    def validate(self, rows):
        with torch.no_grad():
            return self._rmse([self._errors(rows, self.network)])

    def _errors(self, rows, network):
        own = rows[self.group.rank :: self.group.size]
        return (network(self.images[own]) - self.targets[own]) ** 2

    def _rmse(self, errors):
        errors = torch.cat(errors)
        of_all = self.group.mean({"squares": errors.sum().item(), "rows": len(errors)})
        return MAX_DEGREES * (of_all["squares"] / of_all["rows"]) ** 0.5

    def save(self, folder):
        state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save({**state, "best": self.best}, folder / "state.pt")

    def load(self, folder):
        state = torch.load(folder / "state.pt", map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best = state["best"]

    def keep(self, folder, rows):
        """Write the best epoch's network, and a picture of what it says."""
        self.network.load_state_dict(self.best)
        torch.save(self.best, folder / "network.pt")
        with torch.no_grad():
            predicted = self.network(self.images[rows])
        draw(
            folder / f"{self.name}.png",
            *(MAX_DEGREES * values.cpu().numpy() for values in (self.targets[rows], predicted)),
        )


@hpo.objective(metric="val_rmse", defaults=DEFAULTS, prepare=turned_digits)
def train(config, trial):
    torch.set_num_threads(trial.threads)
    rows = np.arange(len(trial.data["images"]))
    validation, training = rows[::5], rows[rows % 5 > 0]
    with hpo.torch_process_group(trial) as device:
        regression = Regression(config, trial, device)
        trial.checkpoint(regression.save, regression.load)
        trial.keep(lambda folder: regression.keep(folder, validation))
        trial.on_best(regression.remember)
        trial.ready()
        for epoch in range(trial.epoch, config["epochs"]):
            shuffled = np.random.default_rng([trial.seed, epoch]).permutation(training)
            rmse = regression.train(shuffled, config["batch_size"])
            yield {"val_rmse": regression.validate(validation), "rmse": rmse}


def draw(path, truth, predicted):
    """Draw predictions against the truth, where Matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.scatter(truth, predicted, s=4)
    axes.axline((0, 0), slope=1, color="black", linewidth=0.5)
    axes.set(xlabel="turned by (degrees)", ylabel="predicted", title=path.stem, aspect="equal")
    figure.savefig(path)

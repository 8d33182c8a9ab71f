"""Objectives that average gradients over the ranks of their group, one step an epoch."""

import os

import numpy as np

import hpo

ROWS = np.arange(24, dtype=np.float32).reshape(8, 3) / 24
TARGETS = ROWS.sum(axis=1, keepdims=True)


def fail_if_asked(config, trial, step):
    if step == 2 and config["fails"] == trial.group.rank:
        raise ValueError(f"rank {trial.group.rank} cannot go on")


def own(rows, trial):
    return rows[trial.group.rank :: trial.group.size]


def torch_steps(config, trial):
    import torch

    with hpo.torch_process_group(trial) as device:
        torch.manual_seed(1)
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 1).to(device))
        optimizer = torch.optim.SGD(model.parameters(), config["rate"])
        rows, targets = (torch.tensor(own(a, trial)) for a in (ROWS, TARGETS))
        for step in range(5):
            fail_if_asked(config, trial, step)
            optimizer.zero_grad()
            loss = ((model(rows) - targets) ** 2).mean()
            loss.backward()
            optimizer.step()
            weights = torch.cat([p.detach().flatten() for p in model.parameters()])
            told = {f"weight{i}": float(weight) for i, weight in enumerate(weights)}
            yield {**trial.group.mean({"loss": float(loss)}), **told}


def keras_steps(config, trial):
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    class Reports(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            fail_if_asked(config, trial, epoch)

        def on_epoch_end(self, epoch, logs=None):
            told = np.concatenate([weights.ravel() for weights in self.model.get_weights()])
            trial.report({**logs, **{f"weight{i}": float(w) for i, w in enumerate(told)}})

    with hpo.keras_data_parallel(trial):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(config["rate"]), "mse")
        rows, targets = own(ROWS, trial), own(TARGETS, trial)
        model.fit(
            *(rows, targets), batch_size=len(rows), epochs=5, verbose=0, callbacks=[Reports()]
        )

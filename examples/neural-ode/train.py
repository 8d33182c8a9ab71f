"""A neural ODE that learns predators and prey, trained in stages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import hpo

N_VALIDATION = 32
LEG_STEPS = 50  # between two reports

# The learning rate is part of its state: one compiled step serves all stages and trials.
OPTIMIZER = optax.inject_hyperparams(optax.adabelief)(learning_rate=0.0)


# --- data ---


def load(path: str | None) -> dict[str, np.ndarray]:
    """Give times t and trajectories y (trajectory, time, variable): of an .npz, or simulated."""
    if path is None:
        t, y = simulate(160)
    else:
        with np.load(path, allow_pickle=False) as file:
            t, y = file["t"], file["y"]
    y = y.astype(np.float32)
    return {"t": t.astype(np.float32), "y": y[N_VALIDATION:], "y_val": y[:N_VALIDATION]}


def simulate(n: int, *, n_times: int = 50, substeps: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Follow populations by the Lotka-Volterra equations."""
    # Sums and products only: the same bits on every CPU, as each trial's identity rests on them.
    t, dt = np.linspace(0, 8, n_times, retstep=True)
    y = [np.random.default_rng(33).uniform(0.5, 2.0, size=(n, 2))]
    for _ in t[1:]:
        y.append(y[-1])
        for _ in range(substeps):
            y[-1] = runge_kutta(y[-1], dt / substeps)
    return t, np.stack(y, axis=1)


def runge_kutta(y: np.ndarray, dt: float) -> np.ndarray:
    a = lotka_volterra(y)
    b = lotka_volterra(y + dt / 2 * a)
    c = lotka_volterra(y + dt / 2 * b)
    d = lotka_volterra(y + dt * c)
    return y + dt / 6 * (a + 2 * b + 2 * c + d)


def lotka_volterra(y: np.ndarray) -> np.ndarray:
    prey, predators = y[:, 0], y[:, 1]
    return np.stack([prey * (1 - predators), predators * (prey - 1)], axis=1)


# --- model ---


class NeuralODE(eqx.Module):
    """dy/dt = scale * tanh(MLP(y))."""

    scale: jax.Array
    mlp: eqx.nn.MLP

    def __init__(self, size: int, width: int, depth: int, *, key: jax.Array) -> None:
        self.scale = jnp.ones(())
        self.mlp = eqx.nn.MLP(
            size, size, width, depth, jax.nn.softplus, final_activation=jax.nn.tanh, key=key
        )

    def __call__(self, t: jax.Array, y0: jax.Array) -> jax.Array:
        """Give the trajectory from y0 at times t, of which the last may repeat."""
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: self.scale * self.mlp(y)),
            diffrax.Tsit5(),
            t0=t[0],
            t1=t[-1],
            dt0=t[1] - t[0],
            y0=y0,
            stepsize_controller=diffrax.PIDController(rtol=1e-3, atol=1e-6),
            saveat=diffrax.SaveAt(ts=t),
            max_steps=512,
            throw=False,  # a field too wild to be followed is an infinite loss: it has diverged
        ).ys


@eqx.filter_jit
def mean_error(model: NeuralODE, t: jax.Array, y: jax.Array, n_times: jax.Array) -> jax.Array:
    """Compare the first so many times of trajectories."""
    # n_times is a value, not a shape: what is compiled once serves every length.
    is_used = jnp.arange(len(t)) < n_times
    found = jax.vmap(model, (None, 0))(jnp.minimum(t, t[n_times - 1]), y[:, 0])
    errors = jnp.where(is_used[:, None], (found - y) ** 2, 0.0)
    return jnp.sum(errors) / (y.shape[0] * n_times * y.shape[2])


@eqx.filter_jit
def updated(
    model: NeuralODE, optimizer: optax.OptState, t: jax.Array, y: jax.Array, n_times: jax.Array
) -> tuple[NeuralODE, optax.OptState, jax.Array]:
    """Take one step of gradient descent; give its loss besides."""
    loss, gradient = eqx.filter_value_and_grad(mean_error)(model, t, y, n_times)
    updates, optimizer = OPTIMIZER.update(gradient, optimizer)
    return eqx.apply_updates(model, updates), optimizer, loss


# --- training ---


class Leg(NamedTuple):
    """Steps between two reports, all of one stage."""

    stage: int
    learning_rate: float
    n_times: int  # of each trajectory, from its start
    n_steps: int
    is_first: bool  # of its stage


def legs(config: dict, n_times: int) -> list[Leg]:
    """Cut the stages of the three strategies into legs."""
    strategies = [config[f"{name}_strategy"] for name in ("lr", "length", "steps")]
    if len(set(map(len, strategies))) > 1:
        raise ValueError(f"expected as many stages in each strategy, found {strategies}")
    return [
        Leg(stage, lr, max(2, round(length * n_times)), min(LEG_STEPS, steps - start), start == 0)
        for stage, (lr, length, steps) in enumerate(zip(*strategies, strict=True))
        for start in range(0, steps, LEG_STEPS)
    ]


@hpo.objective(
    metric="val_loss",
    prepare=load,
    defaults={
        "lr_strategy": [3e-3, 3e-3],
        "length_strategy": [0.1, 1.0],
        "steps_strategy": [500, 500],
        "width": 64,
        "depth": 2,
        "batch_size": 32,
    },
    cost=lambda config: 0.01 * sum(config["steps_strategy"]),
)
def train(config: dict, trial: hpo.Context) -> Iterator[dict[str, float]]:
    """Fit the beginnings of the trajectories first, then more of them."""
    t, y, y_val = (trial.data[name] for name in ("t", "y", "y_val"))
    key = jax.random.key(trial.seed)
    model = NeuralODE(y.shape[-1], config["width"], config["depth"], key=key)
    state = {
        "model": model,
        "optimizer": fresh_optimizer(model, 0.0),
        "best": model,
        "best_loss": jnp.array(jnp.inf, jnp.float32),
    }

    def save(folder: Path) -> None:
        eqx.tree_serialise_leaves(folder / "state.eqx", state)

    def restore(folder: Path) -> None:
        state.update(eqx.tree_deserialise_leaves(folder / "state.eqx", state))

    trial.checkpoint(save, restore)
    trial.keep(lambda folder: eqx.tree_serialise_leaves(folder / "model.eqx", state["best"]))

    plan = legs(config, len(t))
    compile_steps(state, t, y[: config["batch_size"]], y_val)
    trial.ready()

    for number in range(trial.epoch, len(plan)):
        leg = plan[number]
        if leg.is_first:
            state["optimizer"] = fresh_optimizer(state["model"], leg.learning_rate)
        # Of the leg and the trial, not of what was drawn before: goes on alike after a stop.
        chance = np.random.default_rng([trial.seed, number])
        loss = follow(leg, state, t, y, config["batch_size"], chance)
        val_loss = mean_error(state["model"], t, y_val, jnp.array(len(t)))
        if val_loss < state["best_loss"]:
            state.update(best=state["model"], best_loss=val_loss)
        yield {"loss": loss, "val_loss": float(val_loss), "stage": leg.stage}


def compile_steps(state: dict, t: np.ndarray, y: np.ndarray, y_val: np.ndarray) -> None:
    """Compile what this rank has not compiled before; what comes out is thrown away."""
    n_times = jnp.array(len(t))
    updated(state["model"], state["optimizer"], t, y, n_times)
    mean_error(state["model"], t, y_val, n_times)


def fresh_optimizer(model: NeuralODE, learning_rate: float) -> optax.OptState:
    state = OPTIMIZER.init(eqx.filter(model, eqx.is_inexact_array))
    # With a dtype: the weak type of a bare number is another one after the first update, for
    # which all would be compiled once more.
    state.hyperparams["learning_rate"] = jnp.array(learning_rate, jnp.float32)
    return state


def follow(
    leg: Leg,
    state: dict,
    t: np.ndarray,
    y: np.ndarray,
    batch_size: int,
    chance: np.random.Generator,
) -> float:
    """Train for one leg; give the mean loss on the way."""
    losses, n_times = [], jnp.array(leg.n_times)
    for _ in range(leg.n_steps):
        batch = chance.choice(len(y), batch_size, replace=False)
        state["model"], state["optimizer"], loss = updated(
            state["model"], state["optimizer"], t, y[batch], n_times
        )
        losses.append(loss)
    return float(jnp.mean(jnp.stack(losses)))

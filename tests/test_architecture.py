"""Layers, shapes and costs of a configuration, as a person would work them out on paper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo import cost
from hpo.architecture import layers, multiply_adds, n_bytes
from hpo.errors import InputError
from hpo.hyperparameters import TABLE, check, complete

sizes = st.integers(1, 64)
VALID = {
    "model": st.sampled_from(["cnn", "dense", "linear"]),
    "filters": sizes | st.lists(sizes, min_size=1, max_size=10),
    "kernel_size": st.integers(1, 40),
    "conv_layers": st.integers(1, 10),
    "blocks": st.integers(1, 10),
    "padding": st.sampled_from(["valid", "same"]),
    "pooling": st.sampled_from(["max", "average"]),
    "activation": st.sampled_from(["relu", "tanh"]),
    "dense_units": sizes | st.lists(sizes, min_size=1, max_size=20),
    "dense_layers": st.integers(0, 20),
    "batch_norm": st.booleans(),
}


def stack(side: int, **config: object):
    """List the layers of a configuration with the defaults that it leaves out, for 10 classes."""
    return layers(complete(config, side), side, 10)


def told(side: int, **config: object) -> list[tuple[object, ...]]:
    return [(layer.kind, layer.output, layer.multiply_adds) for layer in stack(side, **config)]


def refusal(side: int, **config: object) -> str:
    with pytest.raises(InputError) as refused:
        stack(side, **config)
    return str(refused.value)


def test_kernel_larger_than_image_is_refused():
    assert refusal(8, kernel_size=9, padding="valid") == (
        "kernel_size: expected at most 8, what the layers before leave of the side of 8×8 images,"
        " found 9 (padding: valid)"
    )


def test_kernel_larger_than_what_is_left_is_refused():
    assert refusal(8, kernel_size=5, padding="valid") == (
        "kernel_size: expected at most 4, what the layers before leave of the side of 8×8 images,"
        " found 5 (padding: valid)"
    )


def test_kernel_larger_than_image_is_refused_with_same_padding():
    assert refusal(8, kernel_size=9, padding="same") == (
        "kernel_size: expected at most 8, what the layers before leave of the side of 8×8 images,"
        " found 9 (padding: same)"
    )


def test_too_many_blocks_are_refused():
    assert refusal(8, blocks=4, padding="same") == (
        "blocks: expected so few blocks that each can halve 8×8 images, found one that gets a"
        " single pixel (kernel_size: 3, padding: same)"
    )


def test_too_many_filters_in_a_list_are_refused_by_their_own_name():
    assert refusal(8, filters=[4, 4, 4, 4], padding="same").startswith("filters: expected ")


def test_reference_network_on_mnist():
    assert told(28) == [
        ("conv", (26, 26, 32), 26 * 26 * 9 * 1 * 32),
        ("conv", (24, 24, 32), 24 * 24 * 9 * 32 * 32),
        ("pool", (12, 12, 32), 0),
        ("dropout", (12, 12, 32), 0),
        ("conv", (10, 10, 64), 10 * 10 * 9 * 32 * 64),
        ("conv", (8, 8, 64), 8 * 8 * 9 * 64 * 64),
        ("pool", (4, 4, 64), 0),
        ("dropout", (4, 4, 64), 0),
        ("flatten", (1024,), 0),
        ("dense", (128,), 1024 * 128),
        ("dropout", (128,), 0),
        ("dense", (10,), 1280),
    ]
    assert multiply_adds(stack(28)) == 9_837_952


def test_reference_network_on_small_images_keeps_their_side():
    assert told(8) == [
        ("conv", (8, 8, 32), 8 * 8 * 9 * 1 * 32),
        ("conv", (8, 8, 32), 8 * 8 * 9 * 32 * 32),
        ("pool", (4, 4, 32), 0),
        ("dropout", (4, 4, 32), 0),
        ("conv", (4, 4, 64), 4 * 4 * 9 * 32 * 64),
        ("conv", (4, 4, 64), 4 * 4 * 9 * 64 * 64),
        ("pool", (2, 2, 64), 0),
        ("dropout", (2, 2, 64), 0),
        ("flatten", (256,), 0),
        ("dense", (128,), 256 * 128),
        ("dropout", (128,), 0),
        ("dense", (10,), 1280),
    ]


def test_linear_network_is_one_layer():
    assert told(8, model="linear") == [("flatten", (64,), 0), ("dense", (10,), 640)]


def test_dense_network_has_the_layers_of_its_list():
    assert told(8, model="dense", dense_units=[32, 16]) == [
        ("flatten", (64,), 0),
        ("dense", (32,), 64 * 32),
        ("dropout", (32,), 0),
        ("dense", (16,), 32 * 16),
        ("dropout", (16,), 0),
        ("dense", (10,), 160),
    ]


def test_dense_layers_repeat_one_size():
    repeated = told(8, model="dense", dense_units=32, dense_layers=2)
    assert repeated == told(8, model="dense", dense_units=[32, 32])


def test_no_dense_layers_leave_the_output_only():
    assert told(8, model="dense", dense_layers=0) == told(8, model="linear")


def test_blocks_double_the_filters():
    assert stack(28, filters=4, blocks=3, padding="same") == stack(
        28, filters=[4, 8, 16], padding="same"
    )


def test_activation_and_norm_are_on_all_but_the_output():
    weighted = [
        (layer.activation, layer.batch_norm)
        for layer in stack(28, activation="tanh", batch_norm=True)
        if layer.units
    ]
    assert weighted == [("tanh", True)] * 5 + [(None, False)]


@given(
    side=st.integers(1, 40),
    n_classes=st.integers(2, 20),
    config=st.fixed_dictionaries({}, optional=VALID),
)
def test_any_valid_configuration_ends_in_classes_or_is_refused(side, n_classes, config):
    check({name: [value] for name, value in config.items()}, dict.fromkeys(config, "here"))
    try:
        found = layers(complete(config, side), side, n_classes)
    except InputError as error:
        assert str(error).partition(":")[0] in TABLE
        return
    assert found[-1].output == (n_classes,)
    assert all(size > 0 for layer in found for size in layer.output)
    assert all((layer.multiply_adds > 0) == (layer.units > 0) for layer in found)


def test_averaged_weights_cost_a_second_validation():
    usual, averaged = complete({}, 8), complete({"weight_average": "ema"}, 8)
    more = cost.flop(averaged, 1000, 7) - cost.flop(usual, 1000, 7)
    assert more == 2 * 7 * 100 * 4  # a tenth of the images, four epochs


def test_refined_network_holds_two_more_copies_of_its_weights():
    linear = stack(8, model="linear")
    assert n_bytes(linear, is_refined=True) - n_bytes(linear) == 4 * 2 * (64 * 10 + 10)

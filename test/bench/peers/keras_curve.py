"""Twenty steps in Keras from given weights on given batches: python keras_curve.py INPUT.json -> losses as JSON on stdout."""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import keras
import tensorflow as tf
from keras_unet import LOSSES, unet

spec = json.load(open(sys.argv[1]))


def read_safetensors(path):
    raw = open(path, "rb").read()
    n = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + n])
    types = {"F32": np.float32, "U8": np.uint8}
    return {k: np.frombuffer(raw[8 + n + v["data_offsets"][0] : 8 + n + v["data_offsets"][1]], types[v["dtype"]]).reshape(v["shape"]) for k, v in header.items() if k != "__metadata__"}


def optimizer(o):
    if o["name"] == "sgd":
        return keras.optimizers.SGD(o["learningRate"], momentum=o["momentum"], nesterov=o["nesterov"])
    adam = dict(beta_1=o["beta1"], beta_2=o["beta2"], epsilon=o["epsilon"])
    if o["name"] == "adam":
        return keras.optimizers.Adam(o["learningRate"], **adam)
    adamw = keras.optimizers.AdamW(o["learningRate"], weight_decay=o["weightDecay"], **adam)
    adamw.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return adamw


weights = read_safetensors(spec["weights"])
data = read_safetensors(spec["batches"])
images, labels = data["images"], data["labels"]
height, width, channels = images.shape[2:]
# Names of ours in the order in which Keras lists the weights of a layer.
order = {"convolution": ["kernel"], "batchNorm": ["scale", "offset", "mean", "variance"], "up": ["kernel", "bias"], "head": ["kernel", "bias"]}
groups = []
for level in range(1, 6):
    for part in ["first", "second"] + (["down"] if level < 5 else []):
        groups += [f"encoder{level}/{part}/convolution", f"encoder{level}/{part}/batchNorm"]
for level in range(4, 0, -1):
    groups.append(f"decoder{level}/up")
    for part in ["first", "second"]:
        groups += [f"decoder{level}/{part}/convolution", f"decoder{level}/{part}/batchNorm"]
groups.append("head")
values = [[weights[f"{g}/{role}"] for role in order[g.split("/")[-1]]] for g in groups]

curves = {}
for case in spec["cases"]:
    model = unet(height, width, channels, spec["width"])
    for layer, value in zip([l for l in model.layers if l.weights], values, strict=True):
        layer.set_weights(value)
    opt = optimizer(case["optimizer"])
    loss_of = LOSSES[case["loss"]]

    @tf.function
    def step(x, t):
        with tf.GradientTape() as tape:
            loss = loss_of(t, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        opt.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    curves[f"{case['loss']}, {case['optimizer']['name']}"] = [
        float(step(tf.constant(images[i % len(images)], tf.float32) / 255, tf.constant(labels[i % len(labels)], tf.float32)[..., None])) for i in range(spec["steps"])
    ]
print(json.dumps({"versions": {"keras": keras.__version__, "tensorflow": tf.__version__, "python": sys.version.split()[0]}, "curves": curves}))

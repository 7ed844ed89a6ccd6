"""Training steps in Keras, timed on request: python keras_step.py SPEC.json MODE, then a number of steps a line on stdin."""
import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
began = time.time()
import tensorflow as tf
from keras_focusnet import focusnet
from keras_unet import LOSSES, unet

spec, mode = json.load(open(sys.argv[1])), sys.argv[2]
tf.config.threading.set_intra_op_parallelism_threads(spec["threads"])
tf.config.threading.set_inter_op_parallelism_threads(1)
n, h, w, c = spec["batch"], spec["height"], spec["width"], spec["channels"]
model = focusnet(h, w, c) if spec["model"] == "focusnet" else unet(h, w, c, spec["base"])
x = tf.random.uniform((n, h, w, c))
t = tf.cast(tf.random.uniform((n, h, w, 1)) > 0.8, tf.float32)
loss_of = LOSSES["adaptiveLog"]
optimizer = tf.keras.optimizers.Adam(1e-4)
if mode == "train_on_batch":
    model.compile(optimizer, loss_of, jit_compile=False)
    step = lambda: model.train_on_batch(x, t)
else:
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=mode == "xla")
    def compiled(x, t):
        with tf.GradientTape() as tape:
            loss = tf.add_n([loss_of(t, model(x, training=True)), *model.losses])
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
        return loss

    step = lambda: compiled(x, t).numpy()


def timed():
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) * 1e3


timed()
print(json.dumps({"firstStepSeconds": time.time() - began, "version": f"Keras {tf.keras.__version__}, TensorFlow {tf.__version__}", "parameters": model.count_params()}), flush=True)
for line in sys.stdin:
    print(json.dumps([timed() for _ in range(int(line))]), flush=True)

"""The paper's U-Net in Keras, as trainer/models/unet.ts has it, and the losses that the comparisons need."""
import math
import tensorflow as tf

K = tf.keras
L = K.layers


def block(x, filters, stride=1):
    x = L.Conv2D(filters, 3, stride, "same", use_bias=False, kernel_initializer="he_normal")(x)
    return L.ReLU()(L.BatchNormalization()(x))


def unet(height, width, channels, base, classes=1):
    widths = [base * 2**i for i in range(5)]
    x = image = L.Input((height, width, channels))
    skips = []
    for level, filters in enumerate(widths):
        x = block(block(x, filters), filters)
        if level < 4:
            skips.append(x)
            x = block(x, filters, 2)
    for filters in widths[-2::-1]:
        up = L.Conv2D(filters, 2, padding="same", activation="relu", kernel_initializer="he_normal")(L.UpSampling2D(2)(x))
        x = L.Concatenate()([skips.pop(), up])
        x = block(block(x, filters), filters)
    return K.Model(image, L.Conv2D(classes, 1, kernel_initializer="he_normal")(x))


def tversky(t, z, a, b, s):
    p = tf.sigmoid(z)
    tp, fp, fn = tf.reduce_sum(p * t), tf.reduce_sum(p * (1 - t)), tf.reduce_sum((1 - p) * t)
    return 1 - (tp + s) / (tp + a * fp + b * fn + s)


def dice(t, z):
    return tversky(t, z, 0.5, 0.5, 0.5)


def adaptive_log(t, z, gamma=0.1, omega=10.0, epsilon=0.5):
    d = dice(t, z)
    c = gamma - omega * math.log(1 + gamma / epsilon)
    return tf.where(d < gamma, omega * tf.math.log(1 + d / epsilon), d - c)


def cross_entropy(t, z):
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(t, z))


LOSSES = {"adaptiveLog": adaptive_log, "dice": dice, "crossEntropy": cross_entropy, "tversky": lambda t, z: tversky(t, z, 0.3, 0.7, 1.0)}

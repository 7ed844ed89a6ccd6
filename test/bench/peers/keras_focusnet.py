"""FocusNet in Keras, as trainer/models/focusnet.ts has it (24-filter stem, not fused)."""
import tensorflow as tf

K = tf.keras
L = K.layers
L2 = K.regularizers.L2


def conv(x, filters, size=3, stride=1, l2=1e-4, bias=True, activation=None):
    regularizer = L2(l2) if l2 else None
    return L.Conv2D(filters, size, stride, "same", use_bias=bias, activation=activation, kernel_initializer="he_normal", kernel_regularizer=regularizer)(x)


def activated(x):
    return L.ReLU()(L.BatchNormalization()(x))


def residual(x, filters):
    y = conv(activated(conv(x, filters)), filters)
    shortcut = x if x.shape[-1] == filters else conv(x, filters, 1)
    return L.Add()([shortcut, y])


def residual_down(x, filters):
    y = conv(activated(conv(activated(x), filters, 3, 2)), filters)
    return L.Add()([conv(x, filters, 1, 2), y])


def squeeze(x):
    channels = x.shape[-1]
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    s = L.Dense(channels // 16, "relu", use_bias=False, kernel_initializer="he_normal")(s)
    return L.Multiply()([x, L.Dense(channels, "sigmoid", use_bias=False, kernel_initializer="he_normal")(s)])


def up(x, skip, filters):
    return L.Concatenate()([skip, conv(L.UpSampling2D(2)(x), filters, 2, l2=0, activation="relu")])


def focusnet(height, width, channels, classes=1):
    image = L.Input((height, width, channels))
    skip1 = L.LeakyReLU(negative_slope=0.3)(L.BatchNormalization()(conv(image, 24, l2=5e-4, bias=False)))
    skip2 = residual(residual_down(skip1, 32), 64)
    skip3 = residual(residual_down(skip2, 64), 128)
    bottom = residual(residual_down(skip3, 128), 256)
    quarter = residual(up(bottom, skip3, 256), 256)
    half = residual(up(quarter, skip2, 128), 128)
    gates = [quarter, half, residual(up(half, skip1, 64), 64)]

    x = activated(conv(image, 64, 7))
    skips = [x]
    for filters in (64, 128, 256, 512):
        x = squeeze(residual(x, filters))
        if gates:
            x = squeeze(L.Multiply()([x, L.Activation("sigmoid")(gates.pop())]))
        x = residual_down(x, filters)
        skips.append(x)
    skips.pop()
    for filters in (256, 128, 64):
        x = residual(up(x, skips.pop(), filters), filters)
    x = up(x, skips.pop(), 32)
    for filters in (32, 16, 4):
        x = residual(x, filters)
    return K.Model(image, conv(x, classes, 1, l2=0))

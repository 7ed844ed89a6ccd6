"""FocusNet in PyTorch, as trainer/models/focusnet.ts has it (24-filter stem, not fused). L2 is left to the caller: `penalised` names its kernels."""
import torch
import torch.nn.functional as F
from torch import nn


def conv(i, o, size=3, stride=1, bias=True):
    return nn.Conv2d(i, o, size, stride, padding=size // 2, bias=bias)


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Residual(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.first, self.norm, self.second = conv(i, o), norm(o), conv(o, o)
        self.shortcut = nn.Identity() if i == o else conv(i, o, 1)

    def forward(self, x):
        return self.shortcut(x) + self.second(F.relu(self.norm(self.first(x))))


class ResidualDown(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.before, self.first, self.norm, self.second, self.shortcut = norm(i), conv(i, o, 3, 2), norm(o), conv(o, o), conv(i, o, 1, 2)

    def forward(self, x):
        return self.shortcut(x) + self.second(F.relu(self.norm(self.first(F.relu(self.before(x))))))


class Squeeze(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, channels // 16, bias=False), nn.Linear(channels // 16, channels, bias=False)

    def forward(self, x):
        s = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        return x * s[:, :, None, None]


class Up(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv = nn.Conv2d(i, o, 2)

    def forward(self, x, skip):
        # One row and column of zeros behind: "same" for a 2x2 kernel, as Keras has it.
        wide = F.pad(F.interpolate(x, scale_factor=2, mode="nearest"), (0, 1, 0, 1))
        return torch.cat([skip, F.relu(self.conv(wide), inplace=True)], 1)


class FocusNet(nn.Module):
    def __init__(self, channels, classes=1):
        super().__init__()
        self.a_stem, self.a_norm = conv(channels, 24, bias=False), norm(24)
        self.a_down = nn.ModuleList([ResidualDown(24, 32), ResidualDown(64, 64), ResidualDown(128, 128)])
        self.a_encoder = nn.ModuleList([Residual(32, 64), Residual(64, 128), Residual(128, 256)])
        self.a_up = nn.ModuleList([Up(256, 256), Up(256, 128), Up(128, 64)])
        self.a_decoder = nn.ModuleList([Residual(384, 256), Residual(192, 128), Residual(88, 64)])
        self.stem, self.norm = conv(channels, 64, 7), norm(64)
        widths = [64, 64, 128, 256, 512]
        self.encoder = nn.ModuleList([Residual(i, o) for i, o in zip(widths, widths[1:])])
        self.before = nn.ModuleList([Squeeze(o) for o in widths[1:]])
        self.after = nn.ModuleList([Squeeze(o) for o in widths[1:4]])
        self.down = nn.ModuleList([ResidualDown(o, o) for o in widths[1:]])
        self.up = nn.ModuleList([Up(512, 256), Up(256, 128), Up(128, 64), Up(64, 32)])
        self.decoder = nn.ModuleList([Residual(512, 256), Residual(256, 128), Residual(128, 64)])
        self.last = nn.Sequential(Residual(96, 32), Residual(32, 16), Residual(16, 4))
        self.head = conv(4, classes, 1)

    def penalised(self):
        free = {id(up.conv.weight) for up in [*self.a_up, *self.up]} | {id(self.head.weight)}
        return [m.weight for m in self.modules() if isinstance(m, nn.Conv2d) and id(m.weight) not in free]

    def forward(self, image):
        x = F.leaky_relu(self.a_norm(self.a_stem(image)), 0.3)
        skips, gates = [x], []
        for down, encoder in zip(self.a_down, self.a_encoder):
            x = encoder(down(x))
            skips.append(x)
        skips.pop()
        for up, decoder in zip(self.a_up, self.a_decoder):
            x = decoder(up(x, skips.pop()))
            gates.append(torch.sigmoid(x))
        x = F.relu(self.norm(self.stem(image)))
        skips = [x]
        for level in range(4):
            x = self.before[level](self.encoder[level](x))
            if gates:
                x = self.after[level](x * gates.pop())
            x = self.down[level](x)
            skips.append(x)
        skips.pop()
        for up, decoder in zip(self.up, self.decoder):
            x = decoder(up(x, skips.pop()))
        return self.head(self.last(self.up[3](x, skips.pop())))

"""The paper's U-Net in PyTorch, as trainer/models/unet.ts has it."""
import torch
import torch.nn.functional as F
from torch import nn


def block(i, o, stride=1):
    return nn.Sequential(nn.Conv2d(i, o, 3, stride, padding=1, bias=False), nn.BatchNorm2d(o, eps=1e-3, momentum=0.01), nn.ReLU(inplace=True))


class UNet(nn.Module):
    def __init__(self, channels, base):
        super().__init__()
        self.encoders, self.downs, self.ups, self.decoders = (nn.ModuleList() for _ in range(4))
        last, widths = channels, [base * 2**i for i in range(5)]
        for level, filters in enumerate(widths):
            self.encoders.append(nn.Sequential(block(last, filters), block(filters, filters)))
            if level < 4:
                self.downs.append(block(filters, filters, 2))
            last = filters
        for filters in widths[-2::-1]:
            self.ups.append(nn.Conv2d(last, filters, 2))
            self.decoders.append(nn.Sequential(block(2 * filters, filters), block(filters, filters)))
            last = filters
        self.head = nn.Conv2d(last, 1, 1)

    def forward(self, x):
        skips = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(x)
            if level < 4:
                skips.append(x)
                x = self.downs[level](x)
        for up, decoder in zip(self.ups, self.decoders):
            # One row and column of zeros behind: "same" for a 2x2 kernel, as Keras has it.
            x = F.relu(up(F.pad(F.interpolate(x, scale_factor=2, mode="nearest"), (0, 1, 0, 1))), inplace=True)
            x = decoder(torch.cat([skips.pop(), x], 1))
        return self.head(x)

    def penalised(self):
        return []

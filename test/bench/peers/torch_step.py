"""Training steps in PyTorch, timed on request: python torch_step.py SPEC.json MODE, then a number of steps a line on stdin.

MODE: words of eager, channels_last, compile, bfloat16 joined by +.
"""
import json
import math
import sys
import time
import warnings

began = time.time()
import torch
import torch.nn.functional as F
from torch import nn

warnings.filterwarnings("ignore")
spec, mode = json.load(open(sys.argv[1])), sys.argv[2].split("+")
torch.set_num_threads(spec["threads"])
n, h, w, c, base = spec["batch"], spec["height"], spec["width"], spec["channels"], spec["base"]
widths = [base * 2**i for i in range(5)]


def block(i, o, stride=1):
    return nn.Sequential(nn.Conv2d(i, o, 3, stride, padding=1, bias=False), nn.BatchNorm2d(o, eps=1e-3, momentum=0.01), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """The paper's U-Net, as trainer/models/unet.ts has it."""

    def __init__(self):
        super().__init__()
        self.encoders, self.downs, self.ups, self.decoders = (nn.ModuleList() for _ in range(4))
        last = c
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


def adaptive_log(z, t, gamma=0.1, omega=10.0, epsilon=0.5):
    p = torch.sigmoid(z)
    d = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    return torch.where(d >= gamma, d - (gamma - omega * math.log(1 + gamma / epsilon)), omega * torch.log1p(d / epsilon))


model = UNet()
x, t = torch.rand(n, c, h, w), (torch.rand(n, 1, h, w) > 0.8).float()
if "channels_last" in mode:
    model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, eps=1e-7)
forward = torch.compile(model) if "compile" in mode else model


def step():
    optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in mode):
        z = forward(x)
    loss = adaptive_log(z.float(), t)
    loss.backward()
    optimizer.step()
    return loss.item()


def timed():
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) * 1e3


timed()
parameters = sum(p.numel() for p in model.parameters()) + sum(b.numel() for b in model.buffers() if b.ndim)
print(json.dumps({"firstStepSeconds": time.time() - began, "version": f"PyTorch {torch.__version__}", "parameters": parameters}), flush=True)
for line in sys.stdin:
    print(json.dumps([timed() for _ in range(int(line))]), flush=True)

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
from torch_focusnet import FocusNet
from torch_unet import UNet

warnings.filterwarnings("ignore")
spec, mode = json.load(open(sys.argv[1])), sys.argv[2].split("+")
torch.set_num_threads(spec["threads"])
n, h, w, c = spec["batch"], spec["height"], spec["width"], spec["channels"]


def adaptive_log(z, t, gamma=0.1, omega=10.0, epsilon=0.5):
    p = torch.sigmoid(z)
    d = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    return torch.where(d >= gamma, d - (gamma - omega * math.log(1 + gamma / epsilon)), omega * torch.log1p(d / epsilon))


model = FocusNet(c) if spec["model"] == "focusnet" else UNet(c, spec["base"])
x, t = torch.rand(n, c, h, w), (torch.rand(n, 1, h, w) > 0.8).float()
if "channels_last" in mode:
    model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
# Keras's l2 is a factor times the sum of squares: twice the factor as decay of the gradient. (The stem's larger factor costs the same.)
penalised = {id(p) for p in model.penalised()}
groups = [{"params": [p for p in model.parameters() if (id(p) in penalised) == decays], "weight_decay": 2e-4 * decays} for decays in (0, 1)]
optimizer = torch.optim.Adam([g for g in groups if g["params"]], lr=1e-4, eps=1e-7)
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

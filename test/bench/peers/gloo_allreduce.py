"""PyTorch's gloo all-reduce, timed on request: python gloo_allreduce.py RANK WORKERS RENDEZVOUS_FILE, then "numbers repetitions" a line on stdin."""
import json
import sys
import time

import torch
import torch.distributed as distributed

rank, workers, rendezvous = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=workers)
print(json.dumps({"version": f"PyTorch {torch.__version__}"}), flush=True)
tensors = {}
for line in sys.stdin:
    numbers, repetitions = map(int, line.split())
    x = tensors.setdefault(numbers, torch.zeros(numbers))
    distributed.all_reduce(x)
    x.fill_(rank + 1)
    distributed.all_reduce(x)
    assert x[0] == x[-1] == workers * (workers + 1) / 2
    distributed.barrier()
    cpu, start = time.process_time(), time.perf_counter()
    for _ in range(repetitions):
        distributed.all_reduce(x)
    print(json.dumps({"ms": (time.perf_counter() - start) / repetitions * 1e3, "cpuSeconds": (time.process_time() - cpu) / repetitions}), flush=True)
    x.zero_()

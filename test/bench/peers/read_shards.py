"""Reads shards with webdataset, undecoded, and prints what it sees: keys, fields and their digests."""

import hashlib
import importlib.metadata
import json
import sys

import webdataset

samples = []
for sample in webdataset.WebDataset(sys.argv[1:], shardshuffle=False):
    fields = {name: hashlib.sha256(data).hexdigest() for name, data in sample.items() if not name.startswith("__")}
    samples.append({"key": sample["__key__"], "fields": fields})
print(json.dumps({"webdataset": importlib.metadata.version("webdataset"), "samples": samples}))

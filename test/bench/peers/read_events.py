"""What TensorBoard reads from a folder of event files, as JSON."""

import hashlib
import json
import sys

import tensorboard
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

accumulator = event_accumulator.EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0, "tensors": 0})
accumulator.Reload()


def hparams(tag):
    content = accumulator.SummaryMetadata(tag).plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


start = hparams("_hparams_/session_start_info").session_start_info
end = hparams("_hparams_/session_end_info").session_end_info
print(
    json.dumps(
        {
            "tensorboard": tensorboard.version.VERSION,
            "scalars": {
                tag: [[event.step, event.value] for event in accumulator.Scalars(tag)]
                for tag in sorted(accumulator.Tags()["scalars"])
            },
            "images": {
                tag: [
                    [event.step, event.width, event.height, hashlib.sha256(event.encoded_image_string).hexdigest()]
                    for event in accumulator.Images(tag)
                ]
                for tag in sorted(accumulator.Tags()["images"])
            },
            "hparams": {
                name: getattr(value, value.WhichOneof("kind")) for name, value in sorted(start.hparams.items())
            },
            "group": start.group_name,
            "started": start.start_time_secs,
            "ended": [end.status, end.end_time_secs],
        }
    )
)

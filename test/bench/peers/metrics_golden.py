"""The answers of SciPy, scikit-image, scikit-learn, MONAI and Keras: python metrics_golden.py INPUT.json -> JSON on stdout."""
import json
import os
import sys
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore", FutureWarning)
import keras
import monai
import numpy as np
import scipy
import skimage
import sklearn
import torch
from monai.metrics import CalibrationErrorMetric, compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from monai.metrics.panoptic_quality import compute_panoptic_quality
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter
from skimage.measure import label
from skimage.metrics import hausdorff_distance
from skimage.morphology import skeletonize, thin
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, jaccard_score, precision_score, recall_score, roc_auc_score

spec = json.load(open(sys.argv[1]))
tolerance, num_bins = spec["tolerance"], spec["bins"]


def rows(array, form=str):
    return [" ".join(form(v) for v in row) for row in array]


def drawn(mask):
    return ["".join("#" if v else "." for v in row) for row in mask]


def kervadec(mask):
    """The distance map of the boundary loss, as its authors' code forms it from SciPy's transform."""
    if not mask.any() or mask.all():
        return np.zeros(mask.shape)
    outside = ~mask
    return distance_transform_edt(outside) * outside - (distance_transform_edt(mask) - 1) * mask


def cl_dice(predicted, truth, skeleton_of):
    precision = (skeleton_of(predicted) & truth).sum() / skeleton_of(predicted).sum()
    sensitivity = (skeleton_of(truth) & predicted).sum() / skeleton_of(truth).sum()
    both = precision + sensitivity
    return [precision, sensitivity, 2 * precision * sensitivity / both if both else 0]


def surfaces(predicted, truth):
    batched = [torch.tensor(m[None, None].astype(np.float32)) for m in (predicted, truth)]
    options = dict(include_background=True)
    edges = [m ^ binary_erosion(m) for m in (predicted, truth)]
    to_truth = distance_transform_edt(~edges[1])[edges[0]]
    to_predicted = distance_transform_edt(~edges[0])[edges[1]]
    precision, recall = np.mean(to_truth <= tolerance), np.mean(to_predicted <= tolerance)
    return {
        "edges": [drawn(e) for e in edges],
        "hd95": float(compute_hausdorff_distance(*batched, percentile=95, **options)),
        "hausdorff": float(hausdorff_distance(*edges)),
        "averageSurfaceDistance": float(compute_average_surface_distance(*batched, symmetric=True, **options)),
        "surfaceDice": float(compute_surface_dice(*batched, class_thresholds=[tolerance], **options)),
        "boundaryF": float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0,
    }


def answers(case):
    shape = (case["height"], case["width"])
    predicted, truth = (np.array(case[k], bool).reshape(shape) for k in ("predicted", "truth"))
    p, t = predicted.ravel(), truth.ravel()
    labels = [label(m, connectivity=2) for m in (predicted, truth)]
    # A hair above: an overlap of exactly the threshold is no match, and MONAI's overlaps are float32.
    objects = [
        [int(v) for v in compute_panoptic_quality(*(torch.tensor(l) for l in labels), match_iou_threshold=n / 20 + 1e-6, output_confusion_matrix=True)[:3]]
        for n in range(10, 20)
    ]
    result = {
        "squaredDistances": rows(np.rint(distance_transform_edt(~truth) ** 2).astype(int)) if truth.any() else None,
        "signedDistance": rows(kervadec(truth), lambda v: f"{v + 0.0:.6g}"),
        "components": [rows(l) for l in labels],
        "skeletons": [drawn(thin(m)) for m in (predicted, truth)],
        "objects": objects,
        "overlap": {
            "jaccard": jaccard_score(t, p, zero_division=0),
            "dice": f1_score(t, p, zero_division=0),
            "precision": precision_score(t, p, zero_division=0),
            "recall": recall_score(t, p, zero_division=0),
            "accuracy": accuracy_score(t, p),
        },
        "auc": roc_auc_score(t, case["logits"]) if 0 < t.sum() < t.size else None,
    }
    if p.any() and t.any():
        result["surface"] = surfaces(predicted, truth)
        result["clDice"] = cl_dice(predicted, truth, thin)
    return result


def skeleton_difference(num_pairs=40):
    """How far clDice with thin, ours, is from clDice with skeletonize, which its authors call: random networks of vessels, 256x256."""
    random = np.random.default_rng(0)

    def field(sigma):
        smooth = gaussian_filter(random.standard_normal((256, 256)), sigma)
        return smooth / smooth.std()

    differences = []
    for _ in range(num_pairs):
        height = field(8)
        truth, predicted = np.abs(height) < 0.15, np.abs(height + 0.1 * field(3)) < 0.15
        differences.append(cl_dice(predicted, truth, thin)[2] - cl_dice(predicted, truth, skeletonize)[2])
    return {"pairs": num_pairs, "mean": float(np.mean(differences)), "largest": float(np.abs(differences).max())}


def calibration():
    """Of all pixels of all cases together."""
    logits = np.concatenate([np.array(c["logits"], np.float64) for c in spec["cases"]])
    truth = np.concatenate([np.array(c["truth"], np.float64) for c in spec["cases"]])
    probability = 1 / (1 + np.exp(-logits))
    batched = [torch.tensor(a[None, None]) for a in (probability, truth)]

    def error(reduction):
        metric = CalibrationErrorMetric(num_bins=num_bins, include_background=True, calibration_reduction=reduction)
        metric(*batched)
        return float(metric.aggregate())

    frequency, mean = calibration_curve(truth, probability, n_bins=num_bins, strategy="uniform")
    return {
        "ece": error("expected"),
        "mce": error("maximum"),
        "brier": brier_score_loss(truth, probability),
        "curve": [[float(m), float(f)] for m, f in zip(mean, frequency)],
    }


def keras_evaluation():
    """What Keras prints for metrics of one number a batch, over batches of which the last is short."""
    cases = [c for c in spec["cases"] if [c["height"], c["width"]] == spec["commonSize"]]
    shape = (len(cases), *spec["commonSize"], 1)
    logits, truth = (np.array([c[k] for c in cases], np.float32).reshape(shape) for k in ("logits", "truth"))

    def jaccard(y, z):
        x = keras.ops.cast(z > 0, "float32")
        both = keras.ops.sum(x * y)
        return both / (keras.ops.sum(x) + keras.ops.sum(y) - both)

    def soft_jaccard(y, z):
        x = keras.ops.sigmoid(z)
        both = keras.ops.sum(x * y)
        return (both + 1) / (keras.ops.sum(x) + keras.ops.sum(y) - both + 1)

    def soft_dice(y, z):
        x = keras.ops.sigmoid(z)
        return (2 * keras.ops.sum(x * y) + 1) / (keras.ops.sum(x) + keras.ops.sum(y) + 1)

    image = keras.Input(shape[1:])
    model = keras.Model(image, keras.layers.Activation("linear")(image))
    model.compile(loss="binary_crossentropy", metrics=[jaccard, soft_jaccard, soft_dice])
    printed = model.evaluate(logits, truth, batch_size=spec["batchSize"], verbose=0, return_dict=True)
    return {"images": len(cases), **{k: printed[k] for k in ("jaccard", "soft_jaccard", "soft_dice")}}


versions = {m.__name__: m.__version__ for m in (keras, monai, np, scipy, skimage, sklearn, torch)}
cases = {c["name"]: answers(c) for c in spec["cases"]}
print(json.dumps({"versions": {**versions, "python": sys.version.split()[0]}, "cases": cases, "calibration": calibration(), "thinLessSkeletonize": skeleton_difference(), "keras": keras_evaluation()}, allow_nan=False))

/**
 * The field of view: scores are taken on the pixels inside it, as is the custom for fundus images, whose black border is no work.
 */

/**
 * The pixels inside the field of view, one behind the other; all of them where there is none.
 *
 * @param logits [pixels, classes]
 * @param labels [pixels]
 * @param fov [pixels], 1 inside
 */
export function insideFov(
  logits: Float32Array,
  labels: Uint8Array,
  fov: Uint8Array | undefined,
  classes: number,
): { logits: Float32Array; labels: Uint8Array } {
  if (!fov) return { logits, labels };
  const count = fov.reduce((sum, value) => sum + value, 0);
  const inside = { logits: new Float32Array(count * classes), labels: new Uint8Array(count) };
  let next = 0;
  for (let pixel = 0; pixel < fov.length; pixel++) {
    if (fov[pixel] === 0) continue;
    inside.labels[next] = labels[pixel];
    for (let c = 0; c < classes; c++) inside.logits[next * classes + c] = logits[pixel * classes + c];
    next++;
  }
  return inside;
}

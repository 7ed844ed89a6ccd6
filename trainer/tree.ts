/**
 * The one order in which lanes are added: a binary tree over the lane numbers 0 to L-1 that depends on L alone. Floating-point sums
 * depend on their order, so this is what makes a total the same, bit for bit, however lanes are spread over workers.
 */

/** Lanes `start` to `end` - 1; with one lane a leaf, otherwise the sum of its two children. */
export interface Node {
  readonly start: number;
  readonly end: number;
}

/** What two numbers become. `Value` is a number in a test, a place in memory in the exchange. */
export type Add<Value> = (left: Value, right: Value, node: Node) => Value;

const isLeaf = ({ start, end }: Node): boolean => end - start === 1;

/** The left child holds the largest power of two of lanes that is smaller than the node. */
export function childrenOf({ start, end }: Node): readonly [Node, Node] {
  const half = 2 ** (31 - Math.clz32(end - start - 1));
  return [
    { start, end: start + half },
    { start: start + half, end },
  ];
}

/**
 * The largest nodes that lie wholly within a worker's lanes, in the order of lanes: all it can add by itself. One where lanes and
 * workers are powers of two and ranges are equal, else at most about 2 log2(L).
 */
export function nodesWithin(range: Node, root: Node): Node[] {
  if (range.end <= root.start || range.start >= root.end) return [];
  if (range.start <= root.start && root.end <= range.end) return [root];
  return childrenOf(root).flatMap(child => nodesWithin(range, child));
}

/**
 * The value of a node from values that are known below it.
 *
 * @param known value of a node that is not to be taken apart further; every leaf that is reached must have one
 */
export function fold<Value>(node: Node, known: (node: Node) => Value | undefined, add: Add<Value>): Value {
  const value = known(node);
  if (value !== undefined) return value;
  if (isLeaf(node)) throw new Error(`lane ${node.start} has no value`);
  const [left, right] = childrenOf(node);
  return add(fold(left, known, add), fold(right, known, add), node);
}

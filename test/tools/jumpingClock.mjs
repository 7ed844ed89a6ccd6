// Loaded before a process of a test (`NODE_OPTIONS=--import`), and in each of its threads: its wall clock jumps an hour ahead and an
// hour back, again and again. Monotonic clocks go on.
const RealDate = Date;
const now = () => RealDate.now() + (Math.floor(performance.now() / 700) % 2 === 0 ? 3_600_000 : -3_600_000);

globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length === 0 ? [now()] : given));
  }

  static now() {
    return now();
  }
};

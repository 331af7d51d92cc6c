/**
 * One clock for the page and the workers: epoch milliseconds.
 * `performance.now()` alone starts at a different moment in each thread. A worklet has no `performance`.
 */
export function epochNow() {
  return performance.timeOrigin + performance.now();
}

/**
 * One clock for the page, the worker and the worklets: milliseconds since 1970.
 * A worker's `performance.now()` starts elsewhere than the page's, and a worklet has none.
 */
export function epochNow() {
  return performance.timeOrigin + performance.now();
}

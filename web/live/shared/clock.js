/**
 * One clock for the page, the workers and the worklets: epoch milliseconds.
 * `performance.now()` stands still while the device sleeps, starts at a different moment in each thread, and is missing in
 * a worklet. `Date.now()` may be set back. Here that costs a difference to the other threads, and no timer waits longer.
 */
let last = 0;
let behind = 0;

export function epochNow() {
  behind = Math.max(behind, last - Date.now());
  last = Date.now() + behind;
  return last;
}
